//! What errors say of the connection that they came over.

use redis::{ServerError, ServerErrorKind};
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

/// The code of Redis's error on a connection that is not authenticated.
pub(crate) const NOAUTH: &str = "NOAUTH";

/// The code of a replica's error to a write.
pub(crate) const READONLY: &str = "READONLY";

/// What errors claim: that the connection has lost its authentication, that its server is no primary, or not the owner
/// of some slot. A script can make up such an error, so a claim is verified before the connection is given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkClaims(u8);

impl LinkClaims {
    const UNAUTHENTICATED: u8 = 1;
    const READ_ONLY: u8 = 2;
    const ELSEWHERE: u8 = 4;

    pub(crate) fn of(error: &ServerError) -> Self {
        match error.kind() {
            Some(ServerErrorKind::ReadOnly) => Self(Self::READ_ONLY),
            Some(ServerErrorKind::Moved) => Self(Self::ELSEWHERE),
            None if error.code() == NOAUTH => Self(Self::UNAUTHENTICATED),
            _ => Self::default(),
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the server is said to be no primary.
    pub(crate) fn is_read_only(self) -> bool {
        self.0 & Self::READ_ONLY != 0
    }
}

/// The claims about one connection that nobody has looked into yet.
#[derive(Default)]
pub(crate) struct Pending(AtomicU8);

impl Pending {
    /// Takes note of them; true if there were none before.
    pub(crate) fn add(&self, claims: LinkClaims) -> bool {
        self.0.fetch_or(claims.0, SeqCst) == 0
    }

    pub(crate) fn are_there(&self) -> bool {
        self.0.load(SeqCst) != 0
    }

    pub(crate) fn take(&self) -> LinkClaims {
        LinkClaims(self.0.swap(0, SeqCst))
    }
}
