//! Cells for replies that are used again.

use super::{
    entry::Outstanding,
    reply::{ReplyCell, Rest},
};
use crate::sync::Arc;

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

    /// Takes back the cells whose callers are through with them, oldest first. Those with something in them are left to
    /// the driver: callers of the queue must not wait until that is dropped.
    #[inline]
    pub(super) fn recycle(&mut self, outstanding: &mut Outstanding) {
        let spent = &mut outstanding.spent;
        while let Some(mut cell) = spent.pop_front() {
            match ReplyCell::rest(&mut cell) {
                Rest::Empty => {
                    if self.0.len() < SPARE_CELLS {
                        self.0.push(cell);
                    }
                }
                Rest::Unread => outstanding.unread.push(cell),
                Rest::Held if spent.len() < SPARE_CELLS => {
                    // Its caller has not run yet, and most likely those of the ones behind it have not either.
                    spent.push_front(cell);
                    return;
                }
                Rest::Held => {}
            }
        }
    }
}
