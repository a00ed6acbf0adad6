//! Microsoft Entra ID's token endpoint: the client credentials grant.

use super::{Grant, asked::Asked, assertion::AppCertificates, federated};
use crate::emulator::{
    aadsts,
    answers::{Form, Refusal},
    tokens::{CLIENT_ID, CLIENT_SECRET, RESOURCE, RESOURCE_ID, Signer, TENANT_ID, TokenClaims},
};
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;

/// The only type of client assertions (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What tells whose keys an assertion is to be checked with.
#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

pub(super) fn grant(
    tenant: &str,
    asked: &Asked,
    signer: &Signer,
    certificates: &AppCertificates,
) -> Result<Grant, Refusal> {
    if tenant != TENANT_ID {
        return Err(aadsts::refusal(90_002, tenant));
    }
    let grant_type = required(asked, "grant_type")?;
    if grant_type != "client_credentials" {
        return Err(aadsts::refusal(70_003, grant_type));
    }
    let client_id = required(asked, "client_id")?;
    if client_id != CLIENT_ID {
        return Err(aadsts::refusal(700_016, client_id));
    }
    match (asked.parameter("client_secret"), asked.parameter("client_assertion")) {
        ("", "") => return Err(aadsts::refusal(7_000_216, "")),
        ("", assertion) => {
            if asked.parameter("client_assertion_type") != JWT_BEARER {
                return Err(aadsts::refusal(900_144, "client_assertion_type"));
            }
            check_assertion(assertion, asked, signer, certificates)?;
        }
        (CLIENT_SECRET, _) => {}
        _ => return Err(aadsts::refusal(7_000_215, "")),
    }
    let scope = required(asked, "scope")?;
    let resource = scope.strip_suffix("/.default").filter(|resource| !resource.contains(char::is_whitespace));
    match resource.map(|resource| resource.trim_end_matches('/')) {
        Some(RESOURCE | RESOURCE_ID) => Ok(Grant { form: Form::TokenEndpoint, claims: TokenClaims::new() }),
        Some(resource) => Err(aadsts::refusal(500_011, resource)),
        None => Err(aadsts::refusal(70_011, scope)),
    }
}

fn required<'a>(asked: &'a Asked, name: &str) -> Result<&'a str, Refusal> {
    match asked.parameter(name) {
        "" => Err(aadsts::refusal(900_144, name)),
        value => Ok(value),
    }
}

fn check_assertion(
    assertion: &str,
    asked: &Asked,
    signer: &Signer,
    certificates: &AppCertificates,
) -> Result<(), Refusal> {
    let issuer: Issuer = insecure_decode_claims(assertion).map_err(|_| aadsts::refusal(50_027, ""))?;
    if federated::subject(&issuer.iss).is_some() {
        return federated::check(signer, assertion);
    }
    if issuer.iss.contains("://") {
        return Err(aadsts::refusal(700_211, &issuer.iss));
    }
    // The endpoint's own URL; a client may have come to it through a proxy that speaks https for it.
    let endpoint = |scheme: &str| format!("{scheme}://{}/{TENANT_ID}/oauth2/v2.0/token", asked.host());
    certificates.check(assertion, CLIENT_ID, &[endpoint("https"), endpoint("http")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::tokens::TOKEN_EXCHANGE;
    use serde_json::{Value, json};
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    fn asked() -> Asked {
        Asked::post().with(&[
            ("client_id", CLIENT_ID),
            ("scope", "https://redis.azure.com/.default"),
            ("grant_type", "client_credentials"),
        ])
    }

    fn with_secret() -> Asked {
        asked().with(&[("client_secret", CLIENT_SECRET)])
    }

    fn with_assertion(assertion: &str) -> Asked {
        asked().with(&[("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)])
    }

    fn grant_of(signer: &Signer, tenant: &str, asked: &Asked) -> Result<Grant, Refusal> {
        grant(tenant, asked, signer, &AppCertificates::default())
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
            (("scope", "openid https://redis.azure.com/.default"), 400, "invalid_scope", 70_011),
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
