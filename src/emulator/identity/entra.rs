//! Microsoft Entra ID's token endpoint: the client credentials grant.

use super::{
    Grant,
    assertion::{self, AppCertificates},
    federated,
    request::TokenRequest,
    server::PUBLIC_CLOUD,
};
use crate::emulator::{
    aadsts,
    answers::{Form, Refusal},
    tokens::{CLIENT_ID, CLIENT_SECRET, RESOURCE, RESOURCE_ID, Signer, TENANT_ID, TokenClaims},
};

/// The only type of client assertions (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Scopes that are no resource's. They mean nothing for an application, but MSAL for Java and for Go add them.
const OF_OPENID: [&str; 4] = ["openid", "profile", "offline_access", "email"];

/// What the client shows for itself.
struct Shown {
    client_id: String,
    secret: String,
    assertion: String,
}

pub(super) fn grant(
    tenant: &str,
    request: &TokenRequest,
    signer: &Signer,
    certificates: &AppCertificates,
) -> Result<Grant, Refusal> {
    if !tenant.eq_ignore_ascii_case(TENANT_ID) {
        return Err(aadsts::refusal(90_002, tenant));
    }
    let grant_type = required(request, "grant_type")?;
    if grant_type != "client_credentials" {
        return Err(aadsts::refusal(70_003, grant_type));
    }
    let shown = shown(request)?;
    if !shown.client_id.eq_ignore_ascii_case(CLIENT_ID) {
        return Err(aadsts::refusal(700_016, &shown.client_id));
    }
    match (shown.secret.as_str(), shown.assertion.as_str()) {
        ("", "") => return Err(aadsts::refusal(7_000_216, "")),
        ("", assertion) => {
            if request.parameter("client_assertion_type") != JWT_BEARER {
                return Err(aadsts::refusal(900_144, "client_assertion_type"));
            }
            check_assertion(assertion, request, signer, certificates)?;
        }
        (CLIENT_SECRET, _) => {}
        _ => return Err(aadsts::refusal(7_000_215, "")),
    }
    let scope = required(request, "scope")?;
    let mut scopes = scope.split_whitespace().filter(|scope| !OF_OPENID.contains(scope));
    let (Some(scope), None) = (scopes.next(), scopes.next()) else {
        return Err(aadsts::refusal(70_011, scope));
    };
    let resource = scope.strip_suffix("/.default").ok_or_else(|| aadsts::refusal(70_011, scope))?;
    let resource = resource.trim_end_matches('/');
    if [RESOURCE, RESOURCE_ID].iter().any(|known| known.eq_ignore_ascii_case(resource)) {
        Ok(Grant { form: Form::TokenEndpoint, claims: TokenClaims::new() })
    } else {
        Err(aadsts::refusal(500_011, resource))
    }
}

fn required<'a>(request: &'a TokenRequest, name: &str) -> Result<&'a str, Refusal> {
    match request.parameter(name) {
        "" => Err(aadsts::refusal(900_144, name)),
        value => Ok(value),
    }
}

/// Id and secret may be in a header (RFC 6749, section 2.3.1), and an assertion names its application itself.
fn shown(request: &TokenRequest) -> Result<Shown, Refusal> {
    let (basic_id, basic_secret) = request.basic_authorization().unwrap_or_default();
    let assertion = request.parameter("client_assertion").to_owned();
    let either = |given: &str, basic: String| if given.is_empty() { basic } else { given.to_owned() };
    let mut client_id = either(request.parameter("client_id"), basic_id);
    if client_id.is_empty() {
        let issuer = assertion::issuer(&assertion).filter(|issuer| !issuer.contains("://"));
        client_id = issuer.ok_or_else(|| aadsts::refusal(900_144, "client_id"))?;
    }
    Ok(Shown { client_id, secret: either(request.parameter("client_secret"), basic_secret), assertion })
}

fn check_assertion(
    assertion: &str,
    request: &TokenRequest,
    signer: &Signer,
    certificates: &AppCertificates,
) -> Result<(), Refusal> {
    let issuer = assertion::issuer(assertion).ok_or_else(|| aadsts::refusal(50_027, ""))?;
    if federated::subject(&issuer).is_some() {
        return federated::check(signer, assertion);
    }
    if issuer.contains("://") {
        return Err(aadsts::refusal(700_211, &issuer));
    }
    certificates.check(assertion, CLIENT_ID, &audiences(request))
}

/// The endpoint's own URL, or the tenant's. A client may have come to it through a proxy that speaks https for it, or
/// under the name that the endpoint gives itself over http.
fn audiences(request: &TokenRequest) -> Vec<String> {
    let hosts = [format!("https://{}", request.host()), format!("http://{}", request.host()), PUBLIC_CLOUD.to_owned()];
    let paths = ["oauth2/v2.0/token", "oauth2/token", "v2.0"];
    let urls = hosts.iter().flat_map(|host| paths.iter().map(move |path| format!("{host}/{TENANT_ID}/{path}")));
    urls.collect()
}

#[cfg(test)]
mod tests {
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
            (
                ("scope", "https://redis.azure.com/.default https://vault.azure.net/.default"),
                400,
                "invalid_scope",
                70_011,
            ),
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
}
