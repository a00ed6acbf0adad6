//! Microsoft's answers, and what is made of them.

use super::*;
use jsonwebtoken::{EncodingKey, Header, encode};
use proptest::prelude::*;
use serde_json::json;
use std::time::SystemTime;

fn answer(status: u16, body: &[u8]) -> HttpAnswer {
    HttpAnswer {
        status,
        retry_after: Some(Duration::from_secs(7)),
        date: Some(SystemTime::now()),
        body: body.to_vec().into(),
        ..HttpAnswer::default()
    }
}

fn parse(status: u16, body: &str) -> Result<AccessToken, Error> {
    token(&answer(status, body.as_bytes()), "the endpoint", Issuer::Entra)
}

fn refused(issuer: Issuer, status: u16, body: &Value) -> Error {
    token(&answer(status, body.to_string().as_bytes()), "the endpoint", issuer).unwrap_err()
}

fn jwt() -> String {
    encode(&Header::default(), &json!({"oid": "me"}), &EncodingKey::from_secret(b"k")).unwrap()
}

#[test]
fn numbers_come_as_numbers_or_strings() {
    for expires_in in [json!(3599), json!("3599"), json!(3599.0)] {
        let body = json!({"access_token": jwt(), "expires_in": expires_in}).to_string();
        assert_eq!(parse(200, &body).unwrap().lifetime().as_secs(), 3599);
    }
    for nothing in [json!(""), json!(null), json!([]), json!("soon"), json!(-5)] {
        let body = json!({"access_token": jwt(), "expires_in": nothing}).to_string();
        assert_eq!(parse(200, &body).unwrap_err().kind(), ErrorKind::MalformedToken);
    }
}

#[test]
fn an_empty_expires_in_leaves_it_to_expires_on() {
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3600);
    let body = json!({"access_token": jwt(), "expires_in": "", "expires_on": end.to_string()}).to_string();
    let life = parse(200, &body).unwrap().lifetime().as_secs();
    assert!((3590..=3610).contains(&life), "{life}");
}

#[test]
fn refusals_carry_code_correlation_id_and_hint() {
    let body = json!({
        "error": "invalid_client", "error_codes": [7_000_215], "correlation_id": "c-1",
        "error_description": "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: t",
    });
    let error = parse(401, &body.to_string()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CredentialRejected);
    assert_eq!((error.aadsts(), error.status()), (Some(7_000_215), Some(401)));
    assert_eq!(error.correlation_id(), Some("c-1"));
    assert!(!error.is_transient());
    let shown = error.to_string();
    assert!(shown.contains("AADSTS7000215") && shown.contains("not its id"), "{shown}");
    assert!(!shown.contains("Trace"), "{shown}");
}

#[test]
fn common_mistakes_have_a_hint() {
    for (code, hint) in [
        (7_000_215, "secret's value"),
        (7_000_222, "expired"),
        (700_016, "client id and tenant id"),
        (90_002, "tenant id"),
        (500_011, "scope"),
        (500_011, "az ad sp create --id acca5fbb-b7e4-4009-81f1-37e38fd66d78"),
        (650_052, "az ad sp create --id acca5fbb-b7e4-4009-81f1-37e38fd66d78"),
        (650_057, "az ad app permission grant --id <CLIENT_ID> --api acca5fbb-b7e4-4009-81f1-37e38fd66d78"),
        (70_011, "scope"),
        (700_027, "certificate"),
        (70_021, "federated credential"),
        (70_023, "federated credential"),
        (70_025, "federated credential"),
        (700_023, "audience"),
        (700_236, "same tenant"),
        (7_000_229, "service principal"),
        (50_196, "loop"),
    ] {
        let error = refused(Issuer::Entra, 400, &json!({"error": "x", "error_codes": [code]}));
        assert!(error.hint().is_some_and(|text| text.contains(hint)), "{code}: {error}");
    }
}

