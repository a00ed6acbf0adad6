//! Finding out at `connect` whether the endpoint is one server or a cluster.

use super::{
    address::NodeAddress,
    ask::{Refused, ask},
    endpoint::NodeMap,
    map::SlotMap,
    node::Node,
    nodes::{LINKS_OF_A_NODE, Nodes},
    router::Cluster,
    routing::{Found, Routing},
    topology::Topology as Slots,
    watch::{Seed, Watch},
};
use crate::{
    error::{Error, ErrorKind},
    link::Setup,
    pool::Shared,
    retry::{Backoff, RetryPolicy},
};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;

/// Links to a single endpoint by default.
const LINKS_OF_AN_ENDPOINT: usize = 4;

/// Between two attempts of a lazy start; so much at most.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// How long a server may take to say whether it is a cluster, before it is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Whether the cache is a cluster of several nodes that clients send commands to, or has one endpoint for all.
///
/// In Azure Managed Redis this is the cluster policy: *OSS* (the default of a new cache) is a cluster; *Enterprise* and
/// *non-clustered* are single endpoints. It is fixed when a cache is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Topology {
    /// The server is asked at `connect`, with `CLUSTER SLOTS`, until it answers. One that refuses, or answers with
    /// something else, is a single endpoint; `LOADING`, `MASTERDOWN`, `CLUSTERDOWN`, `TRYAGAIN`, `BUSY` and `NOAUTH`, a
    /// cluster without any slots, silence and a lost connection are no answer, and it is asked again within
    /// `startup_timeout`.
    #[default]
    Auto,
    /// One endpoint; nothing is asked. On a cluster, commands on keys of other nodes fail with `MOVED`, and the error
    /// says what to set.
    SingleEndpoint,
    /// A cluster; `connect` fails if it is none.
    OssCluster,
}

/// When a connection manager serves that has been started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Startup {
    /// `connect` returns when the first connection is authenticated, or with the reason why none can be.
    #[default]
    Wait,
    /// `connect` returns as soon as the files that settings name are read, within `startup_timeout`, unless a setting
    /// is wrong. Tokens and connections are tried for until they come; meanwhile commands wait, within their deadlines,
    /// and `health()` says why nothing is served yet.
    Lazy,
}

/// What is needed to find out.
#[derive(Clone)]
pub(crate) struct Discovery {
    pub(crate) topology: Topology,
    pub(crate) setup: Setup,
    pub(crate) shared: Shared,
    pub(crate) keepers: TaskTracker,
    /// None: the default of an endpoint, or of a node.
    pub(crate) pool_size: Option<usize>,
    pub(crate) node_map: NodeMap,
    pub(crate) refresh_interval: Duration,
    /// Told why the server has not said yet what it is.
    pub(crate) found: Found,
}

