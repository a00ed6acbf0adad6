//! What can happen to the nodes of a cluster.

use super::{Cluster, Kind, Migration, not_embedded};
use std::{io, ops::RangeInclusive};

impl Cluster {
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
    /// To cut it off from clients alone, [`freeze`](crate::emulator::RedisFront::freeze) its [`front`](Self::front).
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

    /// Waits until a replica of this primary, which was killed or frozen, serves its slots; returns its index.
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
