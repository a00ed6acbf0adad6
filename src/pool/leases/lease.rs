//! A link in the hands of the one user who has it alone.

use super::{LEFT, Leases, Turn};
use crate::{link::Link, pool::Pool};
use std::sync::Arc;

/// A link that nobody else uses. Dropped by a user, it is closed: only who gives it back says that the next one finds
/// nothing of the last one's on it.
pub(crate) struct Lease {
    link: Arc<Link>,
    pool: Arc<Pool>,
    leases: Arc<Leases>,
    end: End,
    /// Given back after the link.
    turn: Option<Turn>,
}

/// What becomes of a link when its user is through with it.
#[derive(Clone, Copy)]
enum End {
    /// It waits for the next user.
    Kept,
    /// It is closed when what is on its way is answered.
    Drained,
    /// It is closed at once.
    Cut,
}

impl Lease {
    pub(in crate::pool) fn new(link: Arc<Link>, pool: Arc<Pool>, leases: Arc<Leases>) -> Self {
        Self { link, pool, leases, end: End::Kept, turn: None }
    }

    /// In the hands of a user, who may leave anything behind on it.
    pub(crate) fn begin(mut self) -> Self {
        self.end = End::Cut;
        self
    }

    /// Of a user whose turn ends when the link is free again.
    pub(crate) fn in_turn(mut self, turn: Option<Turn>) -> Self {
        self.turn = turn;
        self
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Lets `AUTH` and `PING` come between the commands from now on.
    pub(crate) fn release(&self) {
        self.link.release();
        self.pool.wake_keeper();
    }

    /// For the next user, who finds nothing of this one's.
    pub(crate) fn give_back(mut self) {
        self.end = End::Kept;
    }

    /// For nobody any more. What its user has sent may be answered yet; none of it may be a command that blocks.
    pub(crate) fn drain(mut self) {
        self.end = End::Drained;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.end {
            End::Kept => {
                self.release();
                self.leases.put(Arc::clone(&self.link), Arc::clone(&self.pool));
            }
            End::Drained => {
                self.link.retire(LEFT);
                self.pool.wake_keeper();
            }
            End::Cut => {
                self.link.retire(LEFT);
                // At once: a command that blocks would go on taking elements which nobody gets.
                self.link.end();
                self.pool.wake_keeper();
            }
        }
    }
}
