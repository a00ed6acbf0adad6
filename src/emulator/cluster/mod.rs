//! A cluster of nodes, each behind a front of its own, as Azure Managed Redis is under the OSS cluster policy.
//!
//! - `servers`: of redis-servers that the emulator starts
//! - `embedded`: of embedded stores
//! - `site`: where clients reach a node; `ports`: ports that are free
//! - `migration`: slots on their way, held where they are

mod embedded;
mod migration;
mod ports;
mod servers;
mod site;

use super::{backend::Backend, redis_front::RedisFront};
use std::{fmt, io, net::SocketAddr, ops::RangeInclusive};

pub(super) use embedded::Embedded;
pub use migration::Migration;
pub(super) use servers::{Plan, Servers};
pub(super) use site::Fronts;

/// A node, as the cluster itself sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterNode {
    /// Its number, which stays the same and is never another one's: primaries from 0, then replicas, then those that
    /// were added.
    pub index: usize,
    /// Where clients reach it, and what the topology calls it.
    pub address: SocketAddr,
    /// What it is in the cluster.
    pub role: NodeRole,
    /// The slots that it serves; none if it is a replica.
    pub slots: Vec<RangeInclusive<u16>>,
    /// Whether it runs and is not frozen. One that does not is told of as the others see it.
    pub is_live: bool,
}

/// What a node is in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeRole {
    /// It serves slots, or could.
    Primary,
    /// It follows a primary.
    Replica {
        /// The index of that one.
        of: usize,
    },
}

/// The nodes of an emulated cluster, and what can happen to them.
///
/// What changes the cluster returns when all nodes that run agree about it, or with an error after half a minute. It
/// is a handle; the cluster ends with the [`Emulator`](super::Emulator).
#[derive(Clone)]
pub struct Cluster {
    kind: Kind,
}

#[derive(Clone)]
pub(super) enum Kind {
    Servers(Servers),
    Embedded(Embedded),
}

