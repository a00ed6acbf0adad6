//! A cluster of nodes, each behind a front of its own, as Azure Managed Redis is under the OSS cluster policy.
//!
//! - `servers`: of redis-servers that the emulator starts
//! - `ports`: where nodes listen

mod ports;
mod servers;

use super::redis_front::RedisFront;
use std::{fmt, io, net::SocketAddr, ops::RangeInclusive};

pub(super) use servers::{Plan, Servers};

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
    servers: Servers,
}

impl Cluster {
    pub(super) fn new(servers: Servers) -> Self {
        Self { servers }
    }

    /// The nodes, by their index.
    ///
    /// # Errors
    ///
    /// If the nodes do not agree on what the cluster is.
    pub async fn nodes(&self) -> io::Result<Vec<ClusterNode>> {
        self.servers.describe().await
    }

    /// The front of a node: its connections, counters and faults.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub fn front(&self, node: usize) -> io::Result<RedisFront> {
        Ok(self.servers.node(node)?.front.clone())
    }

    pub(super) fn fronts(&self) -> Vec<RedisFront> {
        self.servers.all().iter().map(|node| node.front.clone()).collect()
    }

    /// Where clients reach a node.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub fn address(&self, node: usize) -> io::Result<SocketAddr> {
        Ok(self.servers.node(node)?.address())
    }

    /// The process id of a node's redis-server; none if it does not run.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub fn pid(&self, node: usize) -> io::Result<Option<u32>> {
        Ok(self.servers.node(node)?.server.pid())
    }

    /// The address at which a node's own redis-server listens, without TLS and without authentication: for a test that
    /// looks behind the front.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub fn redis_address(&self, node: usize) -> io::Result<SocketAddr> {
        Ok(([127, 0, 0, 1], self.servers.node(node)?.server.ports.plain).into())
    }

    /// Kills a node as a crash would (`SIGKILL`): its connections break, and its port refuses new ones.
    ///
    /// It is not waited until the others have noticed. [`promoted`](Self::promoted) waits for a replica to take over.
    ///
    /// # Errors
    ///
    /// If there is no such node.
    pub async fn kill(&self, node: usize) -> io::Result<()> {
        self.servers.kill(node).await
    }

    /// Starts a node again that was killed, on the same ports, and without its data unless it gets that from a primary.
    ///
    /// # Errors
    ///
    /// If it does not start, or the others do not take it in.
    pub async fn restart(&self, node: usize) -> io::Result<()> {
        self.servers.restart(node).await
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
        self.servers.freeze(node).await
    }

    /// Lets a frozen node go on, and waits until the others have it back.
    ///
    /// # Errors
    ///
    /// If there is no such node, or it does not run.
    pub async fn thaw(&self, node: usize) -> io::Result<()> {
        self.servers.thaw(node).await
    }

    /// Waits until a replica of this primary, which was killed or frozen, serves its slots; returns that one's index.
    ///
    /// # Errors
    ///
    /// If none does.
    pub async fn promoted(&self, node: usize) -> io::Result<usize> {
        self.servers.promoted(node).await
    }

    /// A planned failover (`CLUSTER FAILOVER`): a replica of this primary takes over its slots without loss, and the
    /// primary follows it. Returns the index of the new primary.
    ///
    /// # Errors
    ///
    /// If it has no replica, or that one does not take over.
    pub async fn fail_over(&self, node: usize) -> io::Result<usize> {
        self.servers.fail_over(node).await
    }

    /// Moves the slots to a node, one after the other with the keys in them, as `redis-cli --cluster reshard` does.
    ///
    /// # Errors
    ///
    /// If a slot has no owner, or a node refuses.
    pub async fn move_slots(&self, slots: RangeInclusive<u16>, to: usize) -> io::Result<()> {
        self.servers.move_slots(slots, to).await
    }

    /// Begins to move the slots to a node: until it is [finished](Migration::finish), their keys are served by either
    /// node, by where they are, and clients are sent to the other one with `ASK`.
    ///
    /// # Errors
    ///
    /// If a slot has no owner, or a node refuses.
    pub async fn begin_migration(&self, slots: RangeInclusive<u16>, to: usize) -> io::Result<Migration> {
        let moves = self.servers.begin_moves(slots, to).await?;
        Ok(Migration { servers: self.servers.clone(), moves })
    }

    /// Adds a primary without slots; returns its index.
    ///
    /// # Errors
    ///
    /// If it does not start, or the others do not take it in.
    pub async fn add_node(&self) -> io::Result<usize> {
        self.servers.add_node().await
    }

    /// Adds a replica of a primary; returns its index.
    ///
    /// # Errors
    ///
    /// If it does not start, or the primary does not take it in.
    pub async fn add_replica(&self, of: usize) -> io::Result<usize> {
        self.servers.add_replica(of).await
    }

    /// Moves a node's slots to the other primaries, then lets all forget it and ends it. A replica of it follows another
    /// primary from then on.
    ///
    /// # Errors
    ///
    /// If it was the last primary, or a slot cannot be moved.
    pub async fn remove_node(&self, node: usize) -> io::Result<()> {
        self.servers.remove_node(node).await
    }

    /// Replaces a node as patching does: another one, at another port, gets its slots, and it is removed. Returns the
    /// index of the new one.
    ///
    /// # Errors
    ///
    /// As for [`add_node`](Self::add_node) and [`remove_node`](Self::remove_node).
    pub async fn replace_node(&self, node: usize) -> io::Result<usize> {
        self.servers.replace_node(node).await
    }

    /// Gives a node another port, and waits until all nodes announce it. Its connections are cut.
    ///
    /// # Errors
    ///
    /// If there is no such node, or it does not run.
    pub async fn change_port(&self, node: usize) -> io::Result<()> {
        self.servers.change_ports(&[node]).await
    }

    /// Gives every node that runs another port, all at once.
    ///
    /// # Errors
    ///
    /// If the nodes do not agree on them.
    pub async fn change_all_ports(&self) -> io::Result<()> {
        let live = self.servers.live().iter().map(|node| node.index).collect::<Vec<_>>();
        self.servers.change_ports(&live).await
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.servers.all().iter().map(|node| node.address()).collect();
        f.debug_struct("Cluster").field("addresses", &addresses).finish_non_exhaustive()
    }
}

/// Slots on their way from the nodes that own them to another one.
///
/// Dropped, it stays as far as it has come.
#[must_use]
pub struct Migration {
    servers: Servers,
    moves: servers::Moves,
}

impl Migration {
    /// Moves this key, if it is in one of the slots and has not been moved; returns whether it was.
    ///
    /// # Errors
    ///
    /// If a node refuses.
    pub async fn move_key(&self, key: impl AsRef<[u8]>) -> io::Result<bool> {
        self.servers.move_key(&self.moves, key.as_ref()).await
    }

    /// Moves as many keys as are there, up to this number; returns how many it moved.
    ///
    /// # Errors
    ///
    /// If a node refuses.
    pub async fn move_keys(&self, at_most: usize) -> io::Result<usize> {
        self.servers.move_keys(&self.moves, at_most).await
    }

    /// Moves what is left, and makes the node the slots' owner.
    ///
    /// # Errors
    ///
    /// If a node refuses, or the nodes do not agree on the new owner.
    pub async fn finish(self) -> io::Result<()> {
        self.servers.finish_moves(&self.moves).await
    }
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration").field("moves", &self.moves).finish_non_exhaustive()
    }
}
