use super::*;
use crate::emulator::tokens::RESOURCE;
use serde_json::json;

fn request(version: &str, header: &'static str) -> TokenRequest {
    TokenRequest::get().with(&[("api-version", version), ("resource", RESOURCE)]).with_header(header, IDENTITY_HEADER)
}

#[test]
fn app_service_selects_by_its_own_names() {
    let request = || request("2019-08-01", "X-IDENTITY-HEADER");
    assert_eq!(grant(&request()).unwrap().form, Form::AppService);
    for selector in APP_SERVICE {
        let grant = grant(&request().with(&[selector])).unwrap();
        assert_eq!(grant.claims.client_id(), USER_ASSIGNED_CLIENT_ID);
    }
    let refusal = grant(&request().with(&[("msi_res_id", USER_ASSIGNED_RESOURCE_ID)])).unwrap_err();
    assert_eq!((refusal.status(), &refusal.body()["statusCode"]), (400, &json!(400)));
    assert!(refusal.body()["message"].as_str().unwrap().starts_with("No User Assigned"), "{refusal:?}");
    let refusal = grant(&request().with_header("X-IDENTITY-HEADER", "guessed")).unwrap_err();
    assert_eq!((refusal.status(), &refusal.body()["statusCode"]), (401, &json!(401)));
    let refusal = grant(&request().with(&[("api-version", "2030-01-01")])).unwrap_err();
    assert_eq!(refusal.status(), 400);
}

#[test]
fn azure_ml_wants_its_secret_and_selects_by_client_id_only() {
    let request = || request("2017-09-01", "secret");
    assert!(grant(&request()).is_ok());
    let selected = grant(&request().with(&[("clientid", USER_ASSIGNED_CLIENT_ID)])).unwrap();
    assert_eq!(selected.claims.client_id(), USER_ASSIGNED_CLIENT_ID);
    assert!(grant(&request().with(&[("client_id", USER_ASSIGNED_CLIENT_ID)])).is_err());
    assert_eq!(grant(&request().with_header("secret", "guessed")).unwrap_err().status(), 401);
}

#[test]
fn service_fabric_wants_https_and_its_secret_and_knows_one_identity() {
    let request = || TokenRequest { https: true, ..request("2019-07-01-preview", "secret") };
    assert_eq!(grant(&request()).unwrap().form, Form::ServiceFabric);
    for (wrong, status, code) in [
        (TokenRequest { https: false, ..request() }, 403, "HttpsRequired"),
        (request().with_header("secret", ""), 401, "SecretHeaderNotFound"),
        (request().with(&[("resource", "")]), 400, "ArgumentNullOrEmpty"),
        (request().with(&[("client_id", USER_ASSIGNED_CLIENT_ID)]), 404, "ManagedIdentityNotFound"),
    ] {
        let refusal = grant(&wrong).unwrap_err();
        assert_eq!((refusal.status(), &refusal.body()["error"]["code"]), (status, &json!(code)));
    }
}

#[test]
fn cloud_shell_answers_forms_with_the_metadata_header() {
    let request = || TokenRequest::post().with(&[("resource", RESOURCE)]).with_header("Metadata", "true");
    assert_eq!(grant(&request()).unwrap().form, Form::Imds);
    assert!(grant(&TokenRequest::post().with(&[("resource", RESOURCE)])).is_err());
    let refusal = grant(&request().with(&[("resource", "https://vault.azure.net")])).unwrap_err();
    assert_eq!((refusal.status(), &refusal.body()["error"]["code"]), (400, &json!("AudienceNotSupported")));
    assert!(grant(&request().with(&[("client_id", USER_ASSIGNED_CLIENT_ID)])).is_err());
}
