//! The nodes of a cluster that there are, and how one is made.

use super::{
    address::NodeAddress,
    endpoint::{NodeEndpoint, NodeMap},
    node::Node,
};
use crate::{
    error::{Error, ErrorKind},
    link::Setup,
    lock::lock,
    pool::Shared,
};
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;

/// Links that a node has by default.
pub(crate) const LINKS_OF_A_NODE: usize = 2;

/// Nodes that only a redirect has named may be in no topology for so long.
const KEPT_UNLISTED: Duration = Duration::from_secs(10);

/// Where to look if a node does not answer, though the cache's own port does.
pub(super) const NODE_HINT: &str = "nodes of a cluster listen on ports of their own: open 8500 to 8599 in the firewall, or use a \
                         cache with the Enterprise cluster policy, which has one port for all";

/// Makes nodes, and knows those that it has made.
pub(crate) struct Nodes {
    /// That of the endpoint, which a node's differs from by its address.
    setup: Setup,
    shared: Shared,
    keepers: TaskTracker,
    runtime: Handle,
    /// Links of each node.
    pool_size: usize,
    map: NodeMap,
    known: Mutex<HashMap<NodeAddress, Known>>,
}

struct Known {
    node: Arc<Node>,
    since: Instant,
}

impl Nodes {
    pub(crate) fn new(setup: Setup, shared: Shared, keepers: TaskTracker, pool_size: usize, map: NodeMap) -> Self {
        Self { setup, shared, keepers, runtime: Handle::current(), pool_size, map, known: Mutex::default() }
    }

    /// The node of this address. If it is not known yet, it is from now on, and its links are opened.
    pub(crate) fn get(&self, address: &NodeAddress) -> Arc<Node> {
        let mut known = lock(&self.known);
        let known =
            known.entry(address.clone()).or_insert_with(|| Known { node: self.start(address), since: Instant::now() });
        Arc::clone(&known.node)
    }

    /// Takes in a node that has been started already.
    pub(super) fn adopt(&self, address: NodeAddress, node: Arc<Node>) {
        node.pool().grow(self.pool_size);
        lock(&self.known).insert(address, Known { node, since: Instant::now() });
    }

    pub(crate) fn all(&self) -> Vec<Arc<Node>> {
        lock(&self.known).values().map(|known| Arc::clone(&known.node)).collect()
    }

    /// Forgets nodes that are gone: no new commands for them. What is in flight may be answered yet.
    pub(super) fn forget(&self, is_gone: impl Fn(&NodeAddress) -> bool) {
        let now = Instant::now();
        let mut gone = Vec::new();
        lock(&self.known).retain(|address, known| {
            let stays = !is_gone(address) || now - known.since < KEPT_UNLISTED;
            if !stays {
                gone.push(Arc::clone(&known.node));
            }
            stays
        });
        let limit = now + self.setup.command_timeout;
        for node in gone {
            node.end_keeper();
            self.keepers.spawn_on(drain(node, limit), &self.runtime);
        }
    }

    fn start(&self, address: &NodeAddress) -> Arc<Node> {
        // A function of the user's that panics must not take everything with it.
        let endpoint = catch_unwind(AssertUnwindSafe(|| self.map.endpoint(address))).ok();
        let endpoint = endpoint.unwrap_or_else(|| NodeEndpoint::new(address.host(), address.port()));
        let mut setup = self.setup.clone();
        setup.dialer.host = endpoint.host;
        setup.dialer.port = endpoint.port;
        setup.dialer.hint = Some(NODE_HINT);
        setup.dialer.transport = setup.dialer.transport.for_node(endpoint.server_name.as_deref());
        setup.node = address.to_string().into();
        let _entered = self.runtime.enter();
        Node::start(address.clone(), self.pool_size, setup, &self.shared, &self.keepers).0
    }
}

/// Lets what is on its way to a node be answered before its links close.
async fn drain(node: Arc<Node>, limit: Instant) {
    let links = node.pool().all_links();
    links.iter().for_each(|link| link.retire("its node has left the cluster"));
    for link in links {
        _ = timeout_at(limit, link.drained()).await;
    }
}

/// The error of a command whose slot no node serves.
pub(crate) fn unserved() -> Error {
    Error::new(ErrorKind::Connect, "no node of the cluster serves the slot of this command's keys")
}
