//! A cluster of nodes, each behind a front of its own, as Azure Managed Redis is under the OSS cluster policy.
//!
//! - `servers`: of redis-servers that the emulator starts
//! - `embedded`: of embedded stores
//! - `events`: what can happen to the nodes
//! - `site`: where clients reach a node; `ports`: ports that are free
//! - `migration`: slots on their way, held where they are

mod embedded;
mod events;
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
    #[non_exhaustive]
    Replica {
        /// The index of that one.
        of: usize,
    },
}

impl NodeRole {
    /// The index of the primary that it follows; none if it is one.
    #[must_use]
    pub fn replica_of(self) -> Option<usize> {
        match self {
            Self::Primary => None,
            Self::Replica { of } => Some(of),
        }
    }
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
