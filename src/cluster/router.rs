//! What commands read of a cluster, and how they tell what they have seen of it.

use super::{
    address::NodeAddress,
    ask::{ANSWER_WITHIN, ask},
    map::SlotMap,
    node::Node,
    nodes::Nodes,
    scan::Positions,
    slot::Slot,
};
use crate::lock::lock;
use arc_swap::{ArcSwap, Guard};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{sync::Notify, time::Instant};

/// The nodes of a cluster, by slots.
pub(crate) type Map = SlotMap<Arc<Node>>;

/// What a cluster is to those who send commands. It is kept right by the watch, the one task that asks for the
/// topology.
pub(crate) struct Cluster {
    map: ArcSwap<Map>,
    pub(crate) nodes: Nodes,
    /// Where scans over all nodes stand.
    pub(crate) positions: Mutex<Positions>,
    news: Mutex<News>,
    /// Notified when there are news for the watch.
    bell: Notify,
    /// Those who wait for somebody to serve a slot.
    seekers: AtomicUsize,
}

/// Somebody who waits for a slot to be served, until dropped. The topology is asked for again and again meanwhile: a
/// slot without an owner has no node that would tell when it has one.
pub(crate) struct Seeker<'a>(&'a AtomicUsize);

impl Drop for Seeker<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What commands have seen of the cluster since the watch last looked.
#[derive(Default)]
pub(super) struct News {
    pub(super) moved: HashMap<Slot, NodeAddress>,
    /// Something else says that the topology has changed.
    pub(super) in_doubt: bool,
}

impl Cluster {
    pub(super) fn new(nodes: Nodes) -> Self {
        Self {
            map: ArcSwap::from_pointee(SlotMap::empty()),
            nodes,
            positions: Mutex::default(),
            news: Mutex::default(),
            bell: Notify::new(),
            seekers: AtomicUsize::new(0),
        }
    }

    /// A cluster of nodes that each have these slots, which nobody keeps right.
    #[cfg(test)]
    pub(crate) fn still(nodes: Nodes, owned: &[(std::ops::RangeInclusive<u16>, Arc<Node>)]) -> Self {
        let cluster = Self::new(nodes);
        cluster.hand_out(owned);
        cluster
    }

    /// These own these slots from now on, and nobody any other.
    #[cfg(test)]
    pub(crate) fn hand_out(&self, owned: &[(std::ops::RangeInclusive<u16>, Arc<Node>)]) {
        use super::topology::{SlotRange, Topology};
        let range = |(slots, node): &(std::ops::RangeInclusive<u16>, Arc<Node>)| {
            self.nodes.adopt(node.name().clone(), Arc::clone(node));
            let [start, end] = [slots.start(), slots.end()].map(|slot| Slot::new(*slot).unwrap());
            SlotRange { start, end, primary: node.name().clone() }
        };
        let topology = Topology::new(&owned.iter().map(range).collect::<Vec<_>>());
        self.publish(SlotMap::empty().rebuilt(&topology, &[], |address| self.nodes.get(address)));
    }

    /// Who owns what, as it is known now.
    #[inline]
    pub(crate) fn map(&self) -> Guard<Arc<Map>> {
        self.map.load()
    }

    /// Notes that a node has answered `MOVED`; the topology is asked for.
    pub(crate) fn moved(&self, slot: Slot, to: &NodeAddress) {
        self.all_moved([(slot, to)]);
    }

    /// The same of several slots.
    fn all_moved<'a>(&self, moved: impl IntoIterator<Item = (Slot, &'a NodeAddress)>) {
        lock(&self.news).moved.extend(moved.into_iter().map(|(slot, to)| (slot, to.clone())));
        self.bell.notify_one();
    }

    /// Has the topology asked for: something does not go as it says.
    pub(crate) fn doubt(&self) {
        lock(&self.news).in_doubt = true;
        self.bell.notify_one();
    }

    /// Has the topology asked for until the slot that is sought has an owner: for as long as this is held.
    pub(crate) fn seek_owner(&self) -> Seeker<'_> {
        self.seekers.fetch_add(1, Relaxed);
        self.doubt();
        Seeker(&self.seekers)
    }

    /// Whether somebody waits for a slot to be served.
    pub(crate) fn has_seekers(&self) -> bool {
        self.seekers.load(Relaxed) > 0
    }

    pub(super) fn take_news(&self) -> News {
        std::mem::take(&mut *lock(&self.news))
    }

    /// Completes when there may be news.
    pub(super) async fn news(&self) {
        self.bell.notified().await;
    }

    pub(super) fn publish(&self, map: Map) {
        self.map.store(Arc::new(map));
    }

    /// Asks a node whether it still has all slots that `map` says are its, and notes those that it has lost as moved. A
    /// node that does not answer counts as having lost none.
    pub(crate) async fn has_lost_slots(&self, node: &Node, map: &Map, deadline: Instant) -> bool {
        let limit = ANSWER_WITHIN.min(deadline.saturating_duration_since(Instant::now()));
        // The link is not kept: whoever waits here may not be polled for long.
        let Some(asked) = node.open_link().map(|link| ask(&link, node.name(), limit)) else {
            return false;
        };
        let Ok(topology) = asked.await else {
            return false;
        };
        let had = |slot: &Slot| map.owner(*slot).is_some_and(|owner| owner.address == *node.name());
        let new_owner = |slot: Slot| topology.owner(slot).filter(|owner| *owner != node.name());
        let mut lost = Slot::all().filter(had).filter_map(|slot| Some((slot, new_owner(slot)?))).peekable();
        let has_lost = lost.peek().is_some();
        if has_lost {
            self.all_moved(lost);
        }
        has_lost
    }

    /// The owner of the slot, if there is one that takes commands, and otherwise any node: for what any node may run.
    pub(crate) fn any_node_for(&self, slot: Option<Slot>) -> Option<Arc<Node>> {
        let owner = slot.and_then(|slot| self.map().get(slot).map(Arc::clone)).filter(|node| node.takes_commands());
        owner.or_else(|| self.any_node())
    }

    /// Any node that takes commands, for what has no key; or else any node.
    pub(crate) fn any_node(&self) -> Option<Arc<Node>> {
        let map = self.map();
        let members = map.primaries();
        let start = fastrand::usize(..members.len().max(1));
        let in_turn = || members.iter().cycle().skip(start).take(members.len()).map(|member| &member.node);
        in_turn().find(|node| node.takes_commands()).or_else(|| in_turn().next()).map(Arc::clone)
    }
}
