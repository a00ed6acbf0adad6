//! The search for a link of one's own: the turn, the order, and the wait.

use crate::{
    cluster::node::Node,
    link::Condition,
    pool::{Lease, Leases, Offer, Turn, Waiter},
};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A search for a link of one's own. What it has come by in one attempt, it has in the next: its place in the queue,
/// its turn, and the link that is being opened for it.
pub(in crate::exec) struct Search {
    kind: LeaseKind,
    /// Its place among those who wait for a turn.
    queue: Option<BoxFuture<'static, Turn>>,
    turn: Option<Turn>,
    /// What it waits for, and the node that this leads to.
    awaited: Option<(Arc<Node>, Awaited)>,
}

/// Which kind of link somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseKind {
    /// One of the `max_leased`.
    Leased,
    /// One for what Redis sends without being asked.
    Subscriber,
}

/// A link that somebody waits for.
enum Awaited {
    Leased(Waiter),
    Subscriber(oneshot::Receiver<Lease>),
}

/// What came of a look.
pub(super) enum Found {
    Link(Lease),
    /// A link that has broken since.
    Broken,
    /// The node's keeper has ended: there will be another node, or nobody opens links any more.
    Nothing,
}

impl Search {
    fn new(kind: LeaseKind) -> Self {
        Self { kind, queue: None, turn: None, awaited: None }
    }

    /// For one of the `max_leased`.
    pub(in crate::exec) fn leased() -> Self {
        Self::new(LeaseKind::Leased)
    }

    /// For one for what Redis sends without being asked.
    pub(super) fn subscriber() -> Self {
        Self::new(LeaseKind::Subscriber)
    }

    /// Whether it has no link because as many as there may be are in use.
    pub(super) fn lacks_room(&self) -> bool {
        match &self.awaited {
            Some((_, Awaited::Leased(waiter))) => waiter.lacks_room(),
            Some((_, Awaited::Subscriber(_))) => false,
            None => self.turn.is_none() && self.queue.is_some(),
        }
    }

    /// Begins again, behind all others who wait for a turn, if it keeps one from them.
    pub(in crate::exec) fn let_pass(&mut self, leases: &Leases) {
        if self.turn.is_some() && leases.has_queue() {
            self.stop();
        }
    }

    /// Keeps nothing from others.
    pub(super) fn stop(&mut self) {
        *self = Self::new(self.kind);
    }

    /// The node that it waits for a link to.
    pub(super) fn node(&self) -> Option<Arc<Node>> {
        self.awaited.as_ref().map(|(node, _)| Arc::clone(node))
    }

    /// The link that it has found, in the hands of its user.
    pub(super) fn end(&mut self, lease: Lease) -> Lease {
        lease.begin().in_turn(self.turn.take())
    }

    /// Waits for a link to this node. What has come to be stays if this is dropped before.
    pub(super) async fn link_to(&mut self, leases: &Arc<Leases>, node: &Arc<Node>) -> Found {
        // What is being opened to a node that is not the right one any more is of no use.
        self.awaited.take_if(|(to, _)| !Arc::ptr_eq(to, node));
        if self.kind == LeaseKind::Leased {
            self.take_turn(leases).await;
        }
        let lease = match self.look(leases, node) {
            None => self.wait().await,
            lease => lease,
        };
        self.awaited = None;
        match lease {
            Some(lease) if matches!(lease.link().condition(), Condition::Down(_)) => Found::Broken,
            Some(lease) => Found::Link(lease),
            None => Found::Nothing,
        }
    }

    async fn take_turn(&mut self, leases: &Arc<Leases>) {
        if self.turn.is_none() {
            self.turn = Some(self.queue.get_or_insert_with(|| leases.turn()).await);
            self.queue = None;
        }
    }

    /// A link that is there. Otherwise it is ordered, if it has not been.
    fn look(&mut self, leases: &Arc<Leases>, node: &Arc<Node>) -> Option<Lease> {
        let pool = node.pool();
        let awaited = match (self.kind, &self.awaited) {
            (LeaseKind::Leased, None) => match leases.offer(pool) {
                Offer::Link(lease) => return Some(lease),
                Offer::Wait(waiter) => Awaited::Leased(waiter),
            },
            // One that was there before, and could not be used.
            (LeaseKind::Leased, Some(_)) => return leases.idle(pool),
            (LeaseKind::Subscriber, None) => Awaited::Subscriber(pool.order_subscriber()),
            (LeaseKind::Subscriber, Some(_)) => return None,
        };
        self.awaited = Some((Arc::clone(node), awaited));
        None
    }

    /// What it has ordered, once that is there.
    async fn wait(&mut self) -> Option<Lease> {
        match &mut self.awaited {
            Some((_, Awaited::Leased(waiter))) => waiter.lease().await,
            Some((_, Awaited::Subscriber(opened))) => opened.await.ok(),
            None => None,
        }
    }
}
