//! What can be scripted to go wrong.

use super::answers::{self, Answer};
use hyper::header::RETRY_AFTER;
use std::time::Duration;

/// What the identity provider does with a token request instead of answering it properly.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityFault {
    /// Status 429, with `Retry-After` in whole seconds if there is one.
    TooManyRequests {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// This status with the documented error body of a passing fault (AADSTS90033).
    Status(u16),
    /// Status 200 with an HTML page, as captive portals answer.
    Html,
    /// This status with an HTML page.
    HtmlStatus(u16),
    /// Never an answer; the connection stays open.
    Hang,
    /// The proper answer, but late.
    Slow(Duration),
    /// The connection is closed without an answer.
    Reset,
    /// The token that was issued last, once more.
    SameToken,
    /// A token with this much life left.
    NearExpiry(Duration),
    /// A token that expired an hour ago.
    Expired,
    /// AADSTS700024: a client assertion outside its validity.
    AssertionExpired,
    /// AADSTS7000215: a wrong client secret.
    WrongSecret,
    /// A token without `exp`, in an answer that does not say when it expires either.
    NoExp,
    /// A proper token in an answer that does not say when it expires.
    NoExpiresIn,
    /// A token without `oid`.
    NoOid,
    /// 20 MB of JSON.
    Oversized,
    /// Status 200 with text that is not JSON.
    NotJson,
    /// An access token that is not a JWT.
    Malformed,
    /// Whatever you like.
    Body {
        /// The HTTP status.
        status: u16,
        /// The body, sent as JSON.
        body: String,
    },
}

const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in to the network</title></head><body></body></html>";

impl IdentityFault {
    /// The answer of a fault that takes the place of the whole answer.
    pub(super) fn answer(&self) -> Option<Answer> {
        const PASSING: &str = "A transient error has occurred. Please try again.";
        Some(match self {
            Self::TooManyRequests { retry_after } => {
                let mut answer = answers::entra_error(429, "temporarily_unavailable", 90_033, PASSING);
                if let Some(delay) = retry_after {
                    answer.headers_mut().insert(RETRY_AFTER, delay.as_secs().into());
                }
                answer
            }
            Self::Status(status) => answers::entra_error(*status, "temporarily_unavailable", 90_033, PASSING),
            Self::Html => answers::raw(200, "text/html", PAGE),
            Self::HtmlStatus(status) => answers::raw(*status, "text/html", PAGE),
            Self::AssertionExpired => {
                let text = "Client assertion is not within its valid time range.";
                answers::entra_error(401, "invalid_client", 700_024, text)
            }
            Self::WrongSecret => answers::wrong_secret(),
            Self::Oversized => answers::raw(200, "application/json", vec![b' '; 20 << 20]),
            Self::NotJson => answers::raw(200, "application/json", "certainly"),
            Self::Body { status, body } => answers::raw(*status, "application/json", body.clone()),
            Self::Hang
            | Self::Slow(_)
            | Self::Reset
            | Self::SameToken
            | Self::NearExpiry(_)
            | Self::Expired
            | Self::NoExp
            | Self::NoExpiresIn
            | Self::NoOid
            | Self::Malformed => return None,
        })
    }
}

/// What the gate does with an `AUTH` instead of answering it properly.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthFault {
    /// `WRONGPASS`, whatever the token.
    WrongPass,
    /// This error, which should start with its code.
    Error(String),
    /// Never an answer, nor one to anything that follows on the connection.
    Silent,
    /// The proper answer, but late.
    Delay(Duration),
}
