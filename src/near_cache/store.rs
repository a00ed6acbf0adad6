//! Replies in memory, bounded in bytes, and the reads that are under way.

use super::{
    clock::{Both, Moment},
    coverage::Coverage,
    flights::{Came, Flight, Flights},
    form::Query,
    kept::{Bytes, Entry, Kept},
    tally::Tally,
};
use crate::{lock::lock, observe::stats::CacheStats};
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder,
    sync::{Cache, DefaultLifecycle},
};
use redis::Value;
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Parts of the reads under way, each with a lock of its own.
const PARTS: usize = 32;

/// A part of the memory is not smaller than this, so that values of ordinary size find room.
const SMALLEST_SHARD: u64 = 1 << 20;

/// What bounds a cache.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) max_bytes: u64,
    pub(crate) ttl: Duration,
    pub(crate) max_staleness: Duration,
}

impl Limits {
    /// Whether nothing is ever served from memory.
    pub(crate) fn keep_nothing(&self) -> bool {
        // Ages are counted in microseconds.
        self.max_bytes == 0 || self.ttl.is_zero() || self.max_staleness.as_micros() == 0
    }

    /// For how long a reply may be kept, of a key that lives for so long yet; none if not at all.
    pub(super) fn life(&self, of_key: Option<Duration>, may_come_elsewhere: bool) -> Option<Duration> {
        let life = of_key.map_or(self.ttl, |life| life.min(self.ttl));
        let life = if may_come_elsewhere { life.min(self.max_staleness) } else { life };
        (!life.is_zero()).then_some(life)
    }
}

type Entries = Cache<Box<[u8]>, Entry, Bytes, DefaultHashBuilder, DefaultLifecycle<Box<[u8]>, Entry>>;

/// The memory of a cache.
pub(crate) struct Store {
    limits: Limits,
    /// The same in microseconds, for every hit.
    max_staleness: u64,
    wall_clock: fn() -> SystemTime,
    entries: Entries,
    flights: Box<[Mutex<Flights>]>,
    hasher: RandomState,
    hits: Tally,
    misses: Tally,
    invalidations: AtomicU64,
    flushes: AtomicU64,
}

impl Store {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Self::by_clock(limits, SystemTime::now)
    }

    pub(crate) fn by_clock(limits: Limits, wall_clock: fn() -> SystemTime) -> Arc<Self> {
        // A power of two, or the cache rounds it up.
        let shards = 1 << (limits.max_bytes / SMALLEST_SHARD).clamp(1, 64).ilog2();
        // A guess from which the cache makes its tables, which grow.
        let items = (limits.max_bytes / 512).clamp(2_048, 1 << 20);
        let mut options = OptionsBuilder::new();
        options.weight_capacity(limits.max_bytes);
        options.shards(shards);
        options.estimated_items_capacity(usize::try_from(items).unwrap_or(2_048));
        let options = options.build().expect("both capacities are set");
        Arc::new(Self {
            max_staleness: u64::try_from(limits.max_staleness.as_micros()).unwrap_or(u64::MAX),
            wall_clock,
            entries: Cache::with_options(options, Bytes, DefaultHashBuilder::default(), DefaultLifecycle::default()),
            flights: std::iter::repeat_with(Mutex::default).take(PARTS).collect(),
            hasher: RandomState::new(),
            hits: Tally::default(),
            misses: Tally::default(),
            invalidations: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            limits,
        })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What is kept for this, if it may be served now. `part` is any number that differs from other threads'.
    #[inline]
    pub(crate) fn get(&self, query: Query<'_>, part: usize) -> Option<Value> {
        let value = self.look_up(query);
        let tally = if value.is_some() { &self.hits } else { &self.misses };
        tally.add(part, 1);
        value
    }

    #[inline]
    fn look_up(&self, query: Query<'_>) -> Option<Value> {
        let entry = self.entries.get(query.key)?;
        let kept = entry.find(query)?;
        kept.is_good(self.now(), self.max_staleness).then(|| Value::clone(&kept.value))
    }

    /// This moment, by both clocks.
    pub(crate) fn moment(&self) -> Both {
        Both { wall: self.now(), monotonic: Instant::now() }
    }

    /// Whether what is read under this coverage could be served now.
    pub(crate) fn holds(&self, coverage: &Coverage) -> bool {
        coverage.holds(self.now(), self.max_staleness)
    }

    /// The read of this that is under way, or the one that `send` begins; none if it begins none.
    ///
    /// It is entered before anything can be received, so that an invalidation which comes after it is sent finds it.
    pub(crate) fn fetch<F>(
        self: &Arc<Self>,
        query: Query<'_>,
        coverage: &Arc<Coverage>,
        send: impl FnOnce() -> Option<F>,
    ) -> Option<Flight>
    where
        F: Future<Output = Option<Came>> + Send + 'static,
    {
        let mut flights = self.flights(query.key);
        let now = self.now();
        if let Some(flight) = flights.find(query, now, self.limits.max_staleness) {
            return Some(flight);
        }
        let came = send()?;
        Some(flights.enter(self, query, coverage, now, came))
    }

    /// The server says that this key has changed.
    pub(crate) fn invalidate(&self, key: &[u8]) {
        self.invalidations.fetch_add(1, Relaxed);
        self.forget(key);
    }

    /// Serves nothing of this key that has been read until now, or is being read.
    pub(crate) fn forget(&self, key: &[u8]) {
        let mut flights = self.flights(key);
        flights.remove(key);
        self.entries.remove(key);
    }

    /// A coverage was lost; what it covered is taken out of the memory.
    pub(crate) fn sweep(&self) {
        let now = self.now();
        self.entries.retain(|_, entry| entry.is_of_use(now));
    }

    /// Counts a flush of all that a connection covered.
    pub(crate) fn note_flush(&self) {
        self.flushes.fetch_add(1, Relaxed);
    }

    /// Keeps a reply; the caller holds the lock of the key's reads.
    pub(super) fn keep(&self, key: &[u8], kept: Kept) {
        let before = self.entries.peek(key);
        self.entries.insert(key.into(), Entry::with(before.as_ref(), kept, self.now()));
    }

    pub(super) fn flights(&self, key: &[u8]) -> MutexGuard<'_, Flights> {
        // What is left of a hash fits.
        #[allow(clippy::cast_possible_truncation)]
        let part = self.hasher.hash_one(key) as usize % self.flights.len();
        lock(&self.flights[part])
    }

    /// Its figures, without those of the connections.
    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.total(),
            misses: self.misses.total(),
            invalidations: self.invalidations.load(Relaxed),
            flushes: self.flushes.load(Relaxed),
            entries: self.entries.len() as u64,
            bytes: self.entries.weight(),
            max_bytes: if self.limits.keep_nothing() { 0 } else { self.limits.max_bytes },
            tracking: Vec::new(),
        }
    }

    #[inline]
    fn now(&self) -> Moment {
        Moment::of((self.wall_clock)())
    }
}

#[cfg(test)]
mod tests;
