//! A link's place in the pool, and what its keeper knows about it.

mod leaving;

use super::{leases::Ticket, orders::Order};
use crate::{
    link::Link,
    retry::{Backoff, RetryPolicy},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

pub(super) use leaving::Gone;

/// What the links of a seat are for.
pub(crate) use crate::observe::stats::LinkPurpose as Purpose;

/// The least time between two looks into what errors say of a link.
const VERIFY_EVERY: Duration = Duration::from_secs(1);

/// Why a link goes that cannot be given the new token.
pub(super) const AUTH_KEEPS_FAILING: &str = "replaced: its AUTH kept failing";

/// Why a link goes that does not answer an `AUTH`.
pub(super) const AUTH_UNANSWERED: &str = "AUTH was not answered";

/// What is under way for a seat; one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    None,
    Dial,
    Reauth,
    Check,
}

/// A link's place in the pool.
pub(super) struct Seat {
    pub(super) purpose: Purpose,
    pub(super) link: Option<Arc<Link>>,
    /// Who waits for a link that one user has alone; such a seat is only filled for somebody.
    pub(super) order: Option<Order>,
    /// That link's right to be.
    pub(super) ticket: Option<Ticket>,
    /// Stands in for the link while that waits for the answer to its `AUTH`, or takes its place.
    pub(super) standby: Option<Arc<Link>>,
    /// Why the link goes as soon as the standby is there, if it has to.
    pub(super) to_replace: Option<&'static str>,
    pub(super) task: Task,
    /// A standby is being opened, whatever else is under way; if the link goes meanwhile, it takes its place.
    pub(super) opens_standby: bool,
    /// When the last `AUTH` began.
    pub(super) auth_began: Instant,
    /// When an `AUTH` under way has used up half of the life that the old token had left at its start.
    pub(super) auth_is_late: Option<Instant>,
    /// A lone link waits until then for its standby.
    pub(super) alone_after: Instant,
    /// Dials wait until then.
    pub(super) dial_after: Instant,
    /// The token with which the last dial was refused.
    refused: Option<u64>,
    dial_backoff: Backoff,
    refusal_backoff: Backoff,
    /// The last dial has failed, or what it opened was lost at once.
    is_server_doubted: bool,
    /// Re-AUTHs wait until then.
    pub(super) reauth_after: Instant,
    reauth_backoff: Backoff,
    reauth_failed: bool,
    /// What errors say of the link is not looked into before.
    pub(super) verify_after: Instant,
    /// The last link that was lost here, until another one takes its place.
    lost: Option<u64>,
    losses: u64,
    /// The newest token that this seat has been told of.
    target: u64,
}

impl Seat {
    pub(super) fn new(purpose: Purpose) -> Self {
        let policy = |first: u64, last: u64| {
            RetryPolicy::new().delay(Duration::from_millis(first)).max_delay(Duration::from_millis(last))
        };
        let now = Instant::now();
        Self {
            purpose,
            link: None,
            order: None,
            ticket: None,
            standby: None,
            to_replace: None,
            task: Task::None,
            opens_standby: false,
            auth_began: now,
            auth_is_late: None,
            alone_after: now,
            dial_after: now,
            refused: None,
            dial_backoff: Backoff::new(&policy(100, 2_000)),
            refusal_backoff: Backoff::new(&policy(1_000, 30_000)),
            is_server_doubted: false,
            reauth_after: now,
            reauth_backoff: Backoff::new(&policy(100, 5_000)),
            reauth_failed: false,
            verify_after: now,
            lost: None,
            losses: 0,
            target: 0,
        }
    }

    /// For another user, who has nothing to do with what became of the last one's link. Dials go on waiting for a
    /// server that is in doubt.
    pub(super) fn begin(&mut self, purpose: Purpose) {
        let last = std::mem::replace(self, Self::new(purpose));
        if last.is_server_doubted {
            let Self { dial_after, refused, dial_backoff, refusal_backoff, is_server_doubted, .. } = last;
            let new = Self::new(purpose);
            *self = Self { dial_after, refused, dial_backoff, refusal_backoff, is_server_doubted, ..new };
        }
    }