impl Cluster {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind }
    }

    /// The way to a node that lives.
    pub(super) fn seed(&self) -> Backend {
        match &self.kind {
            Kind::Servers(servers) => servers.seed(),
            Kind::Embedded(embedded) => embedded.seed(),
        }
    }

    /// Ends all nodes.
    pub(super) fn end(&self) {
        match &self.kind {
            Kind::Servers(servers) => servers.end(),
            Kind::Embedded(embedded) => embedded.end(),
        }
    }

    /// The nodes, by their index.
    ///
    /// # Errors
    ///
    /// If the nodes do not agree on what the cluster is.
    pub async fn nodes(&self) -> io::Result<Vec<ClusterNode>> {
        match &self.kind {
            Kind::Servers(servers) => servers.describe().await,
            Kind::Embedded(embedded) => Ok(embedded.describe()),
        }
    }

    /// The front of a node: its connections, counters and faults.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub fn front(&self, node: usize) -> io::Result<RedisFront> {
        match &self.kind {
            Kind::Servers(servers) => Ok(servers.node(node)?.site.front.clone()),
            Kind::Embedded(embedded) => Ok(embedded.node(node)?.site.front.clone()),
        }
    }

    pub(super) fn fronts(&self) -> Vec<RedisFront> {
        match &self.kind {
            Kind::Servers(servers) => servers.all().iter().map(|node| node.site.front.clone()).collect(),
            Kind::Embedded(embedded) => embedded.all().iter().map(|node| node.site.front.clone()).collect(),
        }
    }

    /// Where clients reach a node.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub fn address(&self, node: usize) -> io::Result<SocketAddr> {
        match &self.kind {
            Kind::Servers(servers) => Ok(servers.node(node)?.site.address()),
            Kind::Embedded(embedded) => Ok(embedded.node(node)?.site.address()),
        }
    }

    /// The process id of a node's redis-server; none if it does not run.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub fn pid(&self, node: usize) -> io::Result<Option<u32>> {
        match &self.kind {
            Kind::Servers(servers) => Ok(servers.node(node)?.server.pid()),
            Kind::Embedded(embedded) => embedded.node(node).map(|_| None),
        }
    }

    /// The address at which a node's own redis-server listens, without TLS and without authentication: for a test that
    /// looks behind the front.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the cluster is one of embedded stores.
    pub fn redis_address(&self, node: usize) -> io::Result<SocketAddr> {
        match &self.kind {
            Kind::Servers(servers) => Ok(([127, 0, 0, 1], servers.node(node)?.server.ports.plain).into()),
            Kind::Embedded(_) => Err(not_embedded()),
        }
    }

    /// Kills a node as a crash would (`SIGKILL`): its connections break, and its port refuses new ones.
    ///
    /// It is not waited until the others have noticed. [`promoted`](Self::promoted) waits for a replica to take over.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub async fn kill(&self, node: usize) -> io::Result<()> {
        match &self.kind {
            Kind::Servers(servers) => servers.kill(node).await,
            Kind::Embedded(embedded) => embedded.kill(node).await,
        }
    }

    /// Starts a node again that was killed, on the same ports, and without its data unless it gets that from a primary.
    ///
    /// # Errors
    ///
    /// If it does not start, or the others do not take it in.
    pub async fn restart(&self, node: usize) -> io::Result<()> {
        match &self.kind {
            Kind::Servers(servers) => servers.restart(node).await,
            Kind::Embedded(embedded) => embedded.restart(node).await,
        }
    }

    /// Stops a node where it stands (`SIGSTOP`), with its connections open: nothing is answered any more, and new
    /// connections get no TLS. If it has a replica, that one is promoted after the node timeout.
    ///
    /// To cut it off from clients alone, [`freeze`](RedisFront::freeze) its [`front`](Self::front).
    ///
    /// # Errors
    ///
    /// If there is no such node, or it does not run.
    pub async fn freeze(&self, node: usize) -> io::Result<()> {
        match &self.kind {
            Kind::Servers(servers) => servers.freeze(node).await,
            Kind::Embedded(embedded) => embedded.freeze(node),
        }
    }

    /// Lets a frozen node go on, and waits until the others have it back.
    ///
    /// # Errors
    ///
    /// If there is no such node, or it does not run.
    pub async fn thaw(&self, node: usize) -> io::Result<()> {
        match &self.kind {
            Kind::Servers(servers) => servers.thaw(node).await,
            Kind::Embedded(embedded) => embedded.thaw(node),
        }
    }

    /// Waits until a replica of this primary, which was killed or frozen, serves its slots; returns that one's index.
    ///
    /// # Errors
    ///
    /// If none does.
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the cluster is one of embedded stores.
    pub async fn promoted(&self, node: usize) -> io::Result<usize> {
        match &self.kind {
            Kind::Servers(servers) => servers.promoted(node).await,
            Kind::Embedded(_) => Err(not_embedded()),
        }
    }

    /// A planned failover (`CLUSTER FAILOVER`): a replica of this primary takes over its slots without loss, and the
    /// primary follows it. Returns the index of the new primary.
    ///
    /// # Errors
    ///
    /// If it has no replica, or that one does not take over.
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the cluster is one of embedded stores.
    pub async fn fail_over(&self, node: usize) -> io::Result<usize> {
        match &self.kind {
            Kind::Servers(servers) => servers.fail_over(node).await,
            Kind::Embedded(_) => Err(not_embedded()),
        }
    }

    /// Moves the slots to a node, one after the other with the keys in them, as `redis-cli --cluster reshard` does.
    ///
    /// # Errors
    ///
    /// If a slot has no owner, or a node refuses.
    pub async fn move_slots(&self, slots: RangeInclusive<u16>, to: usize) -> io::Result<()> {
        match &self.kind {
            Kind::Servers(servers) => servers.move_slots(slots, to).await,
            Kind::Embedded(embedded) => embedded.move_slots(slots, to),
        }
    }

    /// Begins to move the slots to a node: until it is [finished](Migration::finish), their keys are served by either
    /// node, by where they are, and clients are sent to the other one with `ASK`.
    ///
    /// # Errors
    ///
    /// If a slot has no owner, or a node refuses.
    pub async fn begin_migration(&self, slots: RangeInclusive<u16>, to: usize) -> io::Result<Migration> {
        match &self.kind {
            Kind::Servers(servers) => Migration::of_servers(servers, slots, to).await,
            Kind::Embedded(embedded) => Migration::of_embedded(embedded, slots, to),
        }
    }

    /// Adds a primary without slots; returns its index.
    ///
    /// # Errors
    ///
    /// If it does not start, or the others do not take it in.
    pub async fn add_node(&self) -> io::Result<usize> {
        match &self.kind {
            Kind::Servers(servers) => servers.add_node().await,
            Kind::Embedded(embedded) => embedded.add_node().await,
        }
    }

    /// Adds a replica of a primary; returns its index.
    ///
    /// # Errors
    ///
    /// If it does not start, or the primary does not take it in.
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the cluster is one of embedded stores.
    pub async fn add_replica(&self, of: usize) -> io::Result<usize> {
        match &self.kind {
            Kind::Servers(servers) => servers.add_replica(of).await,
            Kind::Embedded(_) => Err(not_embedded()),
        }
    }

    /// Moves a node's slots to the other primaries, then lets all forget it and ends it. A replica of it follows
    /// another primary from then on.
    ///
    /// # Errors
    ///
    /// If it was the last primary, or a slot cannot be moved.
    pub async fn remove_node(&self, node: usize) -> io::Result<()> {
        match &self.kind {
            Kind::Servers(servers) => servers.remove_node(node).await,
            Kind::Embedded(embedded) => embedded.remove_node(node).await,
        }
    }

    /// Replaces a node as patching does: another one, at another port, gets its slots, and it is removed. Returns the
    /// index of the new one.
    ///
    /// # Errors
    ///
    /// As for [`add_node`](Self::add_node) and [`remove_node`](Self::remove_node).
    pub async fn replace_node(&self, node: usize) -> io::Result<usize> {
        match &self.kind {
            Kind::Servers(servers) => servers.replace_node(node).await,
            Kind::Embedded(embedded) => embedded.replace_node(node).await,
        }
    }

    /// Gives a node another port, and waits until all nodes announce it. Its connections are cut.
    ///
    /// # Errors
    ///
    /// If there is no such node, or it does not run.
    pub async fn change_port(&self, node: usize) -> io::Result<()> {
        match &self.kind {
            Kind::Servers(servers) => servers.change_ports(&[node]).await,
            Kind::Embedded(embedded) => embedded.change_ports(&[node]).await,
        }
    }

    /// Gives every node that runs another port, all at once.
    ///
    /// # Errors
    ///
    /// If the nodes do not agree on them.
    pub async fn change_all_ports(&self) -> io::Result<()> {
        match &self.kind {
            Kind::Servers(servers) => servers.change_all_ports().await,
            Kind::Embedded(embedded) => embedded.change_all_ports().await,
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Servers(_) => "redis-servers",
            Kind::Embedded(_) => "embedded stores",
        };
        f.debug_struct("Cluster").field("of", &kind).finish_non_exhaustive()
    }
}

fn no_node(index: usize) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("the cluster has no node {index}"))
}

fn no_owner(slot: u16) -> io::Error {
    io::Error::other(format!("no node owns the slot {slot}"))
}

fn runs(index: usize) -> io::Error {
    io::Error::other(format!("the node {index} runs"))
}

fn last_primary() -> io::Error {
    io::Error::other("the last primary of a cluster cannot be removed")
}

fn not_embedded() -> io::Error {
    let text =
        "an embedded cluster has no replicas and no redis-servers: start the emulator with `.cluster(…)` for those";
    io::Error::new(io::ErrorKind::Unsupported, text)
}
