//! For tests: a core with one node, to which no links are opened but those that the test opens.

use super::Place;
use crate::{
    admission::Admission,
    cluster::{
        address::NodeAddress,
        node::Node,
        routing::{Found, Routing},
    },
    exec::{core::Core, scatter::ground::Ground},
    link::Link,
    pool::{
        Leases, Pool, Roster,
        fixture::{HOUR, ordered},
    },
};
use std::sync::Arc;
use tokio::io::{DuplexStream, duplex};

/// The only node of a core, to which nobody opens links until the test does.
pub(in crate::exec) struct Lonely {
    pub(in crate::exec) core: Core,
    pub(in crate::exec) node: Arc<Node>,
    pub(in crate::exec) roster: Roster,
    servers: Vec<DuplexStream>,
}

pub(in crate::exec) const ANYWHERE: Place = Place::Owner(None);

impl Lonely {
    /// Where there may be so many leased links.
    pub(in crate::exec) fn new(most: usize) -> Self {
        let mut core = Ground::quiet().core;
        core.leases = Leases::new(most);
        let (pool, roster) = Pool::new(1, Arc::clone(&core.availability), Arc::clone(&core.leases));
        let node = Node::without_keeper(NodeAddress::new("lonely", 1), pool);
        core.routing = Found::known(Routing::Single(Arc::clone(&node)));
        Self { core, node, roster, servers: Vec::new() }
    }

    pub(in crate::exec) fn link(&mut self, id: u64) -> Arc<Link> {
        let (near, far) = duplex(1 << 10);
        self.servers.push(far);
        Arc::new(Link::over(id, near, Admission::new(8), HOUR))
    }

    /// Opens all that has been asked for, with links of these numbers.
    pub(in crate::exec) fn open(&mut self, ids: impl IntoIterator<Item = u64>) {
        let links: Vec<_> = ids.into_iter().map(|id| self.link(id)).collect();
        let orders = ordered(&self.roster);
        assert_eq!(orders.len(), links.len());
        for (order, link) in orders.into_iter().zip(links) {
            order.fill(link, self.node.pool(), &self.core.leases);
        }
    }
}