/// As <https://learn.microsoft.com/entra/identity-platform/reference-error-codes> shows an error, and as other
/// endpoints quote it.
#[test]
fn every_number_that_is_known_comes_with_what_to_do_next() {
    for code in aadsts::known() {
        let description = format!(
            "AADSTS{code}: The request is refused.\r\nTrace ID: 255d1aef-8c98-452f-ac51-23d051240864\r\nCorrelation ID: \
             fb3d2015-bc17-4bb9-bb85-30c5cf1aaaa7\r\nTimestamp: 2016-01-09 02:02:12Z"
        );
        let whole = json!({
            "error": "invalid_client", "error_description": description, "error_codes": [code],
            "timestamp": "2016-01-09 02:02:12Z", "trace_id": "255d1aef-8c98-452f-ac51-23d051240864",
            "correlation_id": "fb3d2015-bc17-4bb9-bb85-30c5cf1aaaa7",
        });
        let quoted = json!({"error": "invalid_client", "error_description": description});
        for body in [whole, quoted] {
            let error = refused(Issuer::Entra, 401, &body);
            assert_eq!(error.aadsts(), Some(code), "{error}");
            assert!(error.hint().is_some() && error.hint() == aadsts::hint(code), "{error}");
            assert!(error.to_string().contains(&format!("AADSTS{code}")), "{error}");
        }
    }
}

#[test]
fn an_identity_that_is_not_assigned_is_told_in_every_form() {
    for (issuer, status, body) in [
        (Issuer::Imds, 400, json!({"error": "invalid_request", "error_description": "Identity not found"})),
        (
            Issuer::Machine,
            400,
            json!({
                "statusCode": 400,
                "message": "No User Assigned or Delegated Managed Identity found for specified ClientId.",
            }),
        ),
        (
            Issuer::Machine,
            404,
            json!({"error": {"correlationId": "c-2", "code": "ManagedIdentityNotFound", "message": "It is not."}}),
        ),
    ] {
        let error = refused(issuer, status, &body);
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::CredentialUnavailable, false), "{error}");
        assert_eq!(error.hint(), Some(hints::IDENTITY_NOT_ASSIGNED), "{error}");
    }
    let entra = json!({"error": "x", "error_description": "Identity not found"});
    assert_eq!(refused(Issuer::Entra, 400, &entra).kind(), ErrorKind::CredentialRejected);
}

#[test]
fn errors_of_machines_are_read_in_their_own_forms() {
    let fabric = json!({"error": {
        "correlationId": "c-2", "code": "SecretHeaderNotFound", "message": "Secret is not found in the request headers.",
    }});
    let error = refused(Issuer::Machine, 401, &fabric);
    assert_eq!((error.kind(), error.correlation_id()), (ErrorKind::CredentialRejected, Some("c-2")));
    assert!(error.to_string().contains("Secret is not found"), "{error}");

    let relayed =
        json!({"error": "invalid_resource", "error_description": "AADSTS500011: The resource was not found."});
    let error = refused(Issuer::Imds, 400, &relayed);
    assert_eq!((error.aadsts(), error.hint()), (Some(500_011), aadsts::hint(500_011)));
    let bare = refused(Issuer::Imds, 400, &json!({"error": "invalid_resource"}));
    assert_eq!((bare.aadsts(), bare.hint()), (None, Some(hints::SCOPE)));
}

#[test]
fn imds_says_in_its_other_form_why_it_cannot_serve() {
    let body = json!({"ErrorCode": "ServiceUnavailable", "ExceptionMessage": "The token service is busy.\nat X"});
    let error = refused(Issuer::Imds, 503, &body);
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::TokenEndpoint, true), "{error}");
    assert!(error.to_string().ends_with("(HTTP status 503): The token service is busy."), "{error}");
    let bare = refused(Issuer::Imds, 503, &json!({"ErrorCode": "ServiceUnavailable"}));
    assert!(bare.to_string().ends_with(": ServiceUnavailable"), "{bare}");
    assert_eq!((error.hint(), bare.hint()), (None, None));
}

#[test]
fn a_refusal_in_no_known_form_hints_at_who_may_have_given_it() {
    for issuer in [Issuer::Entra, Issuer::Machine] {
        for (status, body) in [(403, "{}"), (407, "<html>"), (502, "<html>"), (403, "unreachable")] {
            let error = token(&answer(status, body.as_bytes()), "the endpoint", issuer).unwrap_err();
            assert_eq!(error.hint(), Some(hints::NOT_A_PROVIDER), "{status} {body}: {error}");
        }
    }
}

#[test]
fn imds_is_asked_again_while_it_is_updated() {
    for status in [404, 410] {
        let body = json!({"error": "gone", "error_description": "for a while"});
        let error = refused(Issuer::Imds, status, &body);
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::TokenEndpoint, true));
        assert!(!refused(Issuer::Entra, status, &body).is_transient());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        let silent = HttpAnswer { retry_after: None, ..answer(status, body.to_string().as_bytes()) };
        let error = token(&silent, "the endpoint", Issuer::Imds).unwrap_err();
        assert_eq!(error.retry_after(), Some(WHILE_UPDATING));
    }
}

