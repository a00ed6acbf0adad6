//! A link's authentication, and how it comes to a new token.

use super::{
    Link,
    condition::Condition,
    handshake::{self, Limit},
    liveness::Validating,
    reply::Outcome,
    wire::outcome,
};
use crate::{
    error::{Error, ErrorKind, Stage},
    token::Current,
};
use std::{sync::atomic::Ordering::Relaxed, time::Duration};
use tokio::{
    sync::{Notify, futures::Notified},
    time::{Instant, timeout_at},
};

/// What a link authenticated with.
#[derive(Clone, Copy)]
pub(super) struct Authenticated {
    pub(super) generation: u64,
    pub(super) until: Instant,
    /// How long Redis took to say so.
    pub(super) took: Duration,
}

impl Authenticated {
    pub(super) fn with(current: &Current, took: Duration) -> Self {
        Self { generation: current.generation, until: current.token.usable_until(), took }
    }
}

/// Tells those who wait for the end of an `AUTH`: when it is dropped, once everything else is done.
struct Ring<'a>(&'a Notify);

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

impl Link {
    /// Completes with the end of the next `AUTH`, once it has been enabled or polled.
    pub(crate) fn reauthenticated(&self) -> Notified<'_> {
        self.reauthenticated.notified()
    }

    /// Lets traffic go around the link until [`reauthenticate`](Self::reauthenticate) is through.
    pub(crate) fn divert(&self) {
        self.wire.queue.swap(Condition::Open, Condition::Reauthenticating);
    }

    /// Sends `AUTH` with a new token, and waits for its answer for `limit` at most, and as long as the old token lives.
    ///
    /// A server may take seconds to validate a token, and everything sent behind the `AUTH` would wait for it: if there
    /// are other links, traffic should have been diverted from this one. If there is no answer in time
    /// ([`ErrorKind::Timeout`]), it stays diverted: what follows would wait behind the `AUTH`.
    pub(crate) async fn reauthenticate(&self, current: &Current, limit: Duration) -> Result<(), Error> {
        let began = Instant::now();
        let limit = self.auth_limit(limit);
        let deadline = began + limit.duration();
        if self.condition() == Condition::Reauthenticating {
            // Commands that were let in before must reach the socket before the AUTH does. After half of the time they
            // are not waited for any longer: the AUTH needs the other half.
            _ = timeout_at(began + limit.duration() / 2, self.drained()).await;
        }
        let auth = handshake::auth_command(current);
        let started = Instant::now();
        let validating = self.wire.liveness.validate();
        let outcome = outcome(self.wire.auth(&auth, deadline)).await;
        self.conclude(outcome, current, limit, started, validating)
    }

    /// How long the answer to an `AUTH` with a new token is waited for: as long as the old one lives, at most.
    pub(super) fn auth_limit(&self, limit: Duration) -> Limit {
        let old_life = self.authenticated_until().saturating_duration_since(Instant::now());
        if old_life < limit { Limit::OldToken(old_life) } else { Limit::AuthTimeout(limit) }
    }

    /// Takes note of the end of an `AUTH` that was sent when it `started`.
    pub(super) fn conclude(
        &self,
        outcome: Outcome,
        current: &Current,
        limit: Limit,
        started: Instant,
        validating: Validating,
    ) -> Result<(), Error> {
        let verdict = handshake::verdict(outcome, current, limit);
        let _ring = Ring(&self.reauthenticated);
        match &verdict {
            Ok(()) => {
                let authenticated = Authenticated::with(current, started.elapsed());
                self.wire.liveness.expires_at(authenticated.until);
                *self.authenticated() = authenticated;
                self.reauths.fetch_add(1, Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::Timeout(Stage::Auth) => return verdict,
            Err(_) => {}
        }
        drop(validating);
        self.wire.queue.swap(Condition::Reauthenticating, Condition::Open);
        verdict
    }
}
