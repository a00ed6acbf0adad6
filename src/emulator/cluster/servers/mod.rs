//! A cluster of redis-servers.
//!
//! - `forming`: how it comes to be
//! - `agreement`: what the nodes say, and waiting until they say the same
//! - `moving`: slots that go from one node to another
//! - `members`: nodes that come and go, and take each other's place
//! - `node`: a server behind its front; `server`: its process; `directory`: their files; `view`: what a node tells

mod agreement;
mod directory;
mod forming;
mod members;
mod moving;
mod node;
mod server;
mod view;
mod wait;

use super::{ClusterNode, NodeRole, no_node, runs, site::Fronts};
use crate::{emulator::backend::Backend, lock::lock};
use agreement::Roll;
use directory::Directory;
use node::Node;
use server::Settings;
use std::{
    io,
    sync::{Arc, Mutex, atomic::AtomicUsize},
};

pub(in crate::emulator) use forming::Plan;
pub(in crate::emulator::cluster) use moving::Moves;

/// The servers, for as long as one of these is there.
#[derive(Clone)]
pub(in crate::emulator) struct Servers {
    shared: Arc<Shared>,
}

struct Shared {
    nodes: Mutex<Vec<Arc<Node>>>,
    next_index: AtomicUsize,
    /// What clients get who come by the emulator's own address: a node that lives.
    seed: Arc<Mutex<Vec<Backend>>>,
    directory: Arc<Directory>,
    settings: Settings,
    fronts: Fronts,
    /// Changes of the topology come one after the other.
    changing: tokio::sync::Mutex<()>,
}

impl Servers {
    /// The way to a node that lives, whichever these are.
    pub(in crate::emulator) fn seed(&self) -> Backend {
        Backend::FirstOf(Arc::clone(&self.shared.seed))
    }

    pub(super) fn end(&self) {
        let nodes = std::mem::take(&mut *lock(&self.shared.nodes));
        for node in nodes {
            node.begin_kill();
        }
        self.seed_follows();
    }

    pub(super) fn all(&self) -> Vec<Arc<Node>> {
        lock(&self.shared.nodes).clone()
    }

    pub(super) fn live(&self) -> Vec<Arc<Node>> {
        self.all().into_iter().filter(|node| node.site.is_live()).collect()
    }

    pub(super) fn node(&self, index: usize) -> io::Result<Arc<Node>> {
        let node = lock(&self.shared.nodes).iter().find(|node| node.index == index).cloned();
        node.ok_or_else(|| no_node(index))
    }

    /// Lets the seed lead to nodes that live only.
    fn seed_follows(&self) {
        let behind = self.live().iter().map(|node| node.server.backend()).collect();
        *lock(&self.shared.seed) = behind;
    }

    pub(super) async fn describe(&self) -> io::Result<Vec<ClusterNode>> {
        let roll = self.agreed("the nodes agree on the cluster", |_| true).await?;
        self.all().iter().map(|node| describe(node, &roll, &self.all())).collect()
    }

    pub(super) async fn kill(&self, index: usize) -> io::Result<()> {
        let node = self.node(index)?;
        node.note_slots().await;
        node.kill().await;
        self.seed_follows();
        Ok(())
    }

    pub(super) async fn restart(&self, index: usize) -> io::Result<()> {
        let node = self.node(index)?;
        if node.server.pid().is_some() {
            return Err(runs(index));
        }
        node.restart().await?;
        self.back(&node).await
    }

    pub(super) async fn freeze(&self, index: usize) -> io::Result<()> {
        let node = self.node(index)?;
        node.note_slots().await;
        let frozen = node.freeze().await;
        self.seed_follows();
        frozen
    }

    pub(super) async fn thaw(&self, index: usize) -> io::Result<()> {
        let node = self.node(index)?;
        node.thaw().await?;
        self.back(&node).await
    }

    /// Waits until a node is one of the cluster's again.
    async fn back(&self, node: &Node) -> io::Result<()> {
        self.seed_follows();
        self.agreed("the others have the node back", |_| true).await?;
        self.in_sync(node).await
    }

    pub(super) async fn change_all_ports(&self) -> io::Result<()> {
        let live: Vec<_> = self.live().iter().map(|node| node.index).collect();
        self.change_ports(&live).await
    }

    pub(super) async fn change_ports(&self, indices: &[usize]) -> io::Result<()> {
        let _changing = self.shared.changing.lock().await;
        for index in indices {
            self.node(*index)?.change_port().await?;
        }
        // The nodes have to agree on the ports that the fronts have.
        self.agreed("all nodes announce the new ports", |_| true).await?;
        Ok(())
    }
}

fn describe(node: &Node, roll: &Roll, all: &[Arc<Node>]) -> io::Result<ClusterNode> {
    let unknown = || io::Error::other(format!("the node {} is not known to the others", node.index));
    let member = roll.member(&node.id).ok_or_else(unknown)?;
    let index_of = |id: &String| all.iter().find(|node| node.id == *id).map(|node| node.index);
    let role = member.primary.as_ref().and_then(index_of).map_or(NodeRole::Primary, |of| NodeRole::Replica { of });
    Ok(ClusterNode {
        index: node.index,
        address: node.site.address(),
        role,
        slots: member.slots.clone(),
        is_live: node.site.is_live(),
    })
}
