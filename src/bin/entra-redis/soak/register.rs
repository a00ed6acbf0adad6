//! What a key may hold, as far as the only one who writes it can know.

use std::{collections::VecDeque, time::Instant};

/// So much is remembered.
const REMEMBERED: usize = 1_000;

/// The writes of one key, each by its number.
#[derive(Debug, Default)]
pub(crate) struct Register {
    /// The newest write that is known to have happened; none if the key is known to be empty.
    known: Option<usize>,
    /// Writes that may have happened, and may yet: each of them once, however late.
    unknown: Vec<usize>,
    /// What it has held, as it was last known, in this order, and when that was known.
    held: VecDeque<(Instant, usize)>,
}

impl Register {
    /// A write was acknowledged.
    pub(crate) fn written(&mut self, write: usize) {
        self.held.push_back((Instant::now(), write));
        if self.held.len() > REMEMBERED {
            self.held.pop_front();
        }
        self.known = Some(write);
    }

    /// A write failed in such a way that it may have happened, or may happen yet.
    pub(crate) fn perhaps_written(&mut self, write: usize) {
        self.unknown.push(write);
    }

    /// Whether a read that finds the value of this write, or nothing, is right. What it tells is known from then on.
    pub(crate) fn may_hold(&mut self, found: Option<usize>) -> bool {
        if found != self.known {
            let Some(at) = self.unknown.iter().position(|write| Some(*write) == found) else {
                return false;
            };
            // What was there before is gone for good.
            let write = self.unknown.swap_remove(at);
            self.written(write);
        }
        true
    }

    /// The same, if the server may have lost what it had at certain moments: what came behind the write that is found,
    /// and nothing else.
    pub(crate) fn may_hold_after_loss(&mut self, found: Option<usize>, may_be_lost: impl Fn(Instant) -> bool) -> bool {
        if self.may_hold(found) {
            return true;
        }
        let at = found.map(|found| self.held.iter().rposition(|(_, held)| *held == found));
        let later = match at {
            Some(None) => return false,
            Some(Some(at)) => at + 1,
            None => 0,
        };
        let is_right = self.held.len() > later && self.held.range(later..).all(|(at, _)| may_be_lost(*at));
        if is_right {
            self.held.truncate(later);
            self.known = found;
        }
        is_right
    }
}