#[test]
fn a_client_that_is_taken_for_a_loop_pauses_for_a_minute() {
    let body = json!({"error": "invalid_grant", "error_codes": [50_196]}).to_string();
    for (asked, expected) in [(None, 60), (Some(7), 60), (Some(90), 90)] {
        let retry_after = asked.map(Duration::from_secs);
        let looped = HttpAnswer { retry_after, ..answer(400, body.as_bytes()) };
        let error = token(&looped, "the endpoint", Issuer::Entra).unwrap_err();
        assert!(error.is_transient());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(expected)), "{asked:?}");
    }
}

#[test]
fn a_secret_that_comes_back_is_blanked_in_whatever_form() {
    let secret = Secret::new("s3~cr+3t\"");
    for echo in ["s3~cr+3t\\\"", "s3%7Ecr%2B3t%22", "\\u00733~cr\\u002b3t\\u0022"] {
        for field in ["error", "error_description", "correlation_id"] {
            let rest = if field == "error" { "" } else { r#""error":"x","# };
            let body = format!(r#"{{{rest}"{field}":"not {echo}!"}}"#);
            assert!(serde_json::from_str::<Value>(&body).is_ok(), "{body}");
            let error = token(&answer(400, body.as_bytes()).to(&secret), "the endpoint", Issuer::Entra).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("not [redacted]!") && !shown.contains("s3"), "{body}: {shown}");
        }
    }
}

#[test]
fn a_stranger_that_quotes_a_token_has_it_blanked() {
    let jwt = jwt();
    for body in
        [format!("no route for {jwt}"), format!("\n {} x\n", &jwt[..30]), "GET http://me:hunter2@x:1/".to_owned()]
    {
        let shown = told(&answer(502, body.as_bytes()));
        assert!(shown.contains("[redacted]") && !shown.contains("eyJ") && !shown.contains("hunter2"), "{shown}");
    }
    assert_eq!(told(&answer(403, b"\n the proxy's rules forbid it\n")), "the proxy's rules forbid it");
}

#[test]
fn a_secret_at_the_end_of_what_is_shown_is_not_shown_in_part() {
    let secret = Secret::new("s3cr3t".repeat(100));
    let body = json!({"error": "x", "error_description": format!("{}{}", "y".repeat(300), secret.expose())});
    let answer = answer(400, body.to_string().as_bytes()).to(&secret);
    let shown = token(&answer, "the endpoint", Issuer::Entra).unwrap_err().to_string();
    assert!(shown.contains("yyy[redacted]") && !shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn a_correlation_id_is_a_short_line() {
    let id = format!("\u{1b}[2Jc-1{}\nforged log line", "x".repeat(1000));
    let body = json!({"error": "x", "correlation_id": id});
    let error = refused(Issuer::Entra, 400, &body);
    let shown = error.correlation_id().unwrap();
    assert!(shown.starts_with("[2Jc-1xxx") && shown.len() <= 400, "{shown}");
    let empty = refused(Issuer::Entra, 400, &json!({"error": "x", "correlation_id": "\n"}));
    assert_eq!(empty.correlation_id(), None);
}

#[test]
fn transient_refusals_keep_retry_after() {
    for (status, body) in [
        (429, "{}"),
        (408, r#"{"error":"timeout"}"#),
        (503, "<html>busy</html>"),
        (400, r#"{"error":"temporarily_unavailable"}"#),
        (400, r#"{"error":"x","error_codes":[90033]}"#),
    ] {
        let error = parse(status, body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TokenEndpoint);
        assert!(error.is_transient());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }
}

#[test]
fn html_and_other_nonsense_are_typed_errors() {
    for body in ["<html>", "", "[]", "{", r#"{"access_token":5}"#, "\u{0}"] {
        let error = parse(200, body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TokenEndpoint, "{body}");
    }
    assert!(parse(200, " <html>").unwrap_err().to_string().contains("HTML"));
}

proptest! {
    #[test]
    fn nothing_panics(status in 100_u16..1000, body in any::<Vec<u8>>(), text in any::<String>()) {
        for issuer in [Issuer::Entra, Issuer::Imds, Issuer::Machine] {
            _ = token(&answer(status, &body), "x", issuer);
            let errors = [
                json!({"error": text, "error_description": text, "error_codes": [text]}),
                json!({"error": {"code": text, "message": format!("AADSTS{text}")}}),
                json!({"access_token": text, "expires_in": text, "expires_on": text}),
            ];
            for error in errors {
                _ = token(&answer(status, error.to_string().as_bytes()), "x", issuer);
            }
        }
    }
}
