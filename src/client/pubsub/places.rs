//! Where a topic belongs: on a single endpoint there; on a cluster, to the node that sends its messages.

use super::{shared::Shared, topic::Topic};
use crate::{
    cluster::{node::Node, router::Cluster, routing::Routing, slot::Slot},
    exec::core::Core,
};
use std::sync::Arc;
use tokio::sync::Notify;

/// What the last look was based on.
#[derive(Default)]
pub(super) struct Places {
    /// The node that ordinary channels are subscribed to at: each node of a cluster sends all their messages.
    home: Option<Arc<Node>>,
    /// Which node owns what.
    layout: u64,
}

impl Places {
    /// Puts topics that have no place, and, if the cluster has changed, all of them, at the lines where they belong;
    /// `start` is given lines that are new. True if there are topics left for which no node is known.
    pub(super) fn look(
        &mut self,
        core: &Core,
        shared: &Shared,
        mut start: impl FnMut(u64, Arc<Node>, Arc<Notify>),
    ) -> bool {
        let has_changed = core.cluster().is_some_and(|cluster| self.has_changed(cluster));
        let topics = shared.state().take_unplaced(has_changed);
        let mut new = Vec::new();
        let mut line = |node: &Arc<Node>| {
            let (id, bell) = shared.line_at(node);
            new.extend(bell.map(|bell| (id, Arc::clone(node), bell)));
            id
        };
        let mut rest = Vec::new();
        for topic in topics {
            let lines: Vec<u64> = match core.routing.get() {
                // With a lazy start it may not be known yet.
                None => Vec::new(),
                Some(Routing::Single(node)) => vec![line(node)],
                Some(Routing::Cluster(cluster)) => self.nodes(cluster, &topic).iter().map(&mut line).collect(),
            };
            // Another one if the home node is none of them: otherwise no node's copies would count.
            let ordinary = topic.is_of_each_node().then(|| {
                let home = self.home.as_ref().map(&mut line).filter(|home| lines.contains(home));
                home.or_else(|| lines.first().copied())
            });
            // While there is no node for it, a topic that has a place keeps it.
            if lines.is_empty() || !shared.state().place(&topic, &lines, ordinary.flatten()) {
                rest.push(topic);
            }
        }
        // Not before: a line ends when nothing is wanted of it.
        for (id, node, bell) in new {
            start(id, node, bell);
        }
        let has_rest = shared.state().put_back(rest);
        if has_rest && let Some(cluster) = core.cluster() {
            cluster.doubt();
        }
        has_rest
    }

    /// Whether something is not where it was at the last look.
    fn has_changed(&mut self, cluster: &Cluster) -> bool {
        let map = cluster.map();
        let is_member = |node: &Arc<Node>| map.primaries().iter().any(|member| Arc::ptr_eq(&member.node, node));
        let stays = self.home.as_ref().is_some_and(|home| is_member(home) && home.takes_commands());
        let mut has_changed = map.fingerprint() != self.layout;
        self.layout = map.fingerprint();
        if !stays
            && let Some(node) = cluster.any_node()
            // While no node takes commands, the home node stays what it was.
            && (node.takes_commands() || !self.home.as_ref().is_some_and(is_member))
        {
            has_changed |= !self.home.as_ref().is_some_and(|home| Arc::ptr_eq(home, &node));
            self.home = Some(node);
        }
        has_changed
    }

    /// The nodes at which a topic is to be subscribed to; none while nobody serves it.
    fn nodes(&self, cluster: &Cluster, topic: &Topic) -> Vec<Arc<Node>> {
        match topic {
            Topic::Sharded(name) => cluster.map().get(Slot::of(name)).map(Arc::clone).into_iter().collect(),
            _ if topic.is_of_each_node() => {
                let map = cluster.map();
                let mut nodes: Vec<_> = map.primaries().iter().map(|member| Arc::clone(&member.node)).collect();
                // In an order that stays when slots move.
                nodes.sort_by_key(|node| Arc::as_ptr(node) as usize);
                nodes
            }
            _ => self.home.iter().cloned().collect(),
        }
    }
}
