//! Where the messages for one consumer wait for it.

use super::{
    delivery::{Delivery, GapReason},
    topic::{Kind, Topic},
};
use crate::lock::lock;
use redis::Msg;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Mutex,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

/// Bounded: what does not fit is dropped, and the consumer told.
pub(super) struct Mailbox {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Delivery>,
    /// Messages in the queue; the gaps between them take no room.
    messages: usize,
    /// What has been missed after all that is queued; for each reason at most one, however often it happens.
    missed: Vec<Missed>,
    reader: Option<Waker>,
    has_ended: bool,
}

struct Missed {
    topics: BTreeSet<Topic>,
    from: SystemTime,
    until: SystemTime,
    reason: GapReason,
    dropped: u64,
}

impl Missed {
    fn told(self) -> Delivery {
        Delivery::Gap {
            channels: self.topics.into_iter().collect(),
            from: self.from,
            // The clock may have been set back meanwhile.
            until: self.until.max(self.from),
            reason: self.reason,
            dropped: (self.reason == GapReason::SlowConsumer).then_some(self.dropped),
        }
    }
}

impl State {
    fn missed(&mut self, reason: GapReason, from: SystemTime) -> &mut Missed {
        let at = self.missed.iter().position(|missed| missed.reason == reason).unwrap_or_else(|| {
            let missed = Missed { topics: BTreeSet::new(), from, until: from, reason, dropped: 0 };
            self.missed.push(missed);
            self.missed.len() - 1
        });
        let missed = &mut self.missed[at];
        missed.from = missed.from.min(from);
        missed
    }
}

impl Mailbox {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// Puts a message at the end, or notes that it was dropped. Returns whom to wake.
    #[must_use]
    pub(super) fn message(&self, kind: Kind, msg: Msg) -> Option<Waker> {
        let mut state = lock(&self.state);
        let state = &mut *state;
        if state.messages < self.capacity {
            // In its place: what was missed was missed before this.
            state.queue.extend(state.missed.drain(..).map(Missed::told));
            state.queue.push_back(Delivery::Message(msg));
            state.messages += 1;
            return state.reader.take();
        }
        let name = if kind == Kind::Pattern { msg.get_pattern() } else { msg.get_channel() };
        let now = SystemTime::now();
        let missed = state.missed(GapReason::SlowConsumer, now);
        missed.topics.insert(kind.topic(name.unwrap_or_default()));
        missed.until = now;
        missed.dropped += 1;
        None
    }

    /// Notes that messages of these topics may have been missed. Returns whom to wake.
    #[must_use]
    pub(super) fn gap(
        &self,
        topics: impl IntoIterator<Item = Topic>,
        (from, until): (SystemTime, SystemTime),
        reason: GapReason,
    ) -> Option<Waker> {
        let mut state = lock(&self.state);
        let missed = state.missed(reason, from);
        missed.topics.extend(topics);
        missed.until = missed.until.max(until);
        state.reader.take()
    }

    /// There will be nothing more. Returns whom to wake.
    #[must_use]
    pub(super) fn end(&self) -> Option<Waker> {
        let mut state = lock(&self.state);
        state.has_ended = true;
        state.reader.take()
    }

    /// The next one; none after the last one.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut state = lock(&self.state);
        if let Some(delivery) = state.queue.pop_front() {
            state.messages -= usize::from(matches!(delivery, Delivery::Message(_)));
            return Poll::Ready(Some(delivery));
        }
        if !state.missed.is_empty() {
            return Poll::Ready(Some(state.missed.remove(0).told()));
        }
        if state.has_ended {
            return Poll::Ready(None);
        }
        if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            state.reader = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
