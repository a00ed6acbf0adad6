//! What a key may hold, as far as the only one who writes it can know.

/// The writes of one key, each by its number.
#[derive(Debug, Default)]
pub(crate) struct Register {
    /// The newest write that is known to have happened; none if the key is known to be empty.
    known: Option<usize>,
    /// Writes that may have happened, and may yet: each of them once, however late.
    unknown: Vec<usize>,
    /// Whether the server may have lost the key.
    lost: bool,
    /// Whether it may have lost the last writes.
    set_back: bool,
}

impl Register {
    /// A write was acknowledged.
    pub(crate) fn written(&mut self, write: usize) {
        self.known = Some(write);
        self.lost = false;
        self.set_back = false;
    }

    /// A write failed in such a way that it may have happened, or may happen yet.
    pub(crate) fn perhaps_written(&mut self, write: usize) {
        self.unknown.push(write);
    }

    /// The server was started anew.
    pub(crate) fn perhaps_lost(&mut self) {
        self.lost = true;
    }

    /// A replica, which may not have had the last writes, has taken the server's place.
    pub(crate) fn perhaps_set_back(&mut self) {
        self.lost = true;
        self.set_back = true;
    }

    /// Whether a read that finds the value of this write, or nothing, is right. What it tells is known from then on.
    pub(crate) fn may_hold(&mut self, found: Option<usize>) -> bool {
        if found != self.known {
            if found.is_none() && self.lost {
                self.known = None;
            } else if let Some(at) = self.unknown.iter().position(|write| Some(*write) == found) {
                // What was there before is gone for good.
                self.known = Some(self.unknown.swap_remove(at));
            } else if self.set_back && found.is_some() && found < self.known {
                self.known = found;
            } else {
                return false;
            }
        }
        self.lost = false;
        self.set_back = false;
        true
    }
}
