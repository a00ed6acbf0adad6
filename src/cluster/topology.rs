//! The answer to `CLUSTER SLOTS`: which node owns which slots.

mod parse;
#[cfg(test)]
pub(super) mod tests;

use super::{
    address::NodeAddress,
    slot::{SLOTS, Slot},
};
use std::collections::BTreeSet;

/// Slots from `start` to `end`, both included, and the node that owns them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotRange {
    pub(crate) start: Slot,
    pub(crate) end: Slot,
    pub(crate) primary: NodeAddress,
}

impl SlotRange {
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (self.start.number()..=self.end.number()).filter_map(Slot::new)
    }
}

/// Who owns which slots, as one node saw it.
///
/// The ranges are in order, do not overlap, and neighbours with the same owner are one range, so that two topologies
/// are equal when they say the same. Slots that no range has are served by nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topology {
    ranges: Vec<SlotRange>,
}

impl Topology {
    /// A topology of these ranges. Where ranges overlap the later one has the slot: Redis never says so, and whichever
    /// it is, a wrong one is corrected by `MOVED`.
    pub(crate) fn new(given: &[SlotRange]) -> Self {
        let mut owners = vec![None; usize::from(SLOTS)];
        for (index, range) in given.iter().enumerate() {
            for slot in range.slots() {
                owners[slot.index()] = Some(index);
            }
        }
        let mut ranges: Vec<SlotRange> = Vec::with_capacity(given.len());
        let mut last = None;
        for slot in Slot::all() {
            let owner = owners[slot.index()];
            let Some(range) = owner.and_then(|index| given.get(index)) else {
                last = None;
                continue;
            };
            match ranges.last_mut() {
                Some(open) if last.is_some() && (last == owner || open.primary == range.primary) => open.end = slot,
                _ => ranges.push(SlotRange { start: slot, end: slot, ..range.clone() }),
            }
            last = owner;
        }
        Self { ranges }
    }

    pub(crate) fn ranges(&self) -> &[SlotRange] {
        &self.ranges
    }

    /// Who owns `slot`.
    pub(crate) fn owner(&self, slot: Slot) -> Option<&NodeAddress> {
        let after = self.ranges.partition_point(|range| range.end < slot);
        self.ranges.get(after).filter(|range| range.start <= slot).map(|range| &range.primary)
    }

    /// The owners of slots, each once, ordered by the lowest slot of each.
    pub(crate) fn primaries(&self) -> Vec<&NodeAddress> {
        let mut seen = BTreeSet::new();
        self.ranges.iter().map(|range| &range.primary).filter(|primary| seen.insert(*primary)).collect()
    }

    /// This topology, with other owners for some slots.
    pub(crate) fn with_owners(&self, owners: impl IntoIterator<Item = (Slot, NodeAddress)>) -> Self {
        let single = |(slot, primary)| SlotRange { start: slot, end: slot, primary };
        let mut ranges = self.ranges.clone();
        let given = ranges.len();
        ranges.extend(owners.into_iter().map(single));
        if ranges.len() == given {
            return self.clone();
        }
        Self::new(&ranges)
    }
}
