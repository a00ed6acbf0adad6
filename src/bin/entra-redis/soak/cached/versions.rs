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
}

impl Versions {
    pub(crate) fn new(max_staleness: Duration) -> Self {
        Self { max_staleness, least: 0, written: VecDeque::new() }
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
    }

    /// A read has given this, where the least was `floor`; whether that is right.
    #[must_use]
    pub(crate) fn read(&mut self, value: u64, floor: u64) -> bool {
        self.least = self.least.max(value);
        value >= floor
    }

    /// A server was started anew, or has gone: the value may have gone back.
    pub(crate) fn perhaps_lost(&mut self) {
        *self = Self::new(self.max_staleness);
    }
}
