//! Token answers and errors of Microsoft's endpoints.

use super::{expiry, hints, http::Answer};
use crate::{
    error::{Error, ErrorKind},
    secret,
    secret::Secret,
    token::{AccessToken, Hints},
};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// For how long IMDS is left alone while it is being updated, if it does not say. That may take it 70 s, which five
/// attempts outlast if `startup_timeout` lets them.
const WHILE_UPDATING: Duration = Duration::from_secs(18);

/// `AADSTS50196`: Entra ID takes the requests for a loop of a client that has gone wrong. They must become fewer.
const CLIENT_LOOP: u32 = 50_196;

/// For how long it is left alone then, at least.
const AFTER_A_LOOP: Duration = Duration::from_secs(60);

/// Whose answer it is, and so what its errors mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Issuer {
    /// Microsoft Entra ID itself.
    Entra,
    /// The Instance Metadata Service.
    Imds,
    /// Another endpoint that gives out the tokens of managed identities.
    Machine,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    expires_on: Value,
}

/// What a refusal says, in whichever of the documented forms: Entra's and IMDS's `error` and `error_description`,
/// IMDS's `ErrorCode` and `ExceptionMessage`, App Service's `message`, the others' `error: {code, message}`.
struct Said {
    code: Option<String>,
    text: Option<String>,
    aadsts: Option<u32>,
    correlation_id: Option<String>,
}

impl Said {
    fn read(answer: &Answer) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        // What was sent is blanked after parsing: JSON has other ways to write it.
        let text = |value: &Value| {
            let text = value.as_str()?;
            let scrubbed = answer.secret.as_ref().map(|secret| secret.scrub(text));
            Some(secret::scrub_jwts(scrubbed.as_deref().unwrap_or(text)))
        };
        let error = &body["error"];
        let described = text(&body["error_description"])
            .or_else(|| text(&error["message"]))
            .or_else(|| text(&body["message"]))
            .or_else(|| text(&body["ExceptionMessage"]));
        // IMDS passes Entra's errors on without their numbers.
        let number = body["error_codes"][0].as_u64().and_then(|code| u32::try_from(code).ok());
        Self {
            code: text(error).or_else(|| text(&error["code"])).or_else(|| text(&body["ErrorCode"])),
            aadsts: number.or_else(|| described.as_deref().and_then(aadsts_in)),
            correlation_id: text(&body["correlation_id"])
                .or_else(|| text(&error["correlationId"]))
                .map(|id| first_line(&id))
                .filter(|id| !id.is_empty()),
            text: described,
        }
    }

    fn in_short(&self, answer: &Answer) -> String {
        match (&self.text, &self.code) {
            (Some(text), _) => first_line(text),
            (None, Some(code)) => first_line(code),
            (None, None) if looks_like_html(&answer.body) => "HTML instead of an answer".to_owned(),
            (None, None) => "no reason given".to_owned(),
        }
    }

    /// Whether a managed identity's endpoint says that there is no such identity here; none has a code of its own for that.
    fn is_not_assigned(&self) -> bool {
        let text = self.text.as_deref().unwrap_or_default().to_ascii_lowercase();
        self.code.as_deref() == Some("ManagedIdentityNotFound")
            || text.contains("identity not found")
            || (text.contains("no ") && text.contains("managed identity found"))
    }
}

/// Makes a token of a successful answer, and a typed error of any other.
pub(super) fn token(answer: &Answer, endpoint: &str, issuer: Issuer) -> Result<AccessToken, Error> {
    if !answer.is_success() {
        return Err(refusal(answer, endpoint, issuer));
    }
    // The source is left out: it may quote the body, and with it a token.
    let parsed: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| {
        let what = if looks_like_html(&answer.body) { "HTML" } else { "something that is not a token answer" };
        Error::new(ErrorKind::TokenEndpoint, format!("{endpoint} answered with {what} (HTTP status {})", answer.status))
            .with_status(answer.status)
            .with_hint(hints::NOT_A_PROVIDER)
    })?;
    let hints = Hints {
        expires_in: expiry::seconds(&parsed.expires_in),
        expires_on: expiry::moment(&parsed.expires_on),
        issuer_now: answer.date,
    };
    AccessToken::from_answer(Secret::new(parsed.access_token), hints)
}

/// What an answer says that is no token, whoever gave it, to a request that carried no secret.
pub(super) fn told(answer: &Answer) -> String {
    let said = Said::read(answer);
    if !answer.is_success() && said.text.is_none() && said.code.is_none() && !looks_like_html(&answer.body) {
        // Proxies give their reasons in plain text.
        let plain = str::from_utf8(&answer.body).map(first_line).unwrap_or_default();
        if !plain.is_empty() && !plain.starts_with(['{', '[']) {
            return plain;
        }
    }
    said.in_short(answer)
}

