//! Cells for replies that are used again.

use super::reply::ReplyCell;
use crate::sync::Arc;
use std::collections::VecDeque;

/// Cells kept for later requests; more are in use only while more requests are in flight.
pub(super) const SPARE_CELLS: usize = 4096;

#[derive(Default)]
pub(super) struct Spare(Vec<Arc<ReplyCell>>);

impl Spare {
    /// One for a request.
    #[inline]
    pub(super) fn take(&mut self) -> Arc<ReplyCell> {
        self.0.pop().unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes back the cells whose callers are through with them, oldest first.
    #[inline]
    pub(super) fn recycle(&mut self, spent: &mut VecDeque<Arc<ReplyCell>>) {
        while let Some(mut cell) = spent.pop_front() {
            if ReplyCell::reset(&mut cell) {
                if self.0.len() < SPARE_CELLS {
                    self.0.push(cell);
                }
            } else if spent.len() < SPARE_CELLS {
                // Its caller has not run yet, and most likely those of the ones behind it have not either.
                spent.push_front(cell);
                return;
            }
        }
    }
}
