//! A user's place among those who wait for a link.

use super::{Lease, Leases, Ticket};
use crate::{lock::lock, pool::Pool};
use std::sync::Arc;
use tokio::sync::oneshot::Receiver;

/// Waits for a link of one pool's: for the first one that another user gives back, or that is opened for this one.
pub(crate) struct Waiter {
    leases: Arc<Leases>,
    pool: Arc<Pool>,
    number: u64,
    returned: Receiver<Lease>,
    opening: Opening,
}

/// How far it has come with a link that is opened for it.
pub(super) enum Opening {
    /// As many as there may be are in use; the right to have one opened comes here.
    Wanted(Receiver<Ticket>),
    /// The pool's keeper opens it.
    Ordered(Receiver<Lease>),
}

impl Waiter {
    pub(super) fn new(
        leases: &Arc<Leases>,
        pool: &Arc<Pool>,
        number: u64,
        returned: Receiver<Lease>,
        opening: Opening,
    ) -> Self {
        Self { leases: Arc::clone(leases), pool: Arc::clone(pool), number, returned, opening }
    }

    /// Whether there may be no link for it because as many as there may be are in use.
    pub(crate) fn lacks_room(&self) -> bool {
        matches!(self.opening, Opening::Wanted(_))
    }

    /// The first link that there is for it; none if the pool's keeper has ended. It is over then. What has come to be
    /// stays if this is dropped before.
    pub(crate) async fn lease(&mut self) -> Option<Lease> {
        loop {
            match &mut self.opening {
                Opening::Wanted(ticket) => {
                    tokio::select! {
                        biased;
                        lease = &mut self.returned => return lease.ok(),
                        ticket = ticket => match ticket {
                            Ok(ticket) => self.opening = Opening::Ordered(self.pool.order_lease(ticket)),
                            // It needs none any more: it is just being given a link.
                            Err(_) => return (&mut self.returned).await.ok(),
                        },
                    }
                }
                Opening::Ordered(opened) => {
                    return tokio::select! {
                        biased;
                        lease = &mut self.returned => lease.ok(),
                        lease = opened => lease.ok(),
                    };
                }
            }
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let gone = lock(&self.leases.state).forget(self.number);
        drop(gone);
        if let Opening::Ordered(opened) = &mut self.opening {
            // What has not begun to be opened gives its ticket back when its keeper looks.
            opened.close();
            self.pool.wake_keeper();
        }
    }
}