/// A typed error for an answer that is not a success.
fn refusal(answer: &Answer, endpoint: &str, issuer: Issuer) -> Error {
    let said = Said::read(answer);
    let transient = is_transient(answer.status, &said, issuer);
    let unassigned = issuer != Issuer::Entra && !transient && said.is_not_assigned();
    let kind = match answer.status {
        400..500 if unassigned => ErrorKind::CredentialUnavailable,
        400..500 if !transient && (said.code.is_some() || said.text.is_some()) => ErrorKind::CredentialRejected,
        _ => ErrorKind::TokenEndpoint,
    };
    let description = said.in_short(answer);
    let hint = match said.aadsts.and_then(hints::of_aadsts) {
        None if unassigned => Some(hints::IDENTITY_NOT_ASSIGNED),
        None if said.code.as_deref() == Some("invalid_resource") => Some(hints::SCOPE),
        // In none of the forms that are known here: mostly it is somebody else who answers.
        None if said.text.is_none() && said.code.is_none() => Some(hints::NOT_A_PROVIDER),
        known => known,
    };
    let mut error = Error::new(kind, format!("{endpoint} refused (HTTP status {}): {description}", answer.status))
        .with_transient(transient)
        .with_status(answer.status)
        .with_aadsts(said.aadsts)
        .with_correlation_id(said.correlation_id.clone());
    if let Some(hint) = hint {
        error = error.with_hint(hint);
    }
    match retry_after(answer, &said, issuer) {
        Some(delay) if transient => error.with_retry_after(delay),
        _ => error,
    }
}

/// How long the endpoint wants to be left alone, by what it says or by what is known of it.
fn retry_after(answer: &Answer, said: &Said, issuer: Issuer) -> Option<Duration> {
    if said.aadsts == Some(CLIENT_LOOP) {
        return Some(answer.retry_after.unwrap_or_default().max(AFTER_A_LOOP));
    }
    answer.retry_after.or_else(|| is_updating(answer.status, issuer).then_some(WHILE_UPDATING))
}

/// The classes of Entra's error codes, see <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
fn is_transient(status: u16, said: &Said, issuer: Issuer) -> bool {
    let code = matches!(said.aadsts, Some(50033 | CLIENT_LOOP | 90006 | 90012 | 90024 | 90033 | 90055 | 90090));
    let for_now = matches!(status, 408 | 429) || status >= 500 || is_updating(status, issuer);
    code || for_now || said.code.as_deref() == Some("temporarily_unavailable")
}

/// IMDS answers 404 and 410 while it is being updated.
fn is_updating(status: u16, issuer: Issuer) -> bool {
    issuer == Issuer::Imds && matches!(status, 404 | 410)
}

/// The number of the first `AADSTS…` in a text.
pub(super) fn aadsts_in(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("AADSTS")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn looks_like_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// Descriptions go on for lines with trace ids and timestamps; the first line says it.
pub(super) fn first_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let visible = line.trim().chars().filter(|c| !c.is_control());
    visible.take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use proptest::prelude::*;
    use serde_json::json;
    use std::time::SystemTime;

    fn answer(status: u16, body: &[u8]) -> Answer {
        Answer {
            status,
            retry_after: Some(Duration::from_secs(7)),
            date: Some(SystemTime::now()),
            body: body.to_vec(),
            ..Answer::default()
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
        assert_eq!((error.aadsts(), error.hint()), (Some(500_011), hints::of_aadsts(500_011)));
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
            let silent = Answer { retry_after: None, ..answer(status, body.to_string().as_bytes()) };
            let error = token(&silent, "the endpoint", Issuer::Imds).unwrap_err();
            assert_eq!(error.retry_after(), Some(WHILE_UPDATING));
        }
    }

    #[test]
    fn a_client_that_is_taken_for_a_loop_pauses_for_a_minute() {
        let body = json!({"error": "invalid_grant", "error_codes": [50_196]}).to_string();
        for (asked, expected) in [(None, 60), (Some(7), 60), (Some(90), 90)] {
            let retry_after = asked.map(Duration::from_secs);
            let looped = Answer { retry_after, ..answer(400, body.as_bytes()) };
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
                let error =
                    token(&answer(400, body.as_bytes()).to(&secret), "the endpoint", Issuer::Entra).unwrap_err();
                let shown = format!("{error} {error:?}");
                assert!(shown.contains("not [redacted]!") && !shown.contains("s3"), "{body}: {shown}");
            }
        }
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
}
