use super::*;
use crate::emulator::tokens::TOKEN_EXCHANGE;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn request() -> TokenRequest {
    TokenRequest::post().with(&[
        ("client_id", CLIENT_ID),
        ("scope", "https://redis.azure.com/.default"),
        ("grant_type", "client_credentials"),
    ])
}

fn with_secret() -> TokenRequest {
    request().with(&[("client_secret", CLIENT_SECRET)])
}

fn with_assertion(assertion: &str) -> TokenRequest {
    request().with(&[("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)])
}

fn grant_of(signer: &Signer, tenant: &str, request: &TokenRequest) -> Result<Grant, Refusal> {
    grant(tenant, request, signer, &AppCertificates::default())
}

#[test]
fn each_mistake_has_its_number() {
    let signer = Signer::generate().unwrap();
    assert!(grant_of(&signer, TENANT_ID, &with_secret()).is_ok());
    let by_id = format!("{RESOURCE_ID}/.default");
    assert!(grant_of(&signer, TENANT_ID, &with_secret().with(&[("scope", by_id.as_str())])).is_ok());
    for (change, status, error, code) in [
        (("client_id", ""), 400, "invalid_request", 900_144),
        (("grant_type", ""), 400, "invalid_request", 900_144),
        (("scope", ""), 400, "invalid_request", 900_144),
        (("grant_type", "password"), 400, "unsupported_grant_type", 70_003),
        (("client_id", "unknown"), 400, "unauthorized_client", 700_016),
        (("client_secret", "wrong"), 401, "invalid_client", 7_000_215),
        (("client_secret", ""), 401, "invalid_client", 7_000_216),
        (("scope", "https://redis.azure.com"), 400, "invalid_scope", 70_011),
        (("scope", "openid offline_access"), 400, "invalid_scope", 70_011),
        (("scope", "https://redis.azure.com/.default https://vault.azure.net/.default"), 400, "invalid_scope", 70_011),
        (("scope", "https://vault.azure.net/.default"), 400, "invalid_resource", 500_011),
    ] {
        let refusal = grant_of(&signer, TENANT_ID, &with_secret().with(&[change])).unwrap_err();
        let got = (refusal.status(), &refusal.body()["error"], refusal.code());
        assert_eq!(got, (status, &json!(error), Some(code)), "{change:?}");
    }
    let refusal = grant_of(&signer, "contoso.com", &with_secret()).unwrap_err();
    assert_eq!((refusal.status(), refusal.code()), (400, Some(90_002)));
}

#[test]
fn what_is_of_no_consequence_is_taken_as_it_comes() {
    let signer = Signer::generate().unwrap();
    for change in [
        ("scope", "https://redis.azure.com/.default openid offline_access profile"),
        ("scope", "openid profile offline_access https://redis.azure.com//.default"),
        ("scope", "https://Redis.Azure.com/.default"),
        ("client_id", "7E57E57E-0000-4000-8000-000000000002"),
        ("client_info", "1"),
        ("claims", r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#),
    ] {
        assert!(grant_of(&signer, TENANT_ID, &with_secret().with(&[change])).is_ok(), "{change:?}");
    }
    assert!(grant_of(&signer, &TENANT_ID.to_uppercase(), &with_secret()).is_ok());
}

#[test]
fn id_and_secret_may_be_in_a_header() {
    let signer = Signer::generate().unwrap();
    let with_basic = |text: &str| {
        let request = request().with(&[("client_id", "")]);
        request.with_header("Authorization", &format!("Basic {}", STANDARD.encode(text)))
    };
    // As a form has it.
    let secret = CLIENT_SECRET.replace('~', "%7E");
    assert!(grant_of(&signer, TENANT_ID, &with_basic(&format!("{CLIENT_ID}:{secret}"))).is_ok());
    for (text, code) in
        [(format!("{CLIENT_ID}:guessed"), 7_000_215), ("unknown:x".to_owned(), 700_016), (String::new(), 900_144)]
    {
        let refusal = grant_of(&signer, TENANT_ID, &with_basic(&text)).unwrap_err();
        assert_eq!(refusal.code(), Some(code), "{text}");
    }
}

#[test]
fn federated_assertions_are_told_by_their_issuer() {
    let signer = Signer::generate().unwrap();
    let code = |assertion: &str| match grant_of(&signer, TENANT_ID, &with_assertion(assertion)) {
        Ok(_) => None,
        Err(refusal) => refusal.code(),
    };
    assert_eq!(code(&federated::issue(&signer, HOUR).unwrap()), None);
    assert_eq!(code(&federated::issue(&signer, Duration::ZERO).unwrap()), Some(700_024));
    let identity = TokenClaims::user_assigned().audience(TOKEN_EXCHANGE[0]);
    assert_eq!(code(&signer.sign(&identity, HOUR).unwrap().0), None);
    let token = |claims: Value| signer.jwt(&claims).unwrap();
    assert_eq!(code(&token(json!({"iss": "https://stranger.invalid/"}))), Some(700_211));
    // Its own assertions are for its certificates to sign.
    assert_eq!(code(&token(json!({"iss": CLIENT_ID, "sub": CLIENT_ID}))), Some(700_027));
    assert_eq!(code("not-a-jwt"), Some(50_027));

    let untyped = with_assertion("a.b.c").with(&[("client_assertion_type", "")]);
    assert_eq!(grant_of(&signer, TENANT_ID, &untyped).unwrap_err().code(), Some(900_144));
}
