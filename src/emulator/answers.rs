//! The bodies that the identity provider and IMDS answer with.

use super::tokens::{RESOURCE, TENANT_ID, since_epoch};
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

pub(super) type Answer = Response<Full<Bytes>>;

/// Which endpoint was asked, and so which form its answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    TokenEndpoint,
    Imds,
}

/// A token answer; without `exp`, one that does not say when the token expires.
pub(super) fn success(form: Form, token: &str, exp: Option<u64>) -> Answer {
    let now = since_epoch(SystemTime::now());
    let expires_in = exp.map(|exp| Duration::from_secs(exp).saturating_sub(now).as_secs());
    let mut body = match form {
        Form::TokenEndpoint => json!({
            "token_type": "Bearer", "expires_in": expires_in, "ext_expires_in": expires_in, "access_token": token,
        }),
        // All values are strings here.
        Form::Imds => json!({
            "access_token": token, "token_type": "Bearer", "resource": RESOURCE, "not_before": now.as_secs().to_string(),
            "expires_in": expires_in.map(|seconds| seconds.to_string()), "expires_on": exp.map(|exp| exp.to_string()),
        }),
    };
    if let Value::Object(fields) = &mut body {
        fields.retain(|_, value| !value.is_null());
    }
    json(200, &body)
}

/// Microsoft Entra ID's documented error body.
pub(super) fn entra_error(status: u16, error: &str, aadsts: u32, text: &str) -> Answer {
    const TRACE_ID: &str = "7e57e57e-0000-4000-8000-00000000aaaa";
    const CORRELATION_ID: &str = "7e57e57e-0000-4000-8000-00000000cccc";
    let timestamp = httpdate::fmt_http_date(SystemTime::now());
    let description =
        format!("AADSTS{aadsts}: {text} Trace ID: {TRACE_ID} Correlation ID: {CORRELATION_ID} Timestamp: {timestamp}");
    let body = json!({
        "error": error, "error_description": description, "error_codes": [aadsts], "timestamp": timestamp,
        "trace_id": TRACE_ID, "correlation_id": CORRELATION_ID,
        "error_uri": format!("https://login.microsoftonline.com/error?code={aadsts}"),
    });
    json(status, &body)
}

pub(super) fn wrong_secret() -> Answer {
    let text = "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, \
                not the client secret ID, for a secret added to the app.";
    entra_error(401, "invalid_client", 7_000_215, text)
}

/// What clients that look at their authority before they use it ask for.
pub(super) fn openid_configuration(base: &str, tenant: &str) -> Value {
    json!({
        "issuer": format!("{base}/{tenant}/v2.0"),
        "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
        "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
        "response_types_supported": ["code", "id_token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

/// Which host names are the same cloud.
pub(super) fn instance_discovery() -> Value {
    let names = ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"];
    json!({
        "tenant_discovery_endpoint":
            format!("https://login.microsoftonline.com/{TENANT_ID}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{"preferred_network": names[0], "preferred_cache": names[1], "aliases": names}],
    })
}

pub(super) fn json(status: u16, body: &Value) -> Answer {
    raw(status, "application/json; charset=utf-8", body.to_string())
}

pub(super) fn raw(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
