//! Whether an answer from the address of the Instance Metadata Service is that service's own.
//!
//! Much else answers there: proxies, captive portals, Docker Desktop, the metadata services of other clouds. They have
//! their own statuses and words, in any language, so it is IMDS that is recognized, and nobody else.

use crate::credential::http::Answer;
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
pub(in crate::credential) fn is_imds(answer: &Answer) -> bool {
    let named = answer.server.as_deref().and_then(|server| server.get(..SERVER.len()));
    named.is_some_and(|start| start.eq_ignore_ascii_case(SERVER)) || answer.is_microsofts || has_its_form(answer)
}

fn has_its_form(answer: &Answer) -> bool {
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
pub(in crate::credential) fn is_json(answer: &Answer) -> bool {
    matches!(serde_json::from_slice(&answer.body), Ok(Value::Object(_)))
}

/// Whether the body is text without a form, as the errors of AKS's pod identity are.
pub(super) fn is_plain(answer: &Answer) -> bool {
    answer.is_plain_text && !answer.body.trim_ascii_start().starts_with(b"<")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.as_bytes().to_vec().into(), ..Answer::default() }
    }

    #[test]
    fn its_own_answers_are_recognized() {
        for (status, body) in [
            (200, r#"{"access_token":"t","expires_in":"3599"}"#),
            (400, r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#),
            (400, r#"{"error":"Bad request. Required metadata header not specified"}"#),
            (401, r#"{"error":"unknown_source"}"#),
            (404, r#"{"error":"anything","error_description":"with a description"}"#),
            (503, r#"{"ErrorCode":"ServiceUnavailable","ExceptionMessage":"busy","StackTrace":null}"#),
            (503, r#"{"ErrorCode":"ServiceUnavailable"}"#),
        ] {
            assert!(is_imds(&answer(status, body)), "{body}");
        }
    }

    #[test]
    fn a_header_is_enough() {
        for server in ["IMDS/150.870.65.1854", "imds/1"] {
            assert!(is_imds(&Answer { server: Some(server.to_owned()), ..answer(500, "") }), "{server}");
        }
        assert!(is_imds(&Answer { is_microsofts: true, ..answer(503, "<html>") }));
        for server in ["", "IMDS", "EC2ws", "Metadata Server for VM", "Microsoft-IIS/10.0", "not IMDS/1", "é"] {
            assert!(!is_imds(&Answer { server: Some(server.to_owned()), ..answer(500, "") }), "{server}");
        }
    }

    #[test]
    fn others_are_not() {
        for (status, body) in [
            (200, ""),
            (200, "<html>sign in</html>"),
            (200, r#"{"message":"welcome"}"#),
            (200, r#"["access_token"]"#),
            (302, ""),
            (401, "<html><title>401 - Unauthorized</title></html>"),
            (403, "connecting to 169.254.169.254:80: Der Netzwerkstandort kann nicht erreicht werden."),
            (404, r#"{"timestamp":"now","status":404,"error":"Not Found","path":"/metadata/identity/oauth2/token"}"#),
            (404, r#"{"error":{"code":404,"message":"no such path"}}"#),
            (404, r#"{"message":"Not Found"}"#),
            (407, "proxy authentication required"),
            (502, r#"{"error":5,"error_description":5}"#),
        ] {
            assert!(!is_imds(&answer(status, body)), "{body}");
        }
    }

    #[test]
    fn html_is_not_plain_whatever_it_is_called() {
        for (is_plain_text, body, expected) in
            [(true, "no identity", true), (true, " <html>", false), (false, "no identity", false)]
        {
            assert_eq!(is_plain(&Answer { is_plain_text, ..answer(404, body) }), expected, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_a_reason_to_panic(status in 0_u16..1000, server in any::<String>(), body in any::<String>()) {
            let answer = Answer { server: Some(server), ..answer(status, &body) };
            _ = (is_imds(&answer), is_json(&answer));
        }
    }
}
