//! Deadlines and silence: one timer for all requests of a connection.

use super::Driver;
use crate::link::{
    entry::Entry,
    reply::{Completion, Outcome},
};
use std::{task::Context, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

/// A server that leaves requests without a byte for this long is doubted: traffic goes elsewhere, and a `PING` finds
/// out.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);

/// What the oldest request was at the last look, and since when the server has left it without a sign.
#[derive(Clone, Copy)]
pub(super) struct Look {
    begins: u64,
    since: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Sees to it that a request with this deadline, which came now, is looked at in time.
    pub(super) fn watch_for(&mut self, deadline: Instant, now: Instant) {
        let at = deadline.min(now + SILENCE);
        if self.alarm_at.is_none_or(|alarm| at < alarm) {
            self.set_alarm(Some(at));
        }
    }

    fn set_alarm(&mut self, at: Option<Instant>) {
        self.alarm_at = at;
        if let Some(at) = at {
            self.alarm.as_mut().reset(at);
        }
    }

    pub(super) fn watch(&mut self, cx: &mut Context<'_>) {
        while self.alarm_at.is_some() && self.alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let deadline = self.expire(now);
            let look = self.listen(now);
            self.set_alarm(deadline.into_iter().chain(look).min());
        }
    }

    /// Ends what is past its deadline; its reply, should it come, is passed over. Returns the next deadline.
    fn expire(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for entry in self.outstanding.entries.iter_mut().chain(&mut self.quiet) {
            let Some(deadline) = entry.deadline.filter(|_| entry.cell.is_some()) else {
                continue;
            };
            if deadline > now {
                next = Some(next.map_or(deadline, |at| at.min(deadline)));
            } else if let Some(cell) = entry.cell.take() {
                let is_question = entry.expect.is_question();
                let outcome = if is_question { Outcome::TimedOutHeldBack } else { Outcome::TimedOut };
                self.wakers.extend(cell.fill(Completion { outcome, large: false, deadline }));
            }
        }
        self.wake();
        next
    }

    /// Doubts the server if it has left the oldest request without a sign for too long. Returns when to look again.
    ///
    /// A sign puts the doubt off and does not dispel it: a server can fall silent in the middle of a reply. One that
    /// goes on sending, however slowly, is not doubted, as its reply may be a large one on a slow line.
    fn listen(&mut self, now: Instant) -> Option<Instant> {
        let begins = self.outstanding.entries.front().map(|entry: &Entry| entry.begins);
        self.looked = begins.map(|begins| match self.looked {
            Some(last) if last.begins == begins => Look { begins, since: last.since.max(self.liveness.last_sign_at()) },
            _ => Look { begins, since: now },
        });
        let due = self.looked?.since.max(self.liveness.blocked_until()) + SILENCE;
        if due > now {
            return Some(due);
        }
        self.liveness.doubt();
        self.keeper.notify_one();
        Some(now + SILENCE)
    }
}
