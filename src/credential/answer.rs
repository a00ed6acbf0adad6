//! Token answers and errors of Microsoft's endpoints.

use super::http::Answer;
use crate::{
    AccessToken, Error, ErrorKind, Secret,
    token::{Hints, wall_time},
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::time::Duration;

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default, deserialize_with = "number")]
    expires_in: Option<f64>,
    #[serde(default, deserialize_with = "number")]
    expires_on: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorAnswer {
    error: Option<String>,
    error_description: Option<String>,
    error_codes: Vec<u32>,
    correlation_id: Option<String>,
}

/// Every numeric field may arrive as a number or as a string; anything else counts as absent.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    })
}

/// Makes a token of a successful answer, and a typed error of any other.
pub(super) fn token(answer: &Answer, endpoint: &str) -> Result<AccessToken, Error> {
    if !(200..300).contains(&answer.status) {
        return Err(refusal(answer, endpoint));
    }
    // The source is left out: it may quote the body, and with it a token.
    let parsed: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| {
        let what = if looks_like_html(&answer.body) { "HTML" } else { "something that is not a token answer" };
        Error::new(ErrorKind::TokenEndpoint, format!("{endpoint} answered with {what} (HTTP status {})", answer.status))
            .with_status(answer.status)
            .with_hint("a proxy or a captive portal may stand between this machine and the identity provider")
    })?;
    let hints = Hints {
        expires_in: parsed.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        expires_on: parsed.expires_on.and_then(wall_time),
        issuer_now: answer.date,
    };
    AccessToken::from_answer(Secret::new(parsed.access_token), hints)
}

/// A typed error for an answer that is not a success.
fn refusal(answer: &Answer, endpoint: &str) -> Error {
    let parsed: ErrorAnswer = serde_json::from_slice(&answer.body).unwrap_or_default();
    let aadsts = parsed.error_codes.first().copied();
    let transient = is_transient(answer.status, parsed.error.as_deref(), aadsts);
    let kind = match answer.status {
        400..500 if !transient && parsed.error.is_some() => ErrorKind::CredentialRejected,
        _ => ErrorKind::TokenEndpoint,
    };
    let description = match (&parsed.error_description, &parsed.error) {
        (Some(text), _) => first_line(text),
        (None, Some(error)) => first_line(error),
        (None, None) if looks_like_html(&answer.body) => "HTML instead of an answer".to_owned(),
        (None, None) => "no reason given".to_owned(),
    };
    let error = Error::new(kind, format!("{endpoint} refused (HTTP status {}): {description}", answer.status))
        .with_transient(transient)
        .with_status(answer.status)
        .with_aadsts(aadsts)
        .with_correlation_id(parsed.correlation_id);
    let error = match aadsts.and_then(hint) {
        Some(hint) => error.with_hint(hint),
        None => error,
    };
    match answer.retry_after {
        Some(delay) if transient => error.with_retry_after(delay),
        _ => error,
    }
}

/// The classes of entra's error codes, see <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
fn is_transient(status: u16, error: Option<&str>, aadsts: Option<u32>) -> bool {
    let code = matches!(aadsts, Some(50033 | 50196 | 90006 | 90012 | 90024 | 90033 | 90055 | 90090));
    code || status == 429 || status >= 500 || error == Some("temporarily_unavailable")
}

fn hint(aadsts: u32) -> Option<&'static str> {
    Some(match aadsts {
        7_000_215 => "the client secret is wrong: use the secret's value, not its id",
        7_000_222 => "the client secret has expired: add a new one to the app registration",
        700_016 => "no such application in this tenant: check client id and tenant id",
        90002 => "no such tenant: check the tenant id and the cloud of the authority host",
        50001 | 500_011 | 70011 => "check the scope: https://redis.azure.com/.default",
        70001 | 7_000_112 => "the application is disabled in this tenant",
        53003 => "a Conditional Access policy blocks this sign-in",
        _ => return None,
    })
}

fn looks_like_html(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
}

/// Descriptions go on for lines with trace ids and timestamps; the first line says it.
fn first_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let line = text.lines().next().unwrap_or_default();
    let visible = line.chars().filter(|c| !c.is_control());
    visible.take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;
    use std::time::SystemTime;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            retry_after: Some(Duration::from_secs(7)),
            date: Some(SystemTime::now()),
            body: body.as_bytes().to_vec(),
        }
    }

    fn parse(status: u16, body: &str) -> Result<AccessToken, Error> {
        token(&answer(status, body), "the endpoint")
    }

    #[test]
    fn numbers_come_as_numbers_or_strings() {
        let claims = json!({"oid": "me"});
        let jwt = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"k")).unwrap();
        for expires_in in [json!(3599), json!("3599"), json!(3599.0)] {
            let body = json!({"access_token": jwt, "expires_in": expires_in}).to_string();
            assert_eq!(parse(200, &body).unwrap().lifetime().as_secs(), 3599);
        }
        for nothing in [json!(""), json!(null), json!([]), json!("soon"), json!(-5)] {
            let body = json!({"access_token": jwt, "expires_in": nothing}).to_string();
            assert_eq!(parse(200, &body).unwrap_err().kind(), ErrorKind::MalformedToken);
        }
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
    fn transient_refusals_keep_retry_after() {
        for (status, body) in [
            (429, "{}"),
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
}
