//! Between the callers of a link and its driver: what is to be written, and who waits for what.
//!
//! What is queued, the link's condition and the connection's end are in one place because one lock keeps them together:
//! a request is queued in a condition that admits it, or not at all, and nothing is queued once the driver has taken
//! the last of it.

use super::{
    condition::{Access, Condition, OPEN, REAUTHENTICATING, code},
    counts::Counts,
    departures::Departures,
    entry::{Entry, NewRequest, Outstanding, Taken, Through},
    reply::{PendingReply, ReplyCell},
    spare::Spare,
};
use crate::{
    admission::Admission,
    lock::lock,
    sync::{Arc, AtomicBool, AtomicU8, Mutex},
};
use std::{
    sync::atomic::Ordering::SeqCst,
    task::{Context, Waker},
};

/// A buffer that has grown beyond this is given back once it is empty.
pub(super) const LARGEST_IDLE_BUFFER: usize = 1 << 20;

pub(crate) struct Queue {
    inner: Mutex<Inner>,
    /// The condition without its reason, for those who only look; written under the lock.
    condition: AtomicU8,
    /// Whether the connection is gone; written under the lock.
    ended: AtomicBool,
    counts: Counts,
    /// A large reply is on its way.
    congested: AtomicBool,
    /// Those who wait until commands are through.
    departures: Departures,
    /// Shared by all links.
    admission: Arc<Admission>,
}

struct Inner {
    condition: Condition,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    /// Bytes queued since the connection began.
    offset: u64,
    /// The driver, when it sleeps.
    driver: Option<Waker>,
    spare: Spare,
}

