//! Nodes that come and go, and take each other's place.

use super::{Roll, Servers, moving::MANY, node::Node, wait::not_yet};
use crate::{emulator::cluster::last_primary, lock::lock};
use redis::cmd;
use std::{io, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Redis gives up a planned failover after five seconds, and it has to be told again.
const FAILOVER: Duration = Duration::from_secs(6);
const FAILOVER_ATTEMPTS: usize = 4;

impl Servers {
    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Node>> {
        self.all().into_iter().find(|node| node.id == id)
    }

    pub(in crate::emulator::cluster) async fn promoted(&self, index: usize) -> io::Result<usize> {
        let node = self.node(index)?;
        let slot = node.served().ok_or_else(|| {
            io::Error::other(format!("the node {index} was neither killed nor frozen while it served slots"))
        })?;
        let heir = |roll: &Roll| roll.owner(slot).and_then(|id| self.by_id(id)).filter(|heir| heir.id != node.id);
        let roll = self.agreed("a replica is promoted", |roll| heir(roll).is_some()).await?;
        heir(&roll).map(|heir| heir.index).ok_or_else(|| not_yet("no replica is promoted"))
    }

    pub(in crate::emulator::cluster) async fn fail_over(&self, index: usize) -> io::Result<usize> {
        let _changing = self.shared.changing.lock().await;
        let old = self.node(index)?;
        let roll = self.agreed("the nodes agree on the replicas", |_| true).await?;
        let replica = roll.replicas_of(&old.id).filter_map(|id| self.by_id(id)).find(|node| node.site.is_live());
        let replica = replica.ok_or_else(|| io::Error::other(format!("the node {index} has no replica that lives")))?;
        let swapped = |roll: &Roll| {
            let follows = |node: &Node, primary: Option<&str>| {
                roll.member(&node.id).is_some_and(|member| member.primary.as_deref() == primary)
            };
            follows(&replica, None) && follows(&old, Some(&replica.id))
        };
        let mut last = not_yet("no failover has begun");
        for _ in 0..FAILOVER_ATTEMPTS {
            // One that has been done by now is refused.
            if let Err(error) = replica.server.ask::<()>(cmd("CLUSTER").arg("FAILOVER")).await {
                last = error;
            }
            if let Ok(done) = timeout(FAILOVER, self.agreed("the replica takes over", &swapped)).await {
                done?;
                self.in_sync(&old).await?;
                return Ok(replica.index);
            }
        }
        Err(last)
    }

    pub(in crate::emulator::cluster) async fn add_node(&self) -> io::Result<usize> {
        let _changing = self.shared.changing.lock().await;
        Ok(self.join().await?.index)
    }

    pub(in crate::emulator::cluster) async fn add_replica(&self, of: usize) -> io::Result<usize> {
        let _changing = self.shared.changing.lock().await;
        let primary = self.node(of)?;
        let replica = self.join().await?;
        self.reattach(&replica, &primary).await?;
        Ok(replica.index)
    }

    pub(in crate::emulator::cluster) async fn remove_node(&self, index: usize) -> io::Result<()> {
        let _changing = self.shared.changing.lock().await;
        let node = self.node(index)?;
        let roll = self.agreed("the nodes agree on the cluster", |_| true).await?;
        let others: Vec<_> = self.primaries(&roll).into_iter().filter(|other| other.id != node.id).collect();
        if others.is_empty() {
            return Err(last_primary());
        }
        let slots = slots_of(&node, &roll);
        for (position, other) in others.iter().enumerate() {
            let part = slots.len() * position / others.len()..slots.len() * (position + 1) / others.len();
            let moves = self.plan_moves(slots[part].iter().copied(), other.index).await?;
            self.make(&moves, MANY).await?;
        }
        self.leave(&node, &others[0], &roll).await
    }

    pub(in crate::emulator::cluster) async fn replace_node(&self, index: usize) -> io::Result<usize> {
        let _changing = self.shared.changing.lock().await;
        let old = self.node(index)?;
        let new = self.join().await?;
        let roll = self.agreed("the nodes agree on the cluster", |_| true).await?;
        let primary = roll.member(&old.id).and_then(|member| member.primary.as_deref()).and_then(|id| self.by_id(id));
        if let Some(primary) = &primary {
            self.reattach(&new, primary).await?;
        } else {
            let moves = self.plan_moves(slots_of(&old, &roll), new.index).await?;
            self.make(&moves, MANY).await?;
        }
        self.leave(&old, primary.as_ref().unwrap_or(&new), &roll).await?;
        Ok(new.index)
    }

    /// A new primary without slots.
    async fn join(&self) -> io::Result<Arc<Node>> {
        let member = self.live().first().cloned().ok_or_else(|| io::Error::other("no node of the cluster lives"))?;
        let node = self.start_node().await?;
        self.meet(&member, &node).await?;
        lock(&self.shared.nodes).push(Arc::clone(&node));
        let joined = self.agreed("all nodes know the new one", |_| true).await;
        if let Err(error) = joined {
            self.drop_node(&node).await;
            return Err(error);
        }
        self.seed_follows();
        Ok(node)
    }

    /// Lets all others forget a node without slots, and ends it. Its replicas follow another node.
    async fn leave(&self, node: &Arc<Node>, heir: &Node, roll: &Roll) -> io::Result<()> {
        for replica in roll.replicas_of(&node.id).filter_map(|id| self.by_id(id)).filter(|node| node.site.is_live()) {
            self.reattach(&replica, heir).await?;
        }
        node.site.drained().await;
        // First of all: those who have not forgotten it would tell the others about it.
        lock(&self.shared.nodes).retain(|other| other.id != node.id);
        for other in self.live() {
            other.server.ask::<()>(cmd("CLUSTER").arg("FORGET").arg(&node.id)).await?;
        }
        self.drop_node(node).await;
        self.agreed("all nodes have forgotten the one", |roll| roll.member(&node.id).is_none()).await.map(|_| ())
    }

    async fn drop_node(&self, node: &Node) {
        lock(&self.shared.nodes).retain(|other| other.id != node.id);
        node.kill().await;
        self.seed_follows();
    }

    /// Makes a node a replica of another primary.
    async fn reattach(&self, replica: &Node, primary: &Node) -> io::Result<()> {
        self.follow(replica, primary).await?;
        let follows =
            |roll: &Roll| roll.member(&replica.id).is_some_and(|member| member.primary.as_deref() == Some(&primary.id));
        self.agreed("a replica follows its new primary", follows).await?;
        self.in_sync(replica).await
    }

    fn primaries(&self, roll: &Roll) -> Vec<Arc<Node>> {
        let is_primary = |node: &Arc<Node>| roll.member(&node.id).is_some_and(|member| member.primary.is_none());
        self.live().into_iter().filter(is_primary).collect()
    }
}

fn slots_of(node: &Node, roll: &Roll) -> Vec<u16> {
    roll.member(&node.id).into_iter().flat_map(|member| member.slots.iter().cloned().flatten()).collect()
}
