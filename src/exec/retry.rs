//! Errors with which Redis says that it has not run a command, and what to do then.

use crate::{
    link::NOAUTH,
    retry::{Backoff, RetryPolicy},
    timer::Timers,
};
use redis::{ServerError, ServerErrorKind};
use std::time::Duration;
use tokio::time::Instant;

/// What to do with a command that Redis has refused to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The connection lost its authentication: send the command on another one.
    Elsewhere,
    /// The server is not ready: send the command again a little later.
    Later,
    /// The server is no primary any more: connect again, to whatever the host name means now.
    Reconnect,
}

/// The remedy for a refusal; none for an error that is the command's own, or that may have come after it ran.
pub(crate) fn remedy(error: &ServerError) -> Option<Remedy> {
    match error.kind() {
        Some(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain,
        ) => Some(Remedy::Later),
        Some(ServerErrorKind::ReadOnly) => Some(Remedy::Reconnect),
        None if error.code() == NOAUTH && error.details() == Some("Authentication required.") => {
            Some(Remedy::Elsewhere)
        }
        _ => None,
    }
}

/// The first of the growing delays between attempts at a server that is not ready, and the longest.
const FIRST_DELAY: Duration = Duration::from_millis(20);
const LONGEST_DELAY: Duration = Duration::from_millis(500);

/// What one command may still try.
pub(crate) struct Retries<'a> {
    timers: &'a Timers,
    deadline: Instant,
    /// Whether it has been sent again in a way that is allowed once.
    spent: bool,
    backoff: Option<Box<Backoff>>,
}

impl<'a> Retries<'a> {
    pub(crate) fn new(deadline: Instant, timers: &'a Timers) -> Self {
        Self { timers, deadline, spent: false, backoff: None }
    }

    /// Whether the command may be sent again in a way that is allowed once.
    pub(crate) fn once_more(&mut self) -> bool {
        !std::mem::replace(&mut self.spent, true)
    }

    /// Waits until the command may be sent again; false if it may not.
    #[cold]
    pub(crate) async fn allow(&mut self, remedy: Remedy) -> bool {
        if remedy == Remedy::Elsewhere {
            return self.once_more();
        }
        let policy = || RetryPolicy::new().delay(FIRST_DELAY).max_delay(LONGEST_DELAY);
        let backoff = self.backoff.get_or_insert_with(|| Box::new(Backoff::new(&policy())));
        // Full jitter may draw nothing at all; a server that is not ready wants some time.
        let delay = backoff.next_delay().max(FIRST_DELAY / 4);
        let again = Instant::now() + delay;
        if again >= self.deadline {
            return false;
        }
        self.timers.sleep_until(again).await;
        true
    }
}

#[cfg(test)]
mod tests;
