//! The snapshot that commands read: who owns a slot. It is never changed, but replaced as a whole.

use super::{
    address::NodeAddress,
    slot::{SLOTS, Slot},
    topology::Topology,
};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// In place of an index: nobody serves the slot. There are never as many nodes as that.
const UNSERVED: u16 = u16::MAX;

/// One node of a map.
#[derive(Clone, Debug)]
pub(crate) struct Member<N> {
    pub(crate) address: NodeAddress,
    pub(crate) node: N,
    /// The slots that it owns, as ranges with both ends included, in order. They are kept because whoever looks at the
    /// figures wants them each time, and there are 16,384 slots to look at.
    ranges: Vec<(Slot, Slot)>,
}

impl<N> Member<N> {
    /// The slots that it owns, as ranges with both ends included, in order.
    pub(crate) fn ranges(&self) -> &[(Slot, Slot)] {
        &self.ranges
    }

    /// The lowest slot that it owns; none for a node that owns none (any more, or yet).
    pub(crate) fn lowest(&self) -> Option<Slot> {
        self.ranges.first().map(|(start, _)| *start)
    }
}

/// Nodes, and which one owns which slot. `N` is cheap to clone: an `Arc` of what a node is.
#[derive(Clone, Debug)]
pub(crate) struct SlotMap<N> {
    owners: Box<[u16]>,
    /// Owners first, by their lowest slots; then those without slots.
    members: Vec<Member<N>>,
    fingerprint: u64,
}

impl<N: Clone> SlotMap<N> {
    /// A map without nodes.
    pub(crate) fn empty() -> Self {
        Self { owners: vec![UNSERVED; usize::from(SLOTS)].into_boxed_slice(), members: Vec::new(), fingerprint: 0 }
    }

    /// The map for `topology`. Nodes that this map has are taken over, those without slots as well, unless they are
    /// named in `gone`; new ones are made.
    pub(crate) fn rebuilt(
        &self,
        topology: &Topology,
        gone: &[NodeAddress],
        mut make: impl FnMut(&NodeAddress) -> N,
    ) -> Self {
        let mut new = Self::empty();
        for range in topology.ranges() {
            let index = new.index_or_insert(&range.primary, |address| self.known_or(address, &mut make));
            for slot in range.slots() {
                new.owners[slot.index()] = index;
            }
        }
        for member in &self.members {
            if !gone.contains(&member.address) {
                new.index_or_insert(&member.address, |_| member.node.clone());
            }
        }
        new.in_order()
    }

    /// This map with other owners for some slots, as `MOVED` named them; none if that is how they are.
    pub(crate) fn with_moved<'a>(
        &self,
        moved: impl IntoIterator<Item = (Slot, &'a NodeAddress)>,
        mut make: impl FnMut(&NodeAddress) -> N,
    ) -> Option<Self> {
        let mut new: Option<Self> = None;
        for (slot, address) in moved {
            if new.as_ref().unwrap_or(self).owner(slot).is_some_and(|owner| owner.address == *address) {
                continue;
            }
            let new = new.get_or_insert_with(|| self.clone());
            let index = new.index_or_insert(address, &mut make);
            new.owners[slot.index()] = index;
        }
        new.map(Self::in_order)
    }

    fn known_or(&self, address: &NodeAddress, make: &mut impl FnMut(&NodeAddress) -> N) -> N {
        self.by_address(address).cloned().unwrap_or_else(|| make(address))
    }

    fn index_or_insert(&mut self, address: &NodeAddress, make: impl FnOnce(&NodeAddress) -> N) -> u16 {
        let index = self.members.iter().position(|member| member.address == *address).unwrap_or_else(|| {
            self.members.push(Member { address: address.clone(), node: make(address), ranges: Vec::new() });
            self.members.len() - 1
        });
        // A map has at most as many owners as slots; what is beyond (only ever nodes without slots) is not pointed at.
        u16::try_from(index).unwrap_or(UNSERVED)
    }

    /// Notes the slots of each node, and puts the nodes in order by the lowest ones.
    fn in_order(mut self) -> Self {
        self.members.iter_mut().for_each(|member| member.ranges.clear());
        for (slot, owner) in Slot::all().zip(&self.owners) {
            let Some(member) = self.members.get_mut(usize::from(*owner)) else { continue };
            match member.ranges.last_mut() {
                Some((_, end)) if end.number() + 1 == slot.number() => *end = slot,
                _ => member.ranges.push((slot, slot)),
            }
        }
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|index| self.members[*index].lowest().map_or(SLOTS, Slot::number));
        let mut place = vec![UNSERVED; order.len()];
        for (new, old) in order.iter().enumerate() {
            place[*old] = u16::try_from(new).unwrap_or(UNSERVED);
        }
        for owner in &mut self.owners {
            *owner = place.get(usize::from(*owner)).copied().unwrap_or(UNSERVED);
        }
        self.members = order.into_iter().map(|index| self.members[index].clone()).collect();
        let mut hasher = DefaultHasher::new();
        self.owners.hash(&mut hasher);
        self.primaries().iter().for_each(|member| member.address.hash(&mut hasher));
        self.fingerprint = hasher.finish();
        self
    }
}

impl<N> SlotMap<N> {
    /// The node that owns `slot`.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&N> {
        self.owner(slot).map(|member| &member.node)
    }

    /// The owner's place among [`members`](Self::members).
    pub(crate) fn owner_index(&self, slot: Slot) -> Option<usize> {
        Some(usize::from(self.owners[slot.index()])).filter(|index| *index < self.members.len())
    }

    /// As [`get`](Self::get), with its address.
    #[inline]
    pub(crate) fn owner(&self, slot: Slot) -> Option<&Member<N>> {
        self.members.get(self.owner_index(slot)?)
    }

    pub(crate) fn by_address(&self, address: &NodeAddress) -> Option<&N> {
        self.members.iter().find(|member| member.address == *address).map(|member| &member.node)
    }

    /// All nodes: first those that own slots, ordered by the lowest slot of each, then the others.
    pub(crate) fn members(&self) -> &[Member<N>] {
        &self.members
    }

    /// The nodes that own slots, ordered by the lowest slot of each: those that a command for all primaries goes to.
    pub(crate) fn primaries(&self) -> &[Member<N>] {
        let count = self.members.iter().take_while(|member| member.lowest().is_some()).count();
        &self.members[..count]
    }

    /// A number that is the same for maps in which each slot has the same owner, and most likely another one for
    /// others.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// How many slots have an owner.
    pub(crate) fn covered(&self) -> usize {
        self.owners.iter().filter(|owner| **owner != UNSERVED).count()
    }
}

#[cfg(test)]
mod tests;
