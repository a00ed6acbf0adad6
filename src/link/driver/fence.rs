//! An `AUTH` travels alone: nothing is unanswered when it is written, and nothing follows until it is answered.
//!
//! Redis 7.4.10 and 8.0.6 have been seen not to answer an `AUTH` that fails and is not the first of what they read at
//! once, so that all later replies went to the wrong requests
//! (<https://github.com/StackExchange/StackExchange.Redis/commit/228cd372>).

use super::Driver;
use crate::link::entry::{Entry, Outstanding};
use std::collections::VecDeque;

/// Where the bytes of each `AUTH` begin and end that has not been answered.
#[derive(Default)]
pub(super) struct Fences(VecDeque<(u64, u64)>);

impl Fences {
    /// Takes note of a request that is about to be written, in its turn.
    pub(super) fn see(&mut self, entry: &Entry) {
        if entry.alone {
            self.0.push_back((entry.begins, entry.ends));
        }
    }

    /// How far may be written now, counted from the connection's first byte.
    #[inline]
    fn limit(&mut self, outstanding: &Outstanding) -> u64 {
        // Nearly always there is none.
        if self.0.is_empty() { u64::MAX } else { self.next_limit(outstanding) }
    }

    #[cold]
    fn next_limit(&mut self, outstanding: &Outstanding) -> u64 {
        let oldest = outstanding.entries.front().map_or(u64::MAX, |entry| entry.begins);
        while self.0.front().is_some_and(|(_, ends)| *ends <= oldest) {
            self.0.pop_front();
        }
        match self.0.front() {
            None => u64::MAX,
            Some((begins, _)) if oldest < *begins => *begins,
            Some((_, ends)) => *ends,
        }
    }
}

impl<S> Driver<S> {
    /// How many of the bytes that are to be written may be now.
    pub(super) fn room(&mut self) -> usize {
        let room = self.fences.limit(&self.outstanding).saturating_sub(self.written);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// Whether something waits that may be written by now.
    pub(super) fn is_let_on(&mut self) -> bool {
        self.sent < self.outstanding.bytes.len() && self.room() > 0
    }
}
