//! Figures of near caches: nothing but zeros without one.

use super::{Figure, total};
use crate::observe::stats::{CacheStats, Stats};
use ::metrics::Unit;

pub(super) const GAUGES: [Figure<f64>; 3] = [
    Figure {
        name: "entra_redis.cache.hit_ratio",
        label: None,
        unit: Unit::Count,
        about: "The share of a near cache's reads that were answered from memory, since its beginning; 0 without one.",
        read: |stats| stats.cache.as_ref().map_or(0.0, CacheStats::hit_ratio),
    },
    Figure {
        name: "entra_redis.cache.entries",
        label: None,
        unit: Unit::Count,
        about: "Keys of which a near cache has something in memory.",
        read: |stats| cache(stats, |cache| cache.entries) as f64,
    },
    Figure {
        name: "entra_redis.cache.bytes",
        label: None,
        unit: Unit::Bytes,
        about: "What a near cache takes in memory.",
        read: |stats| cache(stats, |cache| cache.bytes) as f64,
    },
];

pub(super) const COUNTERS: [Figure<u64>; 4] = [
    total("entra_redis.cache.hits", "Reads that were answered from memory.", |stats| cache(stats, |cache| cache.hits)),
    total("entra_redis.cache.misses", "Reads that could have been, and were answered by the server.", |stats| {
        cache(stats, |cache| cache.misses)
    }),
    total("entra_redis.cache.invalidations", "Keys that the server said had changed.", |stats| {
        cache(stats, |cache| cache.invalidations)
    }),
    total("entra_redis.cache.flushes", "How often all that a connection covered was dropped.", |stats| {
        cache(stats, |cache| cache.flushes)
    }),
];

fn cache(stats: &Stats, read: fn(&CacheStats) -> u64) -> u64 {
    stats.cache.as_ref().map_or(0, read)
}
