//! The value of a key that only grows, as those see it who read it from memory.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What is known of one key.
#[derive(Debug)]
pub(crate) struct Versions {
    max_staleness: Duration,
    /// The greatest value that a read has given, or that every read must know of.
    least: u64,
    /// Values that were written, and when the server had confirmed them.
    written: VecDeque<(Instant, u64)>,
    /// What the server had, and when that was known; both grow.
    had: VecDeque<(Instant, u64)>,
}

/// So much is remembered of what the server had: more than a replica may not have had.
const REMEMBERED: Duration = Duration::from_secs(30);

impl Versions {
    pub(crate) fn new(max_staleness: Duration) -> Self {
        Self { max_staleness, least: 0, written: VecDeque::new(), had: VecDeque::new() }
    }

    /// The least that a read may give that begins now: what another one has given before, and what was written
    /// `max_staleness` ago.
    pub(crate) fn floor(&mut self, now: Instant) -> u64 {
        while let Some(&(at, value)) = self.written.front()
            && at + self.max_staleness < now
        {
            self.least = self.least.max(value);
            self.written.pop_front();
        }
        self.least
    }

    /// The server has confirmed a write.
    pub(crate) fn written(&mut self, now: Instant, value: u64) {
        self.written.push_back((now, value));
        self.had(now, value);
    }

    fn had(&mut self, now: Instant, value: u64) {
        if self.had.back().is_none_or(|(_, newest)| *newest < value) {
            self.had.push_back((now, value));
        }
        // The front one is what it had before all that is remembered.
        while self.had.get(1).is_some_and(|(at, _)| *at + REMEMBERED < now) {
            self.had.pop_front();
        }
    }

    /// A read has given this, where the least was `floor`; whether that is right.
    #[must_use]
    pub(crate) fn read(&mut self, now: Instant, value: u64, floor: u64) -> bool {
        self.had(now, value);
        self.least = self.least.max(value);
        value >= floor
    }

    /// Whether a read may give this if the server may have lost what it had at certain moments: all that is greater.
    /// What it tells is known from then on.
    pub(crate) fn may_be_set_back(&mut self, value: u64, may_be_lost: impl Fn(Instant) -> bool) -> bool {
        let is_right = self.had.iter().filter(|(_, had)| *had > value).all(|(at, _)| may_be_lost(*at));
        if is_right {
            self.had.retain(|(_, had)| *had <= value);
            self.written.retain(|(_, written)| *written <= value);
            self.least = value;
        }
        is_right
    }
}
