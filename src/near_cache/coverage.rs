//! Until when what was read over a connection may be served: its invalidations have come up to some moment.

use super::clock::Moment;
use std::sync::{
    Arc, OnceLock,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

/// Slots of a cluster, by 64.
const WORDS: usize = 16_384 / 64;

/// A time over which one connection tells of every change of what was read over it. It ends with the connection, and
/// whenever it is not certain any more that all of that is told; what it covered is not served any more then.
#[derive(Debug)]
pub(crate) struct Coverage {
    is_lost: AtomicBool,
    /// All changes until then have been told: the server has answered something that was asked at this moment, and
    /// replies and invalidations come in order.
    told_until: AtomicU64,
    /// On a cluster, the slots whose keys have been read.
    slots: OnceLock<Box<[AtomicU64; WORDS]>>,
}

impl Coverage {
    /// From this moment on: what was asked then has been answered.
    pub(crate) fn from(moment: Moment) -> Arc<Self> {
        Arc::new(Self {
            is_lost: AtomicBool::new(false),
            told_until: AtomicU64::new(moment.micros()),
            slots: OnceLock::new(),
        })
    }

    /// Ends this one and begins the next one, which has the same moment until which all changes have been told.
    pub(crate) fn succeed(&self) -> Arc<Self> {
        self.lose();
        Arc::new(Self {
            is_lost: AtomicBool::new(false),
            told_until: AtomicU64::new(self.told_until.load(Relaxed)),
            slots: OnceLock::new(),
        })
    }

    /// Nothing that it covered is served any more.
    pub(crate) fn lose(&self) {
        self.is_lost.store(true, Release);
    }

    #[inline]
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Acquire)
    }

    /// The server has answered what was asked at this moment. It is asked one question at a time; if the clock has been
    /// set back meanwhile, its new time counts.
    pub(crate) fn told(&self, asked: Moment) {
        self.told_until.store(asked.micros(), Release);
    }

    /// Whether no change is unknown for longer than `limit`.
    #[inline]
    pub(super) fn holds(&self, now: Moment, limit: u64) -> bool {
        // None if the clock has been set back: how long ago it was is not known then.
        let since = now.micros().checked_sub(self.told_until.load(Acquire));
        !self.is_lost() && since.is_some_and(|since| since < limit)
    }

    /// Notes that a key of this slot is about to be read.
    pub(crate) fn note_slot(&self, slot: usize) {
        let words = self.slots.get_or_init(|| Box::new([const { AtomicU64::new(0) }; WORDS]));
        if let Some(word) = words.get(slot / 64) {
            word.fetch_or(1 << (slot % 64), Release);
        }
    }

    /// The slots whose keys have been read, in words of 64.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u64> {
        self.slots.get().into_iter().flat_map(|words| words.iter().map(|word| word.load(Acquire)))
    }
}

#[cfg(test)]
mod tests;
