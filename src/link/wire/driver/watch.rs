//! Deadlines and silence: one timer for all requests of a connection.

use super::Driver;
use crate::link::wire::{
    queue::Entry,
    reply::{Answer, Outcome},
};
use std::{task::Context, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

/// A server that leaves requests without a byte for this long is doubted: traffic goes elsewhere, and a `PING` finds out.
pub(crate) const SILENCE: Duration = Duration::from_secs(1);

/// What the oldest request was at the last look, and when that was.
#[derive(Clone, Copy)]
pub(super) struct Look {
    begins: u64,
    at: Instant,
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
            self.listen(now);
            let look = self.looked.map(|_| now + SILENCE);
            self.set_alarm(deadline.into_iter().chain(look).min());
        }
    }

    /// Ends what is past its deadline; its reply, should it come, is passed over. Returns the next deadline.
    fn expire(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for entry in self.hand.entries.iter_mut().chain(&mut self.quiet) {
            let Some(deadline) = entry.deadline.filter(|_| entry.slot.is_some()) else {
                continue;
            };
            if deadline > now {
                next = Some(next.map_or(deadline, |at| at.min(deadline)));
            } else if let Some(slot) = entry.slot.take() {
                self.wakers.extend(slot.fill(Answer { outcome: Outcome::TimedOut, large: false, deadline }));
            }
        }
        self.wake();
        next
    }

    /// Doubts the server if the oldest request is still the same as at the last look, and not a byte has come since.
    fn listen(&mut self, now: Instant) {
        let oldest = self.hand.entries.front().map(|entry: &Entry| entry.begins);
        match (self.looked, oldest) {
            (Some(last), Some(begins)) if last.begins == begins => {
                if now.saturating_duration_since(last.at) >= SILENCE && self.pulse.silent_since(last.at) {
                    self.pulse.doubt();
                    self.keeper.notify_one();
                }
            }
            (_, oldest) => self.looked = oldest.map(|begins| Look { begins, at: now }),
        }
    }
}
