//! Whether an answer from the address of the Instance Metadata Service is that service's own.
//!
//! Much else answers there: proxies, captive portals, Docker Desktop, the metadata services of other clouds. They have
//! their own statuses and words, in any language, so it is IMDS that is recognized, and nobody else.

use crate::credential::http::HttpAnswer;
use serde_json::Value;

/// IMDS names itself so, with its version: `IMDS/150.870.65.1854`.
const SERVER: &str = "imds/";

/// What IMDS has for `error` where it sends no description. Other services have the field, too: `Not Found`, say.
const CODES: [&str; 9] = [
    "invalid_resource",
    "bad_request_102",
    "unknown_source",
    "invalid_request",
    "unauthorized_client",
    "access_denied",
    "unsupported_response_type",
    "invalid_scope",
    "Bad request. Required metadata header not specified",
];

/// Whether IMDS gave this answer: it has a header that only Microsoft's services send, or its body has one of the known
/// forms.
pub(in crate::credential) fn is_imds(answer: &HttpAnswer) -> bool {
    let named = answer.server.as_deref().and_then(|server| server.get(..SERVER.len()));
    named.is_some_and(|start| start.eq_ignore_ascii_case(SERVER)) || answer.is_microsofts || has_its_form(answer)
}

fn has_its_form(answer: &HttpAnswer) -> bool {
    let Ok(Value::Object(body)) = serde_json::from_slice(&answer.body) else {
        return false;
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    if answer.is_success() {
        return text("access_token").is_some();
    }
    match (text("error"), text("error_description")) {
        (Some(_), Some(_)) => true,
        (Some(code), None) => CODES.contains(&code),
        (None, _) => text("ExceptionMessage").is_some() || text("ErrorCode").is_some(),
    }
}

/// Whether the body is a JSON object, as IMDS's always is.
pub(in crate::credential) fn is_json(answer: &HttpAnswer) -> bool {
    matches!(serde_json::from_slice(&answer.body), Ok(Value::Object(_)))
}

/// Whether the body is text without a form, as the errors of AKS's pod identity are.
pub(super) fn is_plain(answer: &HttpAnswer) -> bool {
    answer.is_plain_text && !answer.body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests;
