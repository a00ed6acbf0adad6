use super::*;
use crate::emulator::tokens::RESOURCE;
use serde_json::json;

fn request() -> TokenRequest {
    TokenRequest::get().with(&[("api-version", "2018-02-01"), ("resource", RESOURCE)]).with_header("Metadata", "true")
}

#[test]
fn identities_are_selected_by_each_documented_name() {
    assert!(grant(&request()).is_ok());
    for (name, id) in SELECTORS {
        let grant = grant(&request().with(&[(name, id)])).unwrap();
        assert_eq!(grant.claims.client_id(), USER_ASSIGNED_CLIENT_ID);
    }
    // App Service's name for it is not ours.
    let refusal = grant(&request().with(&[("mi_res_id", USER_ASSIGNED_RESOURCE_ID)])).unwrap_err();
    assert_eq!((refusal.status(), &refusal.body()["error_description"]), (400, &json!("Identity not found")));
}

#[test]
fn what_is_missing_is_named() {
    let probe = TokenRequest::get().with(&[("api-version", "2018-02-01"), ("resource", RESOURCE)]);
    for (request, error, text) in [
        (probe, "invalid_request", "metadata header"),
        (request().with(&[("api-version", "")]), "invalid_request", "api-version"),
        (request().with(&[("resource", "")]), "invalid_resource", "resource"),
        (request().with(&[("resource", "https://vault.azure.net")]), "invalid_resource", "AADSTS500011"),
    ] {
        let refusal = grant(&request).unwrap_err();
        assert_eq!((refusal.status(), &refusal.body()["error"]), (400, &json!(error)));
        assert!(refusal.body()["error_description"].as_str().unwrap().contains(text), "{refusal:?}");
    }
}
