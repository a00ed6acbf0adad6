//! When a link's server last gave a sign of life, and until when the link may be used.

use crate::resp::claims::{LinkClaims, Pending};
use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};
use tokio::time::Instant;

/// When a link's server last sent something, or took what could not be written before, in milliseconds since the link
/// began.
pub(crate) struct Liveness {
    began: Instant,
    last_sign: AtomicU64,
    /// Somebody wants to know whether the server still answers.
    suspect: AtomicBool,
    /// Requests have waited for too long without a sign of life.
    silent: AtomicBool,
    claims: Pending,
    /// When the link's token dies, in the same milliseconds.
    expires: AtomicU64,
    /// Until then the server may be silent, because a command blocks the connection; in the same milliseconds.
    blocked_until: AtomicU64,
    /// A new token is being validated: the server may be silent meanwhile, and the old one's end is not the link's.
    validating: AtomicBool,
}

/// For as long as this lives, the link's `AUTH` is under way.
#[must_use]
pub(crate) struct Validating(Arc<Liveness>);

impl Drop for Validating {
    fn drop(&mut self) {
        self.0.validating.store(false, SeqCst);
    }
}

impl Liveness {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            last_sign: AtomicU64::new(0),
            suspect: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            claims: Pending::default(),
            expires: AtomicU64::new(u64::MAX),
            blocked_until: AtomicU64::new(0),
            validating: AtomicBool::new(false),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn last_sign(&self) -> u64 {
        self.last_sign.load(Relaxed)
    }

    /// The moment of the last sign, rounded down to milliseconds.
    pub(super) fn last_sign_at(&self) -> Instant {
        self.began + Duration::from_millis(self.last_sign())
    }

    /// Notes that the server answers nothing until `moment`, because a command blocks.
    pub(super) fn block_until(&self, moment: Instant) {
        let moment = moment.saturating_duration_since(self.began).as_millis();
        self.blocked_until.store(u64::try_from(moment).unwrap_or(0), SeqCst);
    }

    /// Notes that nothing blocks any more.
    pub(super) fn unblock(&self) {
        self.blocked_until.store(0, SeqCst);
    }

    /// Until when the server has a reason to be silent; a moment that has passed if it has none.
    pub(super) fn blocked_until(&self) -> Instant {
        self.began + Duration::from_millis(self.blocked_until.load(SeqCst))
    }

    /// Whether there has been no sign since `moment`, which is rounded down: in doubt, there has been one.
    pub(crate) fn silent_since(&self, moment: Instant) -> bool {
        let moment = moment.saturating_duration_since(self.began).as_millis();
        u128::from(self.last_sign()) < moment
    }

    /// Notes when the link's token dies; no such moment until it has one.
    pub(crate) fn expires_at(&self, moment: Instant) {
        let moment = moment.saturating_duration_since(self.began).as_millis();
        self.expires.store(u64::try_from(moment).unwrap_or(u64::MAX), SeqCst);
    }

    /// Whether the link's token has died by `now`.
    pub(super) fn has_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began).as_millis() >= u128::from(self.expires.load(SeqCst))
    }

    /// Notes that a new token is being validated, until what this returns is dropped: before its `AUTH` is queued. If
    /// the token was accepted, [`expires_at`](Self::expires_at) is called before that.
    pub(crate) fn validate(self: &Arc<Self>) -> Validating {
        self.validating.store(true, SeqCst);
        Validating(Arc::clone(self))
    }

    pub(crate) fn is_validating(&self) -> bool {
        self.validating.load(SeqCst)
    }

    /// Has the keeper find out whether the server is still there.
    pub(crate) fn suspect(&self) {
        self.suspect.store(true, Relaxed);
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.load(Relaxed)
    }

    /// As [`suspect`](Self::suspect), and commands go elsewhere until there is a sign.
    pub(super) fn doubt(&self) {
        self.silent.store(true, Relaxed);
        self.suspect();
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Relaxed)
    }

    /// Takes note of what errors claim about the connection; true if there was no claim yet that is not verified.
    pub(crate) fn claim(&self, claims: LinkClaims) -> bool {
        self.claims.add(claims)
    }

    /// Whether something is claimed about the connection that is not verified.
    pub(crate) fn has_claims(&self) -> bool {
        self.claims.are_there()
    }

    pub(crate) fn take_claims(&self) -> LinkClaims {
        self.claims.take()
    }

    /// Notes a sign of life, which ends every doubt.
    pub(super) fn beat(&self) {
        // Milliseconds of uptime fit for 584 million years.
        #[allow(clippy::cast_possible_truncation)]
        self.last_sign.store(self.now().as_millis() as u64, Relaxed);
        if self.is_suspect() {
            self.suspect.store(false, Relaxed);
            self.silent.store(false, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
