//! Until when what was read over a connection may be served: that one's invalidations have come up to some moment.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};
use tokio::time::Instant;

/// Microseconds since a cache began: 584,000 years fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(super) fn since(began: Instant, at: Instant) -> Self {
        let since = at.saturating_duration_since(began);
        // Every hit comes by here: without the 128 bits of `as_micros`.
        Self(since.as_secs().saturating_mul(1_000_000) + u64::from(since.subsec_micros()))
    }

    pub(super) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    }

    fn elapsed(self, since: u64) -> u64 {
        self.0.saturating_sub(since)
    }
}

/// A time over which one connection tells of every change of what was read over it. It ends with the connection, and
/// whenever it is not certain any more that all of that is told; what it covered is worth nothing then.
#[derive(Debug)]
pub(crate) struct Coverage {
    is_lost: AtomicBool,
    /// All changes until then have been told: the server has answered something that was asked at this moment, and
    /// replies and invalidations come in order.
    told_until: AtomicU64,
}

impl Coverage {
    /// From this moment on.
    pub(super) fn from(moment: Moment) -> Arc<Self> {
        Arc::new(Self { is_lost: AtomicBool::new(false), told_until: AtomicU64::new(moment.0) })
    }

    /// Another one in the place of this one, which ends: what has been told until now stays told.
    pub(crate) fn succeed(&self) -> Arc<Self> {
        self.lose();
        Arc::new(Self { is_lost: AtomicBool::new(false), told_until: AtomicU64::new(self.told_until.load(Relaxed)) })
    }

    /// Nothing that it covered is served any more.
    pub(crate) fn lose(&self) {
        self.is_lost.store(true, Release);
    }

    #[inline]
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Acquire)
    }

    /// The server has answered what was asked at this moment.
    pub(super) fn told(&self, asked: Moment) {
        self.told_until.fetch_max(asked.0, Release);
    }

    /// Whether no change is unknown for longer than `limit`.
    #[inline]
    pub(super) fn holds(&self, now: Moment, limit: u64) -> bool {
        !self.is_lost() && now.elapsed(self.told_until.load(Acquire)) < limit
    }
}

#[cfg(test)]
mod tests;
