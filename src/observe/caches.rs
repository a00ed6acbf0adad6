//! The near caches of a connection manager, counted together.

use super::stats::CacheStats;
use crate::lock::lock;
use std::sync::{Mutex, Weak};

/// A near cache, as it shows itself.
pub(crate) trait Figures: Send + Sync {
    fn stats(&self) -> CacheStats;
}

/// The caches that there are, and what those have counted that are gone.
#[derive(Default)]
pub(crate) struct Caches(Mutex<State>);

#[derive(Default)]
struct State {
    live: Vec<Weak<dyn Figures>>,
    gone: Option<CacheStats>,
}

impl Caches {
    /// Counts this one from now on.
    #[cfg(feature = "near-cache")]
    pub(crate) fn add(&self, cache: Weak<dyn Figures>) {
        lock(&self.0).live.push(cache);
    }

    /// Takes in what a cache has counted that has just gone.
    #[cfg(feature = "near-cache")]
    pub(crate) fn retire(&self, last: &CacheStats) {
        let mut state = lock(&self.0);
        state.live.retain(|cache| cache.strong_count() > 0);
        let gone = state.gone.take().unwrap_or_default();
        // What it held is gone with it.
        state.gone = Some(CacheStats { entries: 0, bytes: 0, max_bytes: 0, tracking: Vec::new(), ..sum(gone, last) });
    }

    /// All together; none if there has never been one.
    pub(crate) fn stats(&self) -> Option<CacheStats> {
        let (gone, live) = {
            let state = lock(&self.0);
            (state.gone.clone(), state.live.iter().filter_map(Weak::upgrade).collect::<Vec<_>>())
        };
        // Without the lock: the last owner of a cache takes it.
        live.iter().fold(gone, |sum_, cache| Some(sum(sum_.unwrap_or_default(), &cache.stats())))
    }
}

fn sum(mut all: CacheStats, one: &CacheStats) -> CacheStats {
    let CacheStats { hits, misses, invalidations, flushes, entries, bytes, max_bytes, tracking } = &mut all;
    *hits += one.hits;
    *misses += one.misses;
    *invalidations += one.invalidations;
    *flushes += one.flushes;
    *entries += one.entries;
    *bytes += one.bytes;
    *max_bytes += one.max_bytes;
    tracking.extend(one.tracking.iter().cloned());
    all
}
