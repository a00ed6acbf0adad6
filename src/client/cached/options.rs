//! What bounds a near cache.

use crate::near_cache::Limits;
use std::time::Duration;

/// How much a near cache keeps, and for how long. Setters consume and return it.
///
/// ```
/// use entra_redis::CacheOptions;
/// use std::time::Duration;
///
/// let options = CacheOptions::new().max_bytes(16 << 20).max_staleness(Duration::from_secs(1));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CacheOptions {
    max_bytes: u64,
    ttl: Duration,
    max_staleness: Duration,
}

impl CacheOptions {
    /// The defaults named at each setter.
    pub fn new() -> Self {
        Self { max_bytes: 64 << 20, ttl: Duration::from_secs(300), max_staleness: Duration::from_secs(5) }
    }

    /// How many bytes of memory keys, values and bookkeeping may take together; default 64 MiB. What has not been used
    /// goes first. A value that is larger than both a 64th of that and 1 MiB may not be kept. With 0 nothing is kept,
    /// and no node is asked to tell of changes; the same if `ttl` or `max_staleness` is 0.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// For how long something is kept at most, whatever Redis says; default 5 minutes. A key that expires on the server
    /// sooner is not kept longer than that. With 0 nothing is kept.
    ///
    /// Fields of a hash that expire by themselves (`HEXPIRE`) are told of only by the server's own invalidation, which
    /// may come later than their end: choose this accordingly if you have such fields.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// For how long a change may be unknown at most; default 5 s.
    ///
    /// While the connection works, a change is known as soon as its invalidation has come, a network's delay after it.
    /// This is what holds when it does not: each node is asked for a sign of life four times within this time, but no
    /// more often than every 50 ms, and nothing that was read from it is served when the last answer was asked for
    /// longer ago. Reads go to the server then, over another connection. With less than 50 ms, or than a few round
    /// trips, hardly anything is served from memory. With 0 nothing is kept.
    pub fn max_staleness(mut self, limit: Duration) -> Self {
        self.max_staleness = limit;
        self
    }

    pub(super) fn into_limits(self) -> Limits {
        let Self { max_bytes, ttl, max_staleness } = self;
        Limits { max_bytes, ttl, max_staleness }
    }
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self::new()
    }
}
