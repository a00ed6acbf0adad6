//! How many links there are to be in all pools together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

/// The seats of all pools.
#[derive(Clone, Default)]
pub(crate) struct SeatTotal(Arc<AtomicUsize>);

impl SeatTotal {
    pub(super) fn get(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// The part of one pool, which has no seats yet.
    pub(super) fn part(&self) -> SeatPart {
        SeatPart { total: self.clone(), seats: 0 }
    }
}

/// One pool's part of the total, for as long as this lives.
pub(super) struct SeatPart {
    total: SeatTotal,
    seats: usize,
}

impl SeatPart {
    pub(super) fn set(&mut self, seats: usize) {
        if seats >= self.seats {
            self.total.0.fetch_add(seats - self.seats, SeqCst);
        } else {
            self.total.0.fetch_sub(self.seats - seats, SeqCst);
        }
        self.seats = seats;
    }
}

impl Drop for SeatPart {
    fn drop(&mut self) {
        self.set(0);
    }
}
