//! Which slots one node has, by the map and by its own answer.

use super::{
    ask::ask,
    node::Node,
    router::Cluster,
    slot::{SLOTS, Slot},
};
use crate::link::Link;
use std::{sync::Arc, time::Duration};

const WORDS: usize = SLOTS as usize / 64;

/// A set of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotSet(Box<[u64; WORDS]>);

impl SlotSet {
    pub(crate) fn of(slots: impl Iterator<Item = Slot>) -> Self {
        let mut words = Box::new([0; WORDS]);
        slots.for_each(|slot| words[slot.index() / 64] |= 1 << (slot.index() % 64));
        Self(words)
    }

    /// Whether all slots of these words, each of which has 64, are in this set.
    pub(crate) fn has_all_of(&self, other: impl Iterator<Item = u64>) -> bool {
        self.0.iter().zip(other).all(|(here, there)| there & !here == 0)
    }
}

impl Cluster {
    /// The slots that the node has, as commands are sent now.
    pub(crate) fn slots_of(&self, node: &Arc<Node>) -> SlotSet {
        let map = self.map();
        let is_its = |slot: &Slot| map.get(*slot).is_some_and(|owner| Arc::ptr_eq(owner, node));
        SlotSet::of(Slot::all().filter(is_its))
    }
}

/// The slots that the node itself says it has, asked over this link; none if it has not answered within `limit`.
pub(crate) async fn slots_by_its_word(node: &Node, link: &Link, limit: Duration) -> Option<SlotSet> {
    let topology = ask(link, node.name(), limit).await.ok()?;
    let its = topology.ranges().iter().filter(|range| range.primary == *node.name());
    Some(SlotSet::of(its.flat_map(super::topology::SlotRange::slots)))
}
