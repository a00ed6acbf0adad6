//! Links that somebody has asked for, to have them alone.

use super::{
    Pool,
    leases::{Lease, Leases, Ticket},
};
use crate::{link::Link, lock::lock, observe::stats::LinkPurpose as Purpose};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Somebody waits for a link of one's own.
pub(super) struct Order {
    pub(super) purpose: Purpose,
    pub(super) ticket: Option<Ticket>,
    pub(super) give: oneshot::Sender<Lease>,
}

impl Order {
    /// Whether nobody waits any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.give.is_closed()
    }

    /// Gives the link to whoever waits. If nobody does any more, it waits for the next one, or is closed.
    pub(super) fn fill(self, link: Arc<Link>, pool: &Arc<Pool>, leases: &Arc<Leases>) {
        let lease = Lease::new(link, Arc::clone(pool), Arc::clone(leases));
        // Dropped on its way, one for a subscriber has to be closed: nobody looks for such a one among those that wait.
        _ = self.give.send(if self.purpose == Purpose::Leased { lease } else { lease.begin() });
    }
}

impl Pool {
    /// Has a link opened to be leased, which its user gives back.
    pub(crate) fn order_lease(&self, ticket: Ticket) -> oneshot::Receiver<Lease> {
        self.order(Purpose::Leased, Some(ticket))
    }

    /// Has a link opened for what Redis sends without being asked. It is closed when it is dropped.
    pub(crate) fn order_subscriber(&self) -> oneshot::Receiver<Lease> {
        self.order(Purpose::Subscriber, None)
    }

    /// What is returned ends without a link when the keeper has ended.
    fn order(&self, purpose: Purpose, ticket: Option<Ticket>) -> oneshot::Receiver<Lease> {
        let (give, receiver) = oneshot::channel();
        {
            let mut orders = lock(&self.orders);
            if !self.has_ended() {
                orders.push(Order { purpose, ticket, give });
            }
        }
        self.wake_keeper();
        receiver
    }
}
