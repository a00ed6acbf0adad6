//! Errors with which a node sends a command elsewhere, and how often one command follows them.

use super::{address::NodeAddress, slot::Slot};
use crate::retry::{Backoff, RetryPolicy};
use redis::{RedisError, ServerError, ServerErrorKind, Value};
use std::time::Duration;
use tokio::time::Instant;

/// What a node says of a command that it has not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// The slot belongs to another node: send it there, and the next ones too.
    Moved { slot: Slot, to: NodeAddress },
    /// The slot is on its way to another node, and these keys are not here any more: send this one there, behind
    /// `ASKING`.
    Ask { slot: Slot, to: NodeAddress },
    /// The slot is on its way, and some of these keys are here and some there: send it again a little later.
    TryAgain,
    /// No node serves the slot, or the cluster as a whole is down: send it again a little later.
    ClusterDown,
    /// Its keys are in several slots. It cannot be sent again.
    CrossSlot,
}

/// A command, as far as it must be known to read an error about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent<'a> {
    /// The slot of its keys; none for one without keys.
    pub(crate) slot: Option<Slot>,
    /// Whether it runs a script or a function, which writes errors of its own after it has done what it does.
    pub(crate) runs_script: bool,
    /// The node that it was sent to.
    pub(crate) to: &'a NodeAddress,
}

/// The texts of Redis's own errors. A command that a script calls never fails with these codes (but with `ERR`), so an
/// error with one of them and another text is the script's own.
const TRY_AGAIN: &str = "Multiple keys request during rehashing of slot";
const CROSS_SLOT: &str = "Keys in request don't hash to the same slot";
const CLUSTER_DOWN: [&str; 3] =
    ["The cluster is down", "The cluster is down and only accepts read commands", "Hash slot not served"];

impl Redirect {
    /// What `error` says of the command that it answers. None for all other errors, for a malformed one, and for
    /// `MOVED` or `ASK` of another slot than the command's: a script may have written that.
    pub(crate) fn of(error: &ServerError, sent: Sent<'_>) -> Option<Self> {
        let details = error.details();
        let is_redis = |words: &[&str]| !sent.runs_script || details.is_some_and(|details| words.contains(&details));
        match error.kind()? {
            ServerErrorKind::Moved => target(details?, sent).map(|(slot, to)| Self::Moved { slot, to }),
            ServerErrorKind::Ask => target(details?, sent).map(|(slot, to)| Self::Ask { slot, to }),
            ServerErrorKind::TryAgain => is_redis(&[TRY_AGAIN]).then_some(Self::TryAgain),
            ServerErrorKind::ClusterDown => is_redis(&CLUSTER_DOWN).then_some(Self::ClusterDown),
            ServerErrorKind::CrossSlot => is_redis(&[CROSS_SLOT]).then_some(Self::CrossSlot),
            _ => None,
        }
    }

    /// As [`of`](Self::of), for an error that is the redis crate's already; of a transaction, the first error counts.
    pub(crate) fn of_redis_error(error: &RedisError, sent: Sent<'_>) -> Option<Self> {
        let errors = error.clone().into_server_errors()?;
        errors.first().and_then(|(_, error)| Self::of(error, sent))
    }

    /// The node that it leads to.
    pub(crate) fn target(&self) -> Option<&NodeAddress> {
        match self {
            Self::Moved { to, .. } | Self::Ask { to, .. } => Some(to),
            Self::TryAgain | Self::ClusterDown | Self::CrossSlot => None,
        }
    }
}

/// `slot host:port`, for the command's own slot.
fn target(details: &str, sent: Sent<'_>) -> Option<(Slot, NodeAddress)> {
    let (slot, address) = named(details)?;
    let to = NodeAddress::parse(address, sent.to)?;
    (sent.slot == Some(slot)).then_some((slot, to))
}

fn named(details: &str) -> Option<(Slot, &str)> {
    let (slot, address) = details.split_once(' ')?;
    let is_number = slot.bytes().all(|byte| byte.is_ascii_digit());
    let slot = is_number.then(|| slot.parse().ok()).flatten().and_then(Slot::new)?;
    Some((slot, address))
}

/// The slot that `MOVED` or `ASK` names: that of the command's keys, if nobody here knows where these are.
pub(crate) fn named_slot(error: &ServerError) -> Option<Slot> {
    match error.kind()? {
        ServerErrorKind::Moved | ServerErrorKind::Ask => named(error.details()?).map(|(slot, _)| slot),
        _ => None,
    }
}

/// `MOVED` as it is told to somebody who took a cluster for a single endpoint; anything else as it is.
pub(crate) fn explain_moved(value: Value) -> Value {
    match value {
        Value::ServerError(error) => Value::ServerError(explain_moved_error(error)),
        value => value,
    }
}

/// The same, for an error.
pub(crate) fn explain_moved_error(error: ServerError) -> ServerError {
    const WHAT_TO_DO: &str = "this server is a node of a cluster: connect with `Topology::Auto` or `Topology::OssCluster` \
                              in place of `Topology::SingleEndpoint`";
    if error.kind() != Some(ServerErrorKind::Moved) {
        return error;
    }
    let details = error.details().unwrap_or_default().replace(['\r', '\n'], " ");
    // Only the redis crate makes such an error, out of a line.
    match redis::parse_redis_value(format!("-MOVED {details} ({WHAT_TO_DO})\r\n").as_bytes()) {
        Ok(Value::ServerError(explained)) => explained,
        _ => error,
    }
}

/// How many `MOVED` and `ASK` one command follows at once. As many lead from the oldest map to the right node through
/// a chain of failovers; what takes more goes in circles.
const AT_ONCE: u8 = 5;

/// The first of the growing delays after that, and between attempts at a slot that nobody serves; and the longest.
const FIRST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_millis(500);

/// What one command may still follow. A count bounds only what goes at once: all in all it is bounded by the command's
/// deadline, so that a command outlives a slow failover.
#[derive(Debug, Default)]
pub(crate) struct RedirectBudget {
    followed: u8,
    backoff: Option<Box<Backoff>>,
}

impl RedirectBudget {
    /// How long to wait before the command is sent again; nothing at all for the first redirects. None if it is not to
    /// be sent again: the caller gets the error.
    pub(crate) fn next_delay(&mut self, redirect: &Redirect, now: Instant, deadline: Instant) -> Option<Duration> {
        let is_at_once = match redirect {
            Redirect::CrossSlot => return None,
            Redirect::Moved { .. } | Redirect::Ask { .. } => self.followed < AT_ONCE,
            Redirect::TryAgain | Redirect::ClusterDown => false,
        };
        let delay = if is_at_once {
            self.followed += 1;
            Duration::ZERO
        } else {
            let policy = || RetryPolicy::new().delay(FIRST_DELAY).max_delay(LONGEST_DELAY);
            let backoff = self.backoff.get_or_insert_with(|| Box::new(Backoff::new(&policy())));
            // Full jitter may draw nothing at all; what goes in circles wants some time.
            backoff.next_delay().max(FIRST_DELAY / 4)
        };
        (delay < deadline.saturating_duration_since(now)).then_some(delay)
    }
}

#[cfg(test)]
mod tests;