impl Queue {
    pub(super) fn new(admission: Arc<Admission>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                condition: Condition::Open,
                bytes: Vec::new(),
                entries: Vec::new(),
                offset: 0,
                driver: None,
                spare: Spare::default(),
            }),
            condition: AtomicU8::new(code(Condition::Open)),
            ended: AtomicBool::new(false),
            counts: Counts::new(),
            congested: AtomicBool::new(false),
            departures: Departures::new(),
            admission,
        }
    }

    /// Queues what `encode` writes; none if the link does not take it now.
    ///
    /// Commands hold a permit, which is given back when they are through; not those of a link's only user.
    pub(super) fn push(
        &self,
        access: Access,
        request: NewRequest,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Option<(PendingReply, usize)> {
        let mut guard = lock(&self.inner);
        let inner = &mut *guard;
        let admitted = match access {
            Access::Open => inner.condition == Condition::Open,
            Access::Reauthenticating => inner.condition == Condition::Reauthenticating,
            Access::Alone => !matches!(inner.condition, Condition::Down(_)),
            Access::Own => true,
        };
        if !admitted || self.has_ended() {
            return None;
        }
        let before = inner.bytes.len();
        encode(&mut inner.bytes);
        let len = inner.bytes.len() - before;
        let begins = inner.offset;
        inner.offset += len as u64;
        let cell = inner.spare.take();
        let NewRequest { deadline, expect, quiet, alone } = request;
        let reply = PendingReply(Arc::clone(&cell));
        let counted = access != Access::Own;
        let permitted = counted && access != Access::Alone;
        let (ends, cell) = (inner.offset, Some(cell));
        inner.entries.push(Entry { begins, ends, deadline, expect, cell, quiet, counted, alone, permitted });
        if counted {
            self.counts.queue_command();
        } else {
            self.counts.queue_own(alone);
        }
        let driver = inner.driver.take();
        drop(guard);
        if let Some(driver) = driver {
            driver.wake();
        }
        Some((reply, len))
    }

    /// Moves what is queued to the end of `outstanding`. If nothing is, the driver will be woken by the next
    /// [`push`](Self::push).
    ///
    /// With `patience`, what is queued stays if it does not come from a lone caller.
    #[inline]
    pub(super) fn take(&self, outstanding: &mut Outstanding, patience: bool, cx: &Context<'_>) -> Taken {
        let taken = self.take_locked(outstanding, patience, cx);
        if !outstanding.unread.is_empty() {
            drop_all(&mut outstanding.unread);
        }
        taken
    }

    #[inline]
    fn take_locked(&self, outstanding: &mut Outstanding, patience: bool, cx: &Context<'_>) -> Taken {
        let mut inner = lock(&self.inner);
        let inner = &mut *inner;
        inner.spare.recycle(outstanding);
        if inner.entries.is_empty() {
            if !inner.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                inner.driver = Some(cx.waker().clone());
            }
            return Taken::Nothing;
        }
        if patience && self.in_flight() > 1 {
            return Taken::Deferred;
        }
        if outstanding.bytes.is_empty() {
            std::mem::swap(&mut outstanding.bytes, &mut inner.bytes);
            if inner.bytes.capacity() > LARGEST_IDLE_BUFFER {
                inner.bytes = Vec::new();
            }
        } else {
            outstanding.bytes.append(&mut inner.bytes);
        }
        let mut counted = 0;
        outstanding.entries.reserve(inner.entries.len());
        // Moved one by one: `extend` moves each over the stack.
        for entry in inner.entries.drain(..) {
            counted += usize::from(entry.counted);
            outstanding.entries.push_back(entry);
        }
        self.admission.note_sent(counted);
        Taken::Something
    }

    /// Notes that requests are through, and gives back the permits of the commands among them.
    pub(super) fn left(&self, through: Through) {
        // All counts are right before anybody is woken.
        self.counts.left(&through);
        self.admission.release(through.permits);
        if through.commands > 0 {
            self.departures.tell();
        }
    }

    pub(super) fn set_congested(&self, congested: bool) {
        if self.congested.load(SeqCst) != congested {
            self.congested.store(congested, SeqCst);
        }
    }

    /// Takes the link out of use. Returns what was queued and has not been taken.
    pub(super) fn give_back(&self, reason: &'static str) -> Vec<Entry> {
        self.set(Condition::Down(reason));
        let mut inner = lock(&self.inner);
        inner.offset -= inner.bytes.len() as u64;
        inner.bytes.clear();
        self.counts.give_back(inner.entries.iter().filter(|entry| entry.counted).count());
        std::mem::take(&mut inner.entries)
    }

    /// The connection is gone: nothing is taken any more. Returns what was queued.
    pub(super) fn end(&self, reason: &'static str) -> Vec<Entry> {
        self.set(Condition::Down(reason));
        let mut inner = lock(&self.inner);
        self.ended.store(true, SeqCst);
        inner.driver = None;
        inner.bytes = Vec::new();
        inner.spare = Spare::default();
        std::mem::take(&mut inner.entries)
    }

    pub(crate) fn condition(&self) -> Condition {
        lock(&self.inner).condition
    }

    /// Whether the connection is gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.condition.load(SeqCst) == OPEN
    }

    pub(crate) fn is_reauthenticating(&self) -> bool {
        self.condition.load(SeqCst) == REAUTHENTICATING
    }

    /// Whether a large reply is on its way, behind which others wait.
    pub(crate) fn is_congested(&self) -> bool {
        self.congested.load(SeqCst)
    }

    /// Commands queued since the connection began, without those that were given back and without the link's own
    /// requests.
    pub(crate) fn commands_queued(&self) -> u64 {
        self.counts.commands_queued()
    }

    /// Whether the first `count` commands are answered.
    pub(crate) fn has_answered(&self, count: u64) -> bool {
        self.counts.has_answered(count)
    }

    /// Whether an `AUTH` is unanswered.
    pub(super) fn has_auth(&self) -> bool {
        self.counts.has_auth()
    }

    /// Whether an `AUTH` is unanswered, and no command before the newest one is.
    pub(super) fn awaits_auth(&self) -> bool {
        self.counts.awaits_auth()
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.counts.in_flight()
    }

    /// Changes the condition; `Down` is for ever, and keeps its first reason.
    pub(crate) fn set(&self, condition: Condition) {
        let mut inner = lock(&self.inner);
        if !matches!(inner.condition, Condition::Down(_)) {
            inner.condition = condition;
            self.condition.store(code(condition), SeqCst);
        }
    }

    /// Changes `from` to `to`, unless the condition is another one by now.
    pub(crate) fn swap(&self, from: Condition, to: Condition) {
        let mut inner = lock(&self.inner);
        if inner.condition == from {
            inner.condition = to;
            self.condition.store(code(to), SeqCst);
        }
    }

    /// Waits until no command is in flight. An `AUTH` that is never answered keeps nobody waiting.
    pub(crate) async fn drained(&self) {
        self.departures.until(|| self.counts.commands() == 0).await;
    }

    /// Waits until the first `count` commands are answered, or the connection is gone.
    pub(crate) async fn answered(&self, count: u64) {
        self.departures.until(|| self.has_ended() || self.has_answered(count)).await;
    }
}

/// Also gives back the memory: many callers may have gone at once.
#[cold]
fn drop_all(cells: &mut Vec<Arc<ReplyCell>>) {
    *cells = Vec::new();
}

#[cfg(test)]
mod tests;
