//! A link that a caller has alone: where it leads, and how long it is waited for.

use super::core::Core;
use crate::{
    cluster::{node::Node, nodes::unserved, router::Seeker, routing::Routing, slot::Slot},
    error::{Error, ErrorKind, Stage},
    pool::{Lease, Offer},
};
use std::sync::Arc;
use tokio::{sync::oneshot, time::Instant};

/// Which kind of link somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseKind {
    /// One of the `max_leased`.
    Leased,
    /// One for what Redis sends without being asked.
    Subscriber,
}

/// Where a link of one's own leads.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// To the owner of the slot, or to any node if there is none.
    Owner(Option<Slot>),
    /// To this node.
    Node(Arc<Node>),
}

/// Why there is no link.
pub(crate) struct NoLease {
    pub(crate) error: Error,
    /// As many as there may be are in use.
    pub(crate) are_in_use: bool,
}

impl Core {
    /// A link to `place` for one user alone, which is up, and the node that it leads to; it is waited for until
    /// `deadline`.
    pub(crate) async fn lease(&self, place: &Place, deadline: Instant) -> Result<(Arc<Node>, Lease), NoLease> {
        self.wait_for_lease(place, LeaseKind::Leased, deadline).await
    }

    /// A link to `place` for what Redis sends without being asked. It is closed when it is dropped.
    pub(crate) async fn subscriber(&self, place: &Place, deadline: Instant) -> Result<Lease, Error> {
        let lease = self.wait_for_lease(place, LeaseKind::Subscriber, deadline).await;
        lease.map(|(_, lease)| lease).map_err(|none| none.error)
    }

    async fn wait_for_lease(
        &self,
        place: &Place,
        wish: LeaseKind,
        deadline: Instant,
    ) -> Result<(Arc<Node>, Lease), NoLease> {
        let mut are_in_use = false;
        let lease = self.timers.timeout_at(deadline, self.find_lease(place, wish, &mut are_in_use)).await;
        lease.unwrap_or_else(|| Err(self.no_lease(place, are_in_use))).map_err(|error| NoLease { error, are_in_use })
    }

