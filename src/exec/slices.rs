//! A command that blocks, in slices: between them its link is given a new token, and a dead link is noticed.
//!
//! Each slice ends by the timeout that Redis is told with it. So nothing is ever taken back from the server, and no
//! element is on its way to somebody who has stopped waiting.

use super::core::Core;
use crate::{
    command::timeout::Blocks,
    link::{Completion, Condition, Link, Outcome},
    pool::Lease,
};
use redis::{Cmd, Value};
use std::time::Duration;
use tokio::time::Instant;

/// No slice is shorter, unless it is the last one: near the end of a token's life each would be half of the one before.
const SHORTEST: Duration = Duration::from_millis(10);

/// What Redis's clock, in milliseconds, and its way of rounding may be off.
const TOLERANCE: Duration = Duration::from_millis(2);

/// A reply that says that nothing has come, so much before the end of its slice, is somebody's wish
/// (`CLIENT UNBLOCK`): Redis itself is never early by more than its clock's tick.
const EARLY: Duration = Duration::from_millis(20);

/// An `AUTH` is waited for so long at most, if the link lives much longer; then there is another slice before it.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is looked whether a link that is to have a new token has been given up.
const RECHECK: Duration = Duration::from_millis(50);

/// A link that lives no longer is given the new token, once there is one, before anything else is sent over it: one
/// that is always in use would never be otherwise. It is more than the time before a token's end at which the keeper
/// gives up a link that is in use.
const SHORT_LIFE: Duration = Duration::from_secs(60);

/// Longer than anybody waits; adding more to a clock may overflow.
pub(super) const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Why there is no answer though the connection is there.
pub(super) const LATE: &str = "no reply within its time";

/// How a slice ended.
pub(super) enum End {
    /// With the reply to the whole command.
    Answered(Value),
    /// Nothing has come, as this reply says; there is time for another slice.
    Passed,
    /// What came has no value.
    Unreadable(&'static str),
    /// Nothing was sent: the link is down.
    Unsent,
    /// The connection went down with it, for this reason.
    Lost(&'static str),
    /// Redis has not answered though the slice is over since long ago.
    TimedOut,
}

/// A command that blocks, and its time.
pub(super) struct Slices<'a> {
    core: &'a Core,
    cmd: &'a Cmd,
    /// None if Redis refuses its timeout: it is sent as it is, for Redis's own error.
    blocks: Option<Blocks>,
    /// Whether any reply may mean that not enough has come yet, as that of `WAIT` does.
    counts: bool,
    /// How long an answer may take, besides.
    patience: Duration,
    /// Whether its caller has said so: then the server's silence is no reason to doubt the link.
    is_patient: bool,
    /// When its own time is over; none if it waits for ever.
    pub(super) until: Option<Instant>,
    /// When its caller is told that it has failed, whatever happens.
    pub(super) deadline: Instant,
}

impl<'a> Slices<'a> {
    /// Its time runs from now on. Besides, an answer may take as long as its caller says, or as that of any command.
    pub(super) fn new(
        core: &'a Core,
        cmd: &'a Cmd,
        blocks: Option<Blocks>,
        counts: bool,
        patience: Option<Duration>,
    ) -> Self {
        let began = Instant::now();
        let limit = blocks.map_or(Some(Duration::ZERO), Blocks::limit).filter(|limit| *limit < FOR_EVER);
        let until = limit.map(|limit| began + limit);
        let is_patient = patience.is_some();
        let patience = patience.unwrap_or(core.command_timeout).min(FOR_EVER);
        let deadline = until.unwrap_or(began + FOR_EVER) + patience;
        Self { core, cmd, blocks, counts, patience, is_patient, until, deadline }
    }

    /// The same, of a command that has other arguments now.
    pub(super) fn of(self, cmd: &'a Cmd) -> Self {
        Self { cmd, ..self }
    }

    /// How long the next slice is on a link that may be used for `life`, and whether it is the last one.
    fn length(&self, now: Instant, life: Duration) -> (Duration, bool) {
        // Half of the life: if there is a new token by then, there is time for it.
        let most = self.core.ping_interval.min(life / 2).max(SHORTEST);
        match self.until.map(|until| until.saturating_duration_since(now)) {
            Some(rest) if rest <= most => (rest.max(Duration::from_millis(1)), true),
            // Random, so that the links of many that have begun together are not all given their token at once.
            _ => (most.mul_f64(0.75 + 0.25 * fastrand::f64()), false),
        }
    }

