//! After a pause: what has happened meanwhile comes first.
//!
//! A process that stands still (its thread is blocked, or nobody drives its runtime) notices neither that the server has closed
//! a connection nor that the connection's token has died. A command that is written then is lost, for nobody knows whether it
//! has run.

use super::{Driver, Reason};
use crate::link::queue::EXPIRED;
use std::{
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::{coop, yield_now},
    time::Instant,
};

/// A driver that has not run for this long may have been kept from it. No longer than most tokens count as expired before they
/// are.
const PAUSE: Duration = Duration::from_millis(100);

/// When a driver ran last, and whether it has yet to read what came since.
pub(super) struct Pause {
    ran: Instant,
    behind: bool,
}

impl Pause {
    pub(super) fn new() -> Self {
        Self { ran: Instant::now(), behind: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// After a pause, reads all that has come before anything is written; pending until that is done. What is queued for a
    /// connection whose token has died is given back unsent.
    pub(super) fn catch_up(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        let now = Instant::now();
        let ran = std::mem::replace(&mut self.pause.ran, now);
        if now.saturating_duration_since(ran) >= PAUSE {
            self.pause.behind = true;
            // The runtime has to look at its sockets first: until then, none is known to have anything.
            ready!(pin!(yield_now()).poll(cx));
        }
        if self.pause.behind {
            // Before the first request nothing that comes can be a reply.
            if self.written > 0 {
                ready!(self.read_all(cx))?;
            }
            self.pause.behind = false;
        }
        if self.pulse.has_expired(now) {
            self.give_back();
        }
        Poll::Ready(Ok(()))
    }

    fn read_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        loop {
            let more = self.replies();
            self.wake();
            if more? {
                continue;
            }
            match self.inbox.fill(Pin::new(&mut self.stream), cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err("connection closed")),
                Poll::Ready(Ok(_)) => self.pulse.beat(),
                Poll::Ready(Err(_)) => return Poll::Ready(Err("connection broken")),
                Poll::Pending if coop::has_budget_remaining() => return Poll::Ready(Ok(())),
                // There may be more: it is the task's turn that is over, and it has been woken for another one.
                Poll::Pending => return Poll::Pending,
            }
        }
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
