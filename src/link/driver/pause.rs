//! After a pause: what has happened meanwhile comes first.
//!
//! A process that stands still (its thread is blocked, or nobody drives its runtime) notices neither that the server
//! has closed a connection nor that the connection's token has died. A command that is written then is lost, for nobody
//! knows whether it has run.

use super::{Driver, Reason};
use crate::link::condition::EXPIRED;
use std::{
    pin::pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::yield_now,
    time::Instant,
};

/// A driver that has not run for this long may have been kept from it. It is less than the time before a token's end at
/// which the token counts as dead (`LAST_MOMENT` of its type, for all but short-lived ones): what a shorter standstill
/// leaves unnoticed, the server still serves.
const PAUSE: Duration = Duration::from_millis(100);

/// When a driver ran last, and whether it has yet to read what came since.
pub(super) struct Pause {
    ran: Instant,
    behind: Behind,
}

enum Behind {
    No,
    /// It has let the runtime look at its sockets, and read nothing since.
    Unread,
    /// Until when it does nothing but read: what comes as fast as it is read has no end, and meanwhile nothing is
    /// written, and no deadline is looked at.
    Until(Instant),
}

impl Pause {
    pub(super) fn new() -> Self {
        Self { ran: Instant::now(), behind: Behind::No }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// After a pause, reads all that has come before anything is written, for as long again as the shortest pause at
    /// most; pending until that is done. What is queued for a connection whose token has died is given back unsent.
    pub(super) fn catch_up(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        let ran = std::mem::replace(&mut self.pause.ran, now);
        let is_paused = now.saturating_duration_since(ran) >= PAUSE;
        // Once only: where something else takes that long at each turn of the runtime, every poll comes after a pause.
        if is_paused && matches!(self.pause.behind, Behind::No) {
            self.pause.behind = Behind::Unread;
            // The runtime has to look at its sockets first: until then, none is known to have anything.
            ready!(pin!(yield_now()).poll(cx));
        }
        let until = match self.pause.behind {
            Behind::No => None,
            // From now on: what the runtime did before this turn may have taken as long.
            Behind::Unread => Some(now + PAUSE),
            Behind::Until(until) => Some(until),
        };
        if let Some(until) = until {
            // Before the first request nothing that comes can be a reply.
            if self.written > 0 && self.read(cx)? && now < until {
                self.pause.behind = Behind::Until(until);
                return Poll::Pending;
            }
            self.pause.behind = Behind::No;
        }
        if self.liveness.has_expired(now) {
            if self.liveness.is_validating() && !self.queue.has_auth() {
                // The answer to the `AUTH` has come: whoever waited for it is about to say until when the link may be
                // used.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.give_back();
        }
        Poll::Ready(Ok(()))
    }

    /// Gives back what has not been taken from the queue, and takes the link out of use.
    #[cold]
    fn give_back(&mut self) {
        let entries = self.queue.give_back(EXPIRED);
        if entries.is_empty() {
            return;
        }
        for entry in &entries {
            self.through.add(entry);
        }
        let usual = Instant::now() + self.patience;
        for mut entry in entries {
            entry.deadline.get_or_insert(usual);
            self.give_up(entry);
        }
        self.hand_over();
        self.wake();
        self.keeper.notify_one();
    }
}

#[cfg(test)]
mod tests;
