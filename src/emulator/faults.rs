//! What can be scripted to go wrong.

use super::{
    aadsts,
    answers::{self, Answer, Refusal},
};
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
    /// The documented refusal with this AADSTS number.
    Aadsts(u32),
    /// Azure Arc's challenge, with this path instead of that of a fresh key file.
    ArcChallenge {
        /// The path that the client is sent to.
        path: String,
    },
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
        /// A passing fault.
        const PASSING: u32 = 90_033;
        Some(match self {
            Self::TooManyRequests { retry_after } => {
                let mut answer = aadsts::refusal(PASSING, "").with_status(429).into_answer();
                if let Some(delay) = retry_after {
                    answer.headers_mut().insert(RETRY_AFTER, delay.as_secs().into());
                }
                answer
            }
            Self::Status(status) => aadsts::refusal(PASSING, "").with_status(*status).into_answer(),
            Self::Html => answers::raw(200, "text/html", PAGE),
            Self::HtmlStatus(status) => answers::raw(*status, "text/html", PAGE),
            Self::AssertionExpired => aadsts::refusal(700_024, "").into_answer(),
            Self::WrongSecret => aadsts::refusal(7_000_215, "").into_answer(),
            Self::Aadsts(code) => aadsts::refusal(*code, "").into_answer(),
            Self::ArcChallenge { path } => Refusal::challenge(path).into_answer(),
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

    /// Whether it is the token that is wrong, or what is said of it: nothing that shows in the answer to a request that
    /// gets none.
    pub(super) fn alters_token(&self) -> bool {
        matches!(
            self,
            Self::SameToken
                | Self::NearExpiry(_)
                | Self::Expired
                | Self::NoExp
                | Self::NoExpiresIn
                | Self::NoOid
                | Self::Malformed
        )
    }
}

/// What the front does with an `AUTH` instead of answering it properly.
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
