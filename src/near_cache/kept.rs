//! The replies that are kept of one key.

use super::{
    clock::Moment,
    coverage::Coverage,
    form::{Form, Query},
    weight,
};
use quick_cache::Weighter;
use redis::Value;
use std::{mem::size_of, sync::Arc};

/// Replies that are kept of one key, to different commands. Each new one copies the list; beyond this the oldest goes.
const MOST: usize = 128;

/// What an entry takes besides its key and its replies: the places in the cache's own tables, and of allocations.
const ENTRY: usize = 128;

/// A reply, and until when it may be served.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) form: Form,
    pub(super) value: Arc<Value>,
    pub(super) coverage: Arc<Coverage>,
    pub(super) until: Moment,
}

impl Kept {
    /// Whether it may be served now.
    #[inline]
    pub(super) fn is_good(&self, now: Moment, max_staleness: u64) -> bool {
        now < self.until && self.coverage.holds(now, max_staleness)
    }
}

/// All replies of one key, replaced as a whole.
#[derive(Clone)]
pub(super) struct Entry(Arc<[Kept]>);

impl Entry {
    /// Those of `before` that may still be served, and this one. What was read over another connection is left out: it
    /// may be older than this, and its invalidation over that connection may come after it is read from memory.
    pub(super) fn with(before: Option<&Self>, kept: Kept, now: Moment) -> Self {
        let before = before.map_or(&[][..], |before| &before.0);
        let is_of_one = |other: &Kept| Arc::ptr_eq(&other.coverage, &kept.coverage) && !other.coverage.is_lost();
        let stays = |other: &&Kept| now < other.until && is_of_one(other) && other.form != kept.form;
        let mut all: Vec<_> = before.iter().filter(stays).cloned().collect();
        if all.len() >= MOST {
            all.remove(0);
        }
        all.push(kept);
        Self(all.into())
    }

    #[inline]
    pub(super) fn find(&self, query: Query<'_>) -> Option<&Kept> {
        self.0.iter().find(|kept| kept.form.is_of(query))
    }

    /// Whether some of it may be served now or later.
    pub(super) fn is_of_use(&self, now: Moment) -> bool {
        self.0.iter().any(|kept| now < kept.until && !kept.coverage.is_lost())
    }
}

/// Bytes of an entry.
#[derive(Clone)]
pub(super) struct Bytes;

impl Weighter<Box<[u8]>, Entry> for Bytes {
    fn weight(&self, key: &Box<[u8]>, entry: &Entry) -> u64 {
        let replies = entry.0.iter().map(|kept| size_of::<Kept>() + kept.form.len() + weight::of(&kept.value));
        (ENTRY + key.len() + replies.sum::<usize>()) as u64
    }
}
