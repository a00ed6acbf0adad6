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
    pool::{Availability, Shared},
};
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, Weak},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;

/// Links that a node has by default.
pub(crate) const LINKS_OF_A_NODE: usize = 2;

/// How long a node that only a redirect has named is kept while no topology names it.
const KEPT_UNLISTED: Duration = Duration::from_secs(10);

/// Where to look if a node does not answer, though the cache's own port does.
const NODE_HINT: &str = "nodes of a cluster listen on ports of their own: open 8500 to 8599 in the firewall, or use a \
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
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    known: HashMap<NodeAddress, Known>,
    leaving: Vec<Leaving>,
    /// No node opens links any more.
    is_closed: bool,
}

struct Known {
    node: Arc<Node>,
    /// One that only a redirect has named is kept until then; none once the topology has named it too.
    unlisted_until: Option<Instant>,
}

impl Known {
    /// A redirect, or the topology, has named it again.
    fn named(&mut self, until: Instant) -> Arc<Node> {
        self.unlisted_until = self.unlisted_until.map(|_| until);
        Arc::clone(&self.node)
    }
}

/// A node that is gone, until what is in flight on its links is answered.
struct Leaving {
    node: Arc<Node>,
    draining: AbortHandle,
}

impl Nodes {
    pub(crate) fn new(setup: Setup, shared: Shared, keepers: TaskTracker, pool_size: usize, map: NodeMap) -> Self {
        Self { setup, shared, keepers, runtime: Handle::current(), pool_size, map, state: Arc::default() }
    }

    /// The node of this address. If it is not known yet, it is from now on, and its links are opened.
    pub(crate) fn get(&self, address: &NodeAddress) -> Arc<Node> {
        let until = Instant::now() + KEPT_UNLISTED;
        if let Some(known) = lock(&self.state).known.get_mut(address) {
            return known.named(until);
        }
        // Asked without the lock: it is a function of the user's, which may look at this connection manager.
        let endpoint = self.endpoint(address);
        let mut state = lock(&self.state);
        let is_closed = state.is_closed;
        let known = state.known.entry(address.clone()).or_insert_with(|| {
            let node = self.start(address, endpoint);
            if is_closed {
                node.end_keeper();
            }
            Known { node, unlisted_until: Some(until) }
        });
        known.named(until)
    }

    /// Takes in a node that has been started already.
    pub(super) fn adopt(&self, address: NodeAddress, node: Arc<Node>) {
        node.pool().grow(self.pool_size);
        lock(&self.state).known.insert(address, Known { node, unlisted_until: None });
    }

    pub(crate) fn all(&self) -> Vec<Arc<Node>> {
        lock(&self.state).known.values().map(|known| Arc::clone(&known.node)).collect()
    }

    /// All, and those that are gone and still have something in flight.
    pub(crate) fn with_leaving(&self) -> Vec<Arc<Node>> {
        let state = lock(&self.state);
        let known = state.known.values().map(|known| &known.node);
        known.chain(state.leaving.iter().map(|leaving| &leaving.node)).map(Arc::clone).collect()
    }

    /// Those that are gone and still have something in flight.
    pub(crate) fn leaving(&self) -> Vec<Arc<Node>> {
        lock(&self.state).leaving.iter().map(|leaving| Arc::clone(&leaving.node)).collect()
    }

    /// Forgets nodes that the topology names no more: no new commands go to them, and what is in flight may still be
    /// answered.
    pub(super) fn forget(&self, is_listed: impl Fn(&NodeAddress) -> bool) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let State { known, leaving, .. } = &mut *state;
        known.retain(|address, known| {
            if is_listed(address) {
                known.unlisted_until = None;
            }
            let stays = is_listed(address) || known.unlisted_until.is_some_and(|until| now < until);
            if !stays {
                leaving.push(self.let_go(&known.node, now + self.setup.command_timeout));
            }
            stays
        });
    }

    /// When there may be something to [`forget`](Self::forget).
    pub(super) fn next_to_forget(&self) -> Option<Instant> {
        lock(&self.state).known.values().filter_map(|known| known.unlisted_until).min()
    }

    /// Ends the keepers of all nodes, and of those that are asked for from now on.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        state.known.values().for_each(|known| known.node.end_keeper());
        state.leaving.iter().for_each(|leaving| leaving.draining.abort());
    }

    fn let_go(&self, node: &Arc<Node>, limit: Instant) -> Leaving {
        node.end_keeper();
        let drain = drain(Arc::downgrade(node), Arc::clone(&self.shared.availability), limit);
        let (state, leaver) = (Arc::downgrade(&self.state), Arc::downgrade(node));
        let drain = async move {
            drain.await;
            // Whoever still holds the node must not keep its connections open.
            if let Some(node) = leaver.upgrade() {
                node.pool().clear();
            }
            if let Some(state) = state.upgrade() {
                lock(&state).leaving.retain(|leaving| !std::ptr::eq(Arc::as_ptr(&leaving.node), leaver.as_ptr()));
            }
        };
        let draining = self.keepers.spawn_on(drain, &self.runtime).abort_handle();
        Leaving { node: Arc::clone(node), draining }
    }

    /// None if the user's function panics, which must not take everything with it.
    fn endpoint(&self, address: &NodeAddress) -> Option<NodeEndpoint> {
        catch_unwind(AssertUnwindSafe(|| self.map.endpoint(address))).ok()
    }

    fn start(&self, address: &NodeAddress, endpoint: Option<NodeEndpoint>) -> Arc<Node> {
        let misconfigured = endpoint.is_none().then(|| Error::config("node_address", "panicked for this node"));
        let endpoint = endpoint.unwrap_or_else(|| NodeEndpoint::new(address.host(), address.port()));
        let mut setup = self.setup.clone();
        setup.dialer = setup.dialer.for_node(endpoint.host, endpoint.port, endpoint.server_name.as_deref(), NODE_HINT);
        setup.dialer.misconfigured = misconfigured.or(setup.dialer.misconfigured);
        setup.is_one_of_several = true;
        setup.node = address.to_string().into();
        let _entered = self.runtime.enter();
        Node::start(address.clone(), self.pool_size, setup, &self.shared, &self.keepers).0
    }
}

/// Lets what is on its way to a node be answered before its links close. It keeps none of them open itself, so that
/// they close with their connection manager.
async fn drain(node: Weak<Node>, availability: Arc<Availability>, limit: Instant) {
    let queues = loop {
        let changed = availability.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let Some(node) = node.upgrade() else {
            return;
        };
        let links = node.pool().all_links();
        for link in &links {
            link.retire("its node has left the cluster");
        }
        // Until its keeper has ended, it may add a link.
        if node.pool().has_ended() || Instant::now() >= limit {
            break links.iter().map(|link| Arc::clone(link.queue())).collect::<Vec<_>>();
        }
        drop((node, links));
        _ = timeout_at(limit, changed).await;
    };
    for queue in queues {
        _ = timeout_at(limit, queue.drained()).await;
    }
}

/// The error of a command whose slot no node serves.
pub(crate) fn unserved() -> Error {
    Error::new(ErrorKind::Connect, "no node of the cluster serves the slot of this command's keys")
}
