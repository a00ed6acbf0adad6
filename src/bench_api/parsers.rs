//! Everything that reads what comes from outside, for the fuzz targets.

use crate::{
    resp::{
        claims::LinkClaims,
        line::{Garbage, Stop},
        parse::parse_with_claims,
        scan::Scan,
    },
    secret::{self, Secret},
    transport::{pem, tls::Tls},
};
use redis::Value;
use std::fmt;

pub use crate::{cluster::parsers::*, credential::parsers::*};

/// What reads on the emulator's side.
#[cfg(feature = "emulator")]
pub mod emulator {
    pub use crate::emulator::parsers::*;
}

/// What there is at the start of some bytes.
#[derive(Debug)]
pub enum ParsedReply {
    /// A reply of so many bytes.
    Whole(Value, usize),
    /// A sound frame of so many bytes that holds what has no value.
    Unreadable(usize),
    /// The beginning of a reply.
    Incomplete,
    /// No reply.
    Garbage,
}

/// The reply at the start of `bytes`.
#[must_use]
pub fn reply(bytes: &[u8]) -> ParsedReply {
    match parse_with_claims(bytes, &mut LinkClaims::default()) {
        Ok((value, len)) => ParsedReply::Whole(value, len),
        Err(Stop::Unreadable { len, .. }) => ParsedReply::Unreadable(len),
        Err(Stop::Incomplete) => ParsedReply::Incomplete,
        Err(Stop::Garbage(_)) => ParsedReply::Garbage,
    }
}

/// Where a reply that comes in pieces ends.
pub struct Pieces(Scan);

impl Pieces {
    /// Of a reply of which nothing has come.
    #[must_use]
    pub fn new() -> Self {
        Self(Scan::new())
    }

    /// The reply's length; none while it is not there in whole.
    ///
    /// # Errors
    ///
    /// If it is no reply.
    pub fn resume(&mut self, bytes: &[u8]) -> Result<Option<usize>, &'static str> {
        match self.0.resume(bytes) {
            Ok(len) => Ok(len),
            Err(Garbage(problem)) => Err(problem),
        }
    }

    /// Bytes that the reply is known to have at least.
    #[must_use]
    pub fn least(&self) -> usize {
        self.0.least()
    }
}

impl Default for Pieces {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("least", &self.least()).finish_non_exhaustive()
    }
}

/// `text` without any part of the secret.
#[must_use]
pub fn scrub(secret: &Secret, text: &str) -> String {
    secret.scrub(text)
}

/// `text` without whatever may be a secret.
#[must_use]
pub fn scrub_unknown(text: &str) -> String {
    secret::scrub_unknown(text)
}

/// `text` without the JWTs in it.
#[must_use]
pub fn scrub_jwts(text: &str) -> String {
    secret::scrub_jwts(text)
}

/// PEM as it is read; none if it is UTF-16. How its key is encrypted, and what its parts are called.
#[must_use]
pub fn pem(bytes: &[u8]) -> (Option<Vec<u8>>, Option<&'static str>, String) {
    (pem::plain("pem", bytes).ok().map(|plain| plain.to_vec()), pem::encryption(bytes), pem::parts(bytes))
}

/// Reads the PEM of TLS settings as `connect` does.
///
/// # Errors
///
/// As for `connect`.
pub fn tls(settings: &Tls) -> Result<(), crate::error::Error> {
    settings.build("redis.example").map(|_| ())
}
