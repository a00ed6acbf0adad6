//! What the workloads beside the plain one have counted.

use serde_json::{Map, Value};
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What is counted, in the order of `ALL`.
#[derive(Clone, Copy)]
pub(super) enum Figure {
    Messages,
    Gaps,
    /// Sent, not heard, and no gap told of it.
    MessagesMissing,
    MessagesTwice,
    MessagesOutOfOrder,
    /// Came again behind a gap, from another node of a cluster, or over RESP2.
    MessagesAgain,
    /// Sent to another node of a cluster than the subscriber's, and lost between the two, under chaos.
    MessagesLostBetweenNodes,
    /// Those that consumers have got.
    Elements,
    ElementsLost,
    ElementsTwice,
    /// Popped for a connection that was lost: Redis has them no more, and nobody has heard of them.
    ElementsUnheard,
    /// Those that were committed.
    Transactions,
    WrongCounts,
    CachedReads,
    CacheHits,
    StaleReads,
    /// What would be a fault, if a server had not been restarted, or gone before its replica had everything.
    Excused,
}

impl Figure {
    pub(super) const ALL: [(Self, &'static str); 17] = [
        (Self::Messages, "messages"),
        (Self::Gaps, "gaps"),
        (Self::MessagesMissing, "messages_missing"),
        (Self::MessagesTwice, "messages_twice"),
        (Self::MessagesOutOfOrder, "messages_out_of_order"),
        (Self::MessagesAgain, "messages_again"),
        (Self::MessagesLostBetweenNodes, "messages_lost_between_nodes"),
        (Self::Elements, "elements"),
        (Self::ElementsLost, "elements_lost"),
        (Self::ElementsTwice, "elements_twice"),
        (Self::ElementsUnheard, "elements_unheard"),
        (Self::Transactions, "transactions"),
        (Self::WrongCounts, "wrong_counts"),
        (Self::CachedReads, "cached_reads"),
        (Self::CacheHits, "cache_hits"),
        (Self::StaleReads, "stale_reads"),
        (Self::Excused, "excused"),
    ];

    const FAULTS: [Self; 7] = [
        Self::MessagesMissing,
        Self::MessagesTwice,
        Self::MessagesOutOfOrder,
        Self::ElementsLost,
        Self::ElementsTwice,
        Self::WrongCounts,
        Self::StaleReads,
    ];
}

#[derive(Default)]
pub(super) struct Counts {
    figures: [AtomicU64; Figure::ALL.len()],
    first_fault: Mutex<Option<String>>,
    first_excused: Mutex<Option<String>>,
}

/// What was said first.
fn first(said: &Mutex<Option<String>>) -> MutexGuard<'_, Option<String>> {
    said.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    pub(super) fn add(&self, figure: Figure, more: u64) {
        self.figures[figure as usize].fetch_add(more, Relaxed);
    }

    pub(super) fn set(&self, figure: Figure, value: u64) {
        self.figures[figure as usize].store(value, Relaxed);
    }

    pub(super) fn get(&self, figure: Figure) -> u64 {
        self.figures[figure as usize].load(Relaxed)
    }

    /// Counts what must not be, and keeps what was said of the first one.
    pub(super) fn fault(&self, figure: Figure, how_many: u64, what: impl FnOnce() -> String) {
        if how_many > 0 {
            self.add(figure, how_many);
            first(&self.first_fault).get_or_insert_with(what);
        }
    }

    /// Counts what would be a fault if nothing explained it, and keeps what was said of the first one.
    pub(super) fn excuse(&self, what: impl FnOnce() -> String) {
        self.add(Figure::Excused, 1);
        first(&self.first_excused).get_or_insert_with(what);
    }

    pub(super) fn faults(&self) -> u64 {
        Figure::FAULTS.iter().map(|figure| self.get(*figure)).sum()
    }

    pub(super) fn first_fault(&self) -> Option<String> {
        first(&self.first_fault).clone()
    }

    pub(super) fn first_excused(&self) -> Option<String> {
        first(&self.first_excused).clone()
    }

    /// The share of reads by way of the near cache that were answered from memory; 0 before the first one.
    pub(super) fn hit_ratio(&self) -> f64 {
        self.get(Figure::CacheHits) as f64 / self.get(Figure::CachedReads).max(1) as f64
    }

    /// Each by its name.
    pub(super) fn report(&self) -> Map<String, Value> {
        let figures = Figure::ALL.iter().map(|(figure, name)| ((*name).to_owned(), self.get(*figure).into()));
        figures.chain([("hit_ratio".to_owned(), self.hit_ratio().into())]).collect()
    }
}
