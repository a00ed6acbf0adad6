//! Token answers and errors of Microsoft's endpoints.

use super::{aadsts, expiry, hints, http::HttpAnswer};
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
struct RefusalText {
    code: Option<String>,
    text: Option<String>,
    aadsts: Option<u32>,
    correlation_id: Option<String>,
}

impl RefusalText {
    fn read(answer: &HttpAnswer) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        // What was sent is blanked after parsing: JSON has other ways to write it.
        let text = |value: &Value| {
            let text = value.as_str()?;
            Some(secret::scrub_jwts(&answer.scrub(text)))
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

    fn in_short(&self, answer: &HttpAnswer) -> String {
        match (&self.text, &self.code) {
            (Some(text), _) => first_line(text),
            (None, Some(code)) => first_line(code),
            (None, None) if looks_like_html(&answer.body) => "HTML instead of an answer".to_owned(),
            (None, None) => plain_text(answer).unwrap_or_else(|| "no reason given".to_owned()),
        }
    }

    /// Whether a managed identity's endpoint says that there is no such identity here; none has a code of its own for
    /// that.
    fn is_not_assigned(&self) -> bool {
        let text = self.text.as_deref().unwrap_or_default().to_ascii_lowercase();
        self.code.as_deref() == Some("ManagedIdentityNotFound")
            || text.contains("identity not found")
            || (text.contains("no ") && text.contains("managed identity found"))
    }
}

/// Makes a token of a successful answer, and a typed error of any other.
pub(super) fn token(answer: &HttpAnswer, endpoint: &str, issuer: Issuer) -> Result<AccessToken, Error> {
    if !answer.is_success() {
        return Err(provider_error(answer, endpoint, issuer));
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

/// What an answer says that is no token, whoever gave it.
pub(super) fn told(answer: &HttpAnswer) -> String {
    RefusalText::read(answer).in_short(answer)
}

/// The first line of a refusal in plain text, in which proxies give their reasons. It may quote what somebody else
/// sent.
fn plain_text(answer: &HttpAnswer) -> Option<String> {
    let plain = str::from_utf8(&answer.body).ok().filter(|plain| !plain.trim_start().starts_with(['{', '[']))?;
    let line = first_line(&secret::scrub_unknown(&answer.scrub(plain)));
    (!answer.is_success() && !line.is_empty()).then_some(line)
}

/// A typed error for an answer that is not a success.
fn provider_error(answer: &HttpAnswer, endpoint: &str, issuer: Issuer) -> Error {
    let said = RefusalText::read(answer);
    let transient = is_transient(answer.status, &said, issuer);
    let unassigned = issuer != Issuer::Entra && !transient && said.is_not_assigned();
    let kind = match answer.status {
        400..500 if unassigned => ErrorKind::CredentialUnavailable,
        400..500 if !transient && (said.code.is_some() || said.text.is_some()) => ErrorKind::CredentialRejected,
        _ => ErrorKind::TokenEndpoint,
    };
    let description = said.in_short(answer);
    let hint = match said.aadsts.and_then(aadsts::hint) {
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
fn retry_after(answer: &HttpAnswer, said: &RefusalText, issuer: Issuer) -> Option<Duration> {
    if said.aadsts == Some(CLIENT_LOOP) {
        return Some(answer.retry_after.unwrap_or_default().max(AFTER_A_LOOP));
    }
    answer.retry_after.or_else(|| is_updating(answer.status, issuer).then_some(WHILE_UPDATING))
}

/// The classes of Entra's error codes, see <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
fn is_transient(status: u16, said: &RefusalText, issuer: Issuer) -> bool {
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
mod tests;
