//! A link that a caller has alone: where it leads, and how long it is waited for.

#[cfg(test)]
pub(super) mod lonely;
mod search;

use super::{core::Core, texts::not_sent_in_time};
use crate::{
    cluster::{node::Node, nodes::unserved, router::Seeker, routing::Routing, slot::Slot},
    error::{Error, ErrorKind, Stage},
    pool::Lease,
};
use search::Found;
use std::sync::Arc;
use tokio::time::Instant;

pub(super) use search::Search;

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
        self.lease_by(&mut Search::leased(), place, deadline).await
    }

    /// The same by a search that may have been begun before, and may be gone on with.
    pub(super) async fn lease_by(
        &self,
        search: &mut Search,
        place: &Place,
        deadline: Instant,
    ) -> Result<(Arc<Node>, Lease), NoLease> {
        let found = self.timers.timeout_at(deadline, self.find_lease(search, place)).await;
        let are_in_use = search.lacks_room();
        found.unwrap_or_else(|| Err(self.no_lease(place, are_in_use))).map_err(|error| NoLease { error, are_in_use })
    }

    /// A link to `place` for what Redis sends without being asked. It is closed when it is dropped.
    pub(crate) async fn subscriber(&self, place: &Place, deadline: Instant) -> Result<Lease, Error> {
        let lease = self.lease_by(&mut Search::subscriber(), place, deadline).await;
        lease.map(|(_, lease)| lease).map_err(|none| none.error)
    }

    /// Goes after the place, until there is a link to where it is.
    async fn find_lease(&self, search: &mut Search, place: &Place) -> Result<(Arc<Node>, Lease), Error> {
        let mut seeker = None;
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
            // Any node will do: the one that is about to have a link, as long as it serves.
            let kept = search.node().filter(|node| matches!(place, Place::Owner(None)) && node.takes_commands());
            let Some(node) = kept.or_else(|| self.node_sought(place, &mut seeker)) else {
                // There may be no such node for long.
                search.stop();
                changed.await;
                continue;
            };
            let found = tokio::select! {
                biased;
                found = search.link_to(&self.leases, &node) => found,
                () = &mut changed => continue,
            };
            match found {
                Found::Link(lease) => return Ok((node, search.end(lease))),
                Found::Broken => {}
                Found::Nothing => changed.await,
            }
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
        if self.is_closed() {
            return Error::closed();
        }
        if are_in_use {
            let most = self.leases.most();
            let text = format!(
                "no connection for this command alone has become free in time: {most} (`max_leased`) are in use; it was \
                 not sent"
            );
            return not_sent_in_time(text, None);
        }
        let last_error = match self.node_of(place) {
            Some(node) => node.pool().last_error(),
            None if self.is_found() => Some(unserved()),
            None => self.routing.last_error(),
        };
        let text = "no connection for this command alone came up in time; it was not sent";
        not_sent_in_time(text, self.tokens.late().or(last_error))
    }
}

/// Whether an error says that something was not there in time.
pub(super) fn is_late(error: &Error) -> bool {
    error.kind() == ErrorKind::Timeout(Stage::Command)
}

#[cfg(test)]
mod tests;