impl Discovery {
    /// Opens the first connection, and to a cluster one to each node, for at most the connect timeout. The watch is to
    /// run for as long as the cluster is used. It waits for as long as it takes: whoever calls has a limit.
    pub(crate) async fn start(self) -> Result<(Routing, Option<Watch>), Error> {
        let of_an_endpoint = self.pool_size.unwrap_or(LINKS_OF_AN_ENDPOINT);
        let is_known = self.topology == Topology::SingleEndpoint;
        let size = if is_known { of_an_endpoint } else { 1 };
        let name = NodeAddress::new(&self.setup.dialer.host, self.setup.dialer.port);
        let (seed, ready) = Node::start(name.clone(), size, self.setup.clone(), &self.shared, &self.keepers);
        ready.await.unwrap_or_else(|_| Err(Error::closed()))?;
        if is_known {
            return Ok((Routing::Single(seed), None));
        }
        match self.ask(&seed, &name).await {
            Ok(slots) => self.cluster(seed, name, &slots).await,
            Err(Refused::Said(_)) if self.topology == Topology::Auto => {
                seed.pool().grow(of_an_endpoint);
                Ok((Routing::Single(seed), None))
            }
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// As [`start`](Self::start), again and again until it succeeds; what it finds is put into [`found`](Self::found).
    pub(crate) async fn start_some_time(self) -> Option<Watch> {
        let found = self.found.clone();
        let mut backoff = Backoff::new(&RetryPolicy::new().delay(FIRST_DELAY).max_delay(LONGEST_DELAY));
        loop {
            match self.clone().start().await {
                Ok((routing, watch)) => {
                    found.set(routing);
                    self.shared.availability.announce();
                    return watch;
                }
                Err(error) if error.kind() == ErrorKind::Closed => {
                    // Nobody opens links any more: those who wait are told, and the next ones do not wait.
                    self.shared.availability.close();
                    return None;
                }
                Err(error) => found.note_error(error),
            }
            // The next first connection is to ask for the topology again.
            self.setup.asks_for_slots.store(self.topology != Topology::SingleEndpoint, Relaxed);
            // Those who wait for a token learn that there is none.
            self.shared.availability.announce();
            sleep(backoff.next_delay()).await;
        }
    }

    /// A connection that breaks is no answer.
    async fn ask(&self, seed: &Node, name: &NodeAddress) -> Result<Slots, Refused> {
        loop {
            let changed = self.shared.availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let asked = Instant::now();
            if let Some(link) = seed.open_link() {
                // A question that went with the first `AUTH` gets no longer than others.
                match timeout_at(asked + ANSWER_WITHIN, ask(&link, name, ANSWER_WITHIN)).await {
                    Err(_) => link.suspect(),
                    Ok(Err(Refused::Silent(error))) => {
                        self.found.note_error(error);
                        link.suspect();
                    }
                    Ok(answer) => return answer,
                }
            }
            if seed.pool().has_ended() {
                return Err(Refused::Silent(Error::closed()));
            }
            // A server that is just loading answers at once, and for some time.
            _ = timeout_at(asked + ANSWER_WITHIN / 4, changed).await;
        }
    }

    async fn cluster(
        self,
        seed: Arc<Node>,
        name: NodeAddress,
        slots: &Slots,
    ) -> Result<(Routing, Option<Watch>), Error> {
        let limit = Instant::now() + self.setup.dialer.connect_timeout;
        let size = self.pool_size.unwrap_or(LINKS_OF_A_NODE);
        let (setup, shared) = (self.setup, self.shared);
        let nodes = Nodes::new(setup.clone(), shared.clone(), self.keepers, size, self.node_map);
        if slots.primaries().contains(&&name) {
            nodes.adopt(name.clone(), seed);
        }
        let cluster = Arc::new(Cluster::new(nodes));
        cluster.publish(SlotMap::empty().rebuilt(slots, &[], |address| cluster.nodes.get(address)));
        first_links(&cluster, &shared, limit).await?;
        let watch = Watch::new(Arc::clone(&cluster), Seed { setup, name }, shared, self.refresh_interval);
        Ok((Routing::Cluster(cluster), Some(watch)))
    }
}

/// Waits until each node has a link, until `limit` at most; and after that, until one has a link, or none can be
/// reached.
async fn first_links(cluster: &Cluster, shared: &Shared, limit: Instant) -> Result<(), Error> {
    let nodes = cluster.nodes.all();
    loop {
        let changed = shared.availability.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let is_late = Instant::now() >= limit;
        if is_late {
            let errors: Vec<_> = nodes.iter().filter_map(|node| node.pool().last_error()).collect();
            if nodes.iter().any(|node| node.takes_commands()) {
                return Ok(());
            }
            // While Redis takes its time over an `AUTH`, there is no error yet.
            if errors.len() == nodes.len()
                && let Some(error) = errors.into_iter().next()
            {
                return Err(error);
            }
            changed.await;
        } else if nodes.iter().all(|node| node.takes_commands()) {
            return Ok(());
        } else {
            _ = timeout_at(limit, changed).await;
        }
    }
}

#[cfg(test)]
mod tests;
