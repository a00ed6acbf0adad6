//! Counters that many threads add to at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// So many parts: threads that add to different ones do not wait for each other's cache lines.
const PARTS: usize = 16;

#[derive(Default)]
#[repr(align(128))]
struct Part(AtomicU64);

/// A counter in parts.
#[derive(Default)]
pub(super) struct Tally([Part; PARTS]);

impl Tally {
    /// Adds to the part of this number; any number will do.
    #[inline]
    pub(super) fn add(&self, part: usize, count: u64) {
        self.0[part % PARTS].0.fetch_add(count, Relaxed);
    }

    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|part| part.0.load(Relaxed)).sum()
    }
}
