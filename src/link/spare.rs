//! Slots that are used again.

use super::reply::Slot;
use crate::sync::Arc;
use std::collections::VecDeque;

/// Slots kept for later requests; more are in use only while more requests are in flight.
pub(super) const SPARE_SLOTS: usize = 4096;

#[derive(Default)]
pub(super) struct Spare(Vec<Arc<Slot>>);

impl Spare {
    /// One for a request.
    #[inline]
    pub(super) fn take(&mut self) -> Arc<Slot> {
        self.0.pop().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes back the slots whose callers are through with them, oldest first.
    #[inline]
    pub(super) fn recycle(&mut self, spent: &mut VecDeque<Arc<Slot>>) {
        while let Some(mut slot) = spent.pop_front() {
            if Slot::reset(&mut slot) {
                if self.0.len() < SPARE_SLOTS {
                    self.0.push(slot);
                }
            } else if spent.len() < SPARE_SLOTS {
                // Its caller has not run yet, and most likely those of the ones behind it have not either.
                spent.push_front(slot);
                return;
            }
        }
    }
}
