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
mod tests;
