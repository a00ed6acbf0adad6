//! The time by which replies are kept.
//!
//! It is the wall clock's: the monotonic one stands still while a machine is suspended, and what is kept would not age.
//! The wall clock may be set, though. Set forward, it makes what is kept seem older, which is then read once more. Set
//! back, it makes it seem younger: the task that asks a server for signs of life compares the two clocks, and drops
//! what is kept then.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// The two clocks are not read at the same moment, and the wall clock is made to go slower while it is put right.
const SLACK: Duration = Duration::from_millis(20);
const SLOWER: u32 = 1_000;

/// A moment of the wall clock, in microseconds since 1970: 584,000 years fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    #[inline]
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Every hit comes by here: without the 128 bits of `as_micros`.
        Self(since.as_secs().saturating_mul(1_000_000) + u64::from(since.subsec_micros()))
    }

    pub(super) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    }

    #[inline]
    pub(super) fn micros(self) -> u64 {
        self.0
    }
}

/// A moment of both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Both {
    pub(crate) wall: Moment,
    pub(crate) monotonic: Instant,
}

impl Both {
    /// Whether the wall clock has been set back between this moment and a later one.
    pub(crate) fn was_set_back_until(self, later: Self) -> bool {
        let passed = later.monotonic.saturating_duration_since(self.monotonic);
        let by_wall = Duration::from_micros(later.wall.0.saturating_sub(self.wall.0));
        by_wall + SLACK + passed / SLOWER < passed || later.wall < self.wall && passed < SLACK
    }
}

#[cfg(test)]
mod tests;