    /// Sends the next slice over the link, and waits for its end. Neither `AUTH` nor `PING` comes between until the
    /// link is released.
    pub(super) async fn next(&self, link: &Link, asking: bool) -> End {
        let now = Instant::now();
        let (length, is_last) = self.length(now, link.authenticated_until().saturating_duration_since(now));
        let cmd = self.blocks.map(|blocks| blocks.with(self.cmd, length));
        let cmd = cmd.as_ref().unwrap_or(self.cmd);
        link.hold();
        let deadline = match self.blocks {
            // The last one of many may have begun late.
            Some(_) => (now + length + self.patience).min(self.deadline),
            None => self.deadline,
        };
        if self.is_patient {
            link.block_until(deadline);
        } else if self.blocks.is_some() {
            link.block_until(now + length);
        }
        let queued = if asking {
            link.command_alone_behind_asking(cmd, Some(deadline))
        } else {
            link.command_alone(cmd, Some(deadline))
        };
        let Some((reply, _)) = queued else {
            return End::Unsent;
        };
        let Completion { outcome, .. } = reply.await;
        match outcome {
            Outcome::Answered(value) => {
                let is_early = now.elapsed() + EARLY < length;
                if self.blocks.is_none() || is_last || is_early || self.is_over() || !self.is_nothing(&value) {
                    End::Answered(value)
                } else {
                    End::Passed
                }
            }
            // It wants no reply, and is sent as it is, as its timeout is none that Redis takes.
            Outcome::Written => End::Answered(Value::Nil),
            Outcome::Unreadable(_, problem) => End::Unreadable(problem),
            Outcome::Unsent(_) | Outcome::HeldBack(_) | Outcome::Aborted(_) => End::Unsent,
            Outcome::Lost(reason, _) => End::Lost(reason),
            Outcome::TimedOut | Outcome::TimedOutHeldBack => End::TimedOut,
        }
    }

    /// Whether the reply says that nothing has come.
    fn is_nothing(&self, value: &Value) -> bool {
        match value {
            Value::Nil => true,
            Value::ServerError(_) => false,
            _ => self.counts,
        }
    }

    /// Whether its own time is over.
    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now() + TOLERANCE)
    }

    /// Whether its own time is over and the link would not answer another slice at once: then nothing has come, and
    /// that is the answer. Otherwise there is a last slice, however long the `AUTH` before it has taken.
    pub(super) fn is_too_late(&self, link: &Link) -> bool {
        !self.counts && self.is_over() && link.is_validating()
    }

    /// Lets the keeper give the link a newer token, if there is one, before the next slice; it is not held meanwhile.
    pub(super) async fn make_way(&self, lease: &Lease) {
        make_way(self.core, lease, self.until, self.deadline).await;
    }

    /// The same before the first slice, if it is time.
    pub(super) async fn begin(&self, lease: &Lease) {
        if is_due(lease) {
            self.make_way(lease).await;
        }
    }
}

/// Whether a link should have a newer token, if there is one, before it is held.
pub(super) fn is_due(lease: &Lease) -> bool {
    lease.link().authenticated_until() < Instant::now() + SHORT_LIFE
}

/// Lets the keeper give the link a newer token, if there is one; it is not held meanwhile. That is waited for until its
/// user's time is over, if there is one, and `deadline` at most.
pub(super) async fn make_way(core: &Core, lease: &Lease, over: Option<Instant>, deadline: Instant) {
    let link = lease.link();
    link.release();
    if is_current(core, link) {
        return;
    }
    // This has the keeper look.
    lease.release();
    let patience = if is_due(lease) { deadline } else { Instant::now() + PAUSE };
    loop {
        let changed = link.reauthenticated();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let is_down = matches!(link.condition(), Condition::Down(_));
        if is_down || core.is_closed() || is_current(core, link) {
            return;
        }
        // What is sent behind an `AUTH` waits for its reply, which may take its time.
        let limit = if link.is_validating() { deadline } else { patience };
        let limit = over.map_or(limit, |over| limit.min(over));
        // Nobody is told when the link is given up instead.
        let now = Instant::now();
        if core.timers.timeout_at(limit.min(now + RECHECK), changed).await.is_none() && now >= limit {
            return;
        }
    }
}

fn is_current(core: &Core, link: &Link) -> bool {
    let newest = core.tokens.live().map_or(0, |current| current.generation);
    link.generation() >= newest && !link.is_validating()
}

#[cfg(test)]
mod tests;