    /// Whether it is one for the commands of all handles.
    pub(super) fn is_shared(&self) -> bool {
        self.purpose == Purpose::Shared
    }

    /// Whether there is to be a link, or is one.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_shared() || self.order.is_some() || self.link.is_some()
    }

    /// Whether there is a standby, or will be.
    pub(super) fn has_standby(&self) -> bool {
        self.standby.is_some() || self.opens_standby
    }

    /// Whether a link is being opened here.
    pub(super) fn is_dialing(&self) -> bool {
        self.task == Task::Dial || self.opens_standby
    }

    /// Whether its link takes commands only when no other one does.
    pub(super) fn is_reauthenticating(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_reauthenticating())
    }

    /// The end of a dial.
    pub(super) fn dial_ended(&mut self) {
        if !std::mem::take(&mut self.opens_standby) {
            self.task = Task::None;
        }
    }

    /// Whether the link's `AUTH` has taken as long by now as the old token lives from now on.
    pub(super) fn auth_is_late(&self, now: Instant) -> bool {
        self.task == Task::Reauth && self.auth_is_late.is_some_and(|late| late <= now)
    }

    /// The links that commands may find here.
    pub(super) fn links(&self) -> impl Iterator<Item = &Arc<Link>> {
        self.link.iter().chain(&self.standby)
    }

    /// Takes in a new link; returns the number of the lost one that it replaces.
    pub(super) fn dialed(&mut self, link: Arc<Link>) -> Option<u64> {
        self.refusal_backoff.reset();
        if self.link.is_some() {
            self.standby = Some(link);
            return None;
        }
        link.succeeds(self.losses);
        self.link = Some(link);
        self.lost.take()
    }

    /// The number of a lost link, and that of the link which has taken its place; told once.
    pub(super) fn replaced(&mut self) -> Option<(u64, u64)> {
        let by = self.link.as_ref()?.id();
        Some((self.lost.take()?, by))
    }

    /// When to try again. A token that Redis refuses, it will go on refusing for a while.
    pub(super) fn dial_failed(&mut self, refused: Option<u64>) -> Duration {
        let backoff = if refused.is_some() { &mut self.refusal_backoff } else { &mut self.dial_backoff };
        let delay = backoff.next_delay();
        self.dial_after = Instant::now() + delay;
        self.refused = refused;
        self.is_server_doubted = true;
        delay
    }

    /// Whether it is time to dial. The delay after a refusal is for the token that was refused: a newer one is tried at
    /// once.
    pub(super) fn may_dial(&mut self, now: Instant, newest: u64) -> bool {
        if self.refused.is_some_and(|refused| refused < newest) {
            self.refused = None;
            self.dial_after = now;
        }
        now >= self.dial_after
    }

    /// Whether what errors say of the link may be looked into; a script that says such a thing each time costs a `PING`
    /// once in a while.
    pub(super) fn may_verify(&self) -> bool {
        Instant::now() >= self.verify_after
    }

    pub(super) fn checked(&mut self) {
        self.task = Task::None;
        self.verify_after = Instant::now() + VERIFY_EVERY;
    }

    pub(super) fn reauthenticated(&mut self) {
        self.reauth_failed = false;
        self.reauth_backoff.reset();
    }

    /// Whether the link has refused the newest token already.
    pub(super) fn reauth_failed_before(&self) -> bool {
        self.reauth_failed
    }

    pub(super) fn reauth_failed(&mut self) {
        self.reauth_failed = true;
        self.reauth_after = Instant::now() + self.reauth_backoff.next_delay();
    }

    /// A new token: what failed with the old one may be tried at once, within `spread` so that not all links start at
    /// the same moment, and a lone link has some `patience`.
    pub(super) fn rotate(&mut self, generation: u64, spread: Duration, patience: Duration) {
        if self.target != generation {
            self.target = generation;
            self.reauth_failed = false;
            self.reauth_backoff.reset();
            let now = Instant::now();
            self.reauth_after = now + spread.mul_f64(fastrand::f64());
            self.alone_after = now + patience;
        }
    }
}

#[cfg(test)]
mod tests;