    async fn find_lease(
        &self,
        place: &Place,
        wish: LeaseKind,
        are_in_use: &mut bool,
    ) -> Result<(Arc<Node>, Lease), Error> {
        /// A link that is being opened, and the node that it leads to.
        struct Ordered {
            node: Arc<Node>,
            lease: oneshot::Receiver<Lease>,
        }
        let mut ordered: Option<Ordered> = None;
        let mut seeker = None;
        let in_turn = self.leases.turn();
        tokio::pin!(in_turn);
        let mut turn = None;
        loop {
            let changed = self.availability.changed();
            tokio::pin!(changed);
            // Enabled before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if self.is_closed() {
                return Err(Error::closed());
            }
            if let Some(error) = self.tokens.dead() {
                return Err(error.for_want_of_a_token());
            }
            if wish == LeaseKind::Leased && turn.is_none() {
                *are_in_use = true;
                tokio::select! {
                    biased;
                    own = &mut in_turn => turn = Some(own),
                    () = changed => {}
                }
                continue;
            }
            *are_in_use = false;
            let node = self.node_sought(place, &mut seeker);
            // What is being opened to a node that is not the right one any more is of no use.
            ordered = ordered.filter(|ordered| node.as_ref().is_some_and(|node| Arc::ptr_eq(node, &ordered.node)));
            let Ordered { node, lease } = match (&mut ordered, node) {
                (Some(ordered), _) => ordered,
                (None, None) => {
                    changed.await;
                    continue;
                }
                (none, Some(node)) => {
                    // Enabled by those alone who want a leased link: one of those who wait is told what comes back.
                    let returned = self.leases.changed();
                    tokio::pin!(returned);
                    let lease = match wish {
                        LeaseKind::Subscriber => node.pool().order_subscriber(),
                        LeaseKind::Leased => {
                            returned.as_mut().enable();
                            match self.leases.offer(node.pool()) {
                                Offer::Link(lease) => return Ok((node, lease.begin().in_turn(turn))),
                                Offer::Ticket(ticket) => node.pool().order_lease(ticket),
                                Offer::Nothing => {
                                    *are_in_use = true;
                                    tokio::select! {
                                        () = returned => {}
                                        () = changed => {}
                                    }
                                    continue;
                                }
                            }
                        }
                    };
                    none.insert(Ordered { node, lease })
                }
            };
            tokio::select! {
                lease = lease => match lease {
                    Ok(lease) => return Ok((Arc::clone(node), lease.begin().in_turn(turn))),
                    // The node's keeper has ended: there will be another node, or nobody opens links any more.
                    Err(_) => ordered = None,
                },
                () = &mut changed => continue,
            }
            changed.await;
        }
    }

    /// Whether a shared link to the place is up.
    pub(super) fn is_up(&self, place: &Place) -> bool {
        self.node_of(place).is_some_and(|node| node.takes_commands())
    }

    /// Waits until a shared link to the place is up, until `deadline` at most.
    pub(super) async fn until_up(&self, place: &Place, deadline: Instant) -> Result<(), Error> {
        let _waiting = self.admission.wait();
        let mut seeker = None;
        loop {
            let changed = self.availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_closed() {
                return Err(Error::closed());
            }
            if self.node_sought(place, &mut seeker).is_some_and(|node| node.takes_commands()) {
                return Ok(());
            }
            if let Some(error) = self.tokens.dead() {
                return Err(error.for_want_of_a_token());
            }
            if self.timers.timeout_at(deadline, changed).await.is_none() {
                self.admission.note_unserved();
                return Err(self.no_lease(place, false));
            }
        }
    }

    /// The node that the place is at now, for somebody who waits for it: as long as nobody serves its slot, `seeker`
    /// has the topology asked for.
    fn node_sought<'a>(&'a self, place: &Place, seeker: &mut Option<Seeker<'a>>) -> Option<Arc<Node>> {
        let node = self.node_of(place);
        match (&node, place) {
            (None, Place::Owner(slot)) if seeker.is_none() => *seeker = self.seeker(*slot),
            (None, _) => {}
            (Some(_), _) => *seeker = None,
        }
        node
    }

    /// The node that the place is at now, if there is one.
    pub(crate) fn node_of(&self, place: &Place) -> Option<Arc<Node>> {
        match (place, self.routing.get()?) {
            (Place::Node(node), _) | (Place::Owner(_), Routing::Single(node)) => Some(Arc::clone(node)),
            (Place::Owner(Some(slot)), Routing::Cluster(cluster)) => {
                let owner = cluster.map().get(*slot).map(Arc::clone);
                if owner.is_none() {
                    cluster.doubt();
                }
                owner
            }
            (Place::Owner(None), Routing::Cluster(cluster)) => cluster.any_node(),
        }
    }

    fn no_lease(&self, place: &Place, are_in_use: bool) -> Error {
        if self.is_closed() || self.timers.have_ended() {
            return Error::closed();
        }
        let kind = ErrorKind::Timeout(Stage::Command);
        if are_in_use {
            let most = self.leases.most();
            let text = format!(
                "no connection for this command alone has become free in time: {most} (`max_leased`) are in use; it was \
                 not sent"
            );
            return Error::new(kind, text).not_run();
        }
        let text = "no connection for this command alone came up in time; it was not sent";
        let last_error = match self.node_of(place) {
            Some(node) => node.pool().last_error(),
            None if self.is_found() => Some(unserved()),
            None => self.routing.last_error(),
        };
        match self.tokens.late().or(last_error) {
            Some(source) => {
                Error::new(kind, format!("{text}; the last attempt: {source}")).not_run().with_source(source)
            }
            None => Error::new(kind, text).not_run(),
        }
    }
}

#[cfg(test)]
mod tests;
