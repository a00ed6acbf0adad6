//! What to believe of an answer to `CLUSTER SLOTS`, beside what is known already.
//!
//! A node answers as it sees the cluster, and nodes learn of changes one after the other. Four rules:
//!
//! 1. A `MOVED` that came a moment ago is newer than the answer of a node that has not heard of it. It outweighs such
//!    answers for [`HINT_LIFE`], unless the answer comes from the very node that it named, which knows best what it
//!    owns, or that node cannot be reached: whoever sent `MOVED` may lag, and name a primary that has died.
//! 2. A slot that has no owner in the answer keeps the one that it had, until another node says the same, or this one
//!    still says so after [`GAP_LIFE`]: a node that has just been reset or has just joined knows nobody. To keep an
//!    owner too long costs nothing: it answers `MOVED` or `CLUSTERDOWN` itself.
//! 3. A node that owns nothing is gone when [`ABSENCES`] believed answers after each other say so.
//! 4. An answer that was not believed as it is, or that is the first one to miss a node, wants another node to be
//!    asked.

use super::{address::NodeAddress, map::SlotMap, slot::Slot, topology::Topology};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// How long a `MOVED` outweighs answers of other nodes. They lagged by up to 40 ms behind a failover in trials.
pub(crate) const HINT_LIFE: Duration = Duration::from_secs(2);

/// How long one node alone must say that slots have no owner.
pub(crate) const GAP_LIFE: Duration = Duration::from_secs(2);

/// In how many answers after each other a node must own nothing.
pub(crate) const ABSENCES: u32 = 2;

/// An answer, and who gave it when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopologyAnswer<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) by: &'a NodeAddress,
    pub(crate) at: Instant,
}

/// What is to be done about an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// What the map is made from.
    pub(crate) topology: Topology,
    /// Nodes of the map that are gone: no new commands for them.
    pub(crate) gone: Vec<NodeAddress>,
    /// The answer contradicts what is known, or is the first one that a node owns nothing by: ask another node.
    pub(crate) doubtful: bool,
}

#[derive(Debug)]
struct Hint {
    to: NodeAddress,
    at: Instant,
}

/// What has been learned besides the map. Bounded by the numbers of slots and of the map's nodes.
#[derive(Debug, Default)]
pub(crate) struct Knowledge {
    hints: HashMap<Slot, Hint>,
    /// Who gave the first of the last answers in a row that name no owner for slots that have one in the map, and when.
    gap: Option<(NodeAddress, Instant)>,
    /// In how many of the last answers in a row nodes of the map have owned nothing.
    absent: HashMap<NodeAddress, u32>,
}

impl Knowledge {
    /// Notes that a node has answered `MOVED`.
    pub(crate) fn moved(&mut self, slot: Slot, to: NodeAddress, at: Instant) {
        self.hints.insert(slot, Hint { to, at });
    }

    /// The node of this address cannot be reached: what `MOVED` said of it counts no more.
    pub(crate) fn unreachable(&mut self, address: &NodeAddress) {
        self.hints.retain(|_, hint| hint.to != *address);
    }

    /// Weighs an answer against the map and all that is known.
    pub(crate) fn judge<N>(&mut self, map: &SlotMap<N>, answer: TopologyAnswer<'_>) -> Judged {
        let is_gap_believed = self.is_gap_believed(map, answer);
        self.hints.retain(|slot, hint| {
            let is_fresh = answer.at.saturating_duration_since(hint.at) < HINT_LIFE;
            let is_settled = answer.topology.owner(*slot) == Some(&hint.to) || *answer.by == hint.to;
            is_fresh && !is_settled
        });
        let hint = |slot| self.hints.get(&slot).map(|hint| &hint.to);
        let old = |slot| map.owner(slot).map(|owner| &owner.address);
        let kept = |slot| match answer.topology.owner(slot) {
            None if !is_gap_believed => hint(slot).or_else(|| old(slot)),
            _ => hint(slot),
        };
        let kept: Vec<_> = Slot::all().filter_map(|slot| Some((slot, kept(slot)?.clone()))).collect();
        let is_contradicted = !kept.is_empty();
        let topology = answer.topology.with_owners(kept);
        let gone = self.gone(map, &topology);
        let doubtful = is_contradicted || !self.absent.is_empty();
        Judged { topology, gone, doubtful }
    }

    /// Whether it is believed that slots have no owner any more that have one in the map, and none in the answer.
    /// Remembers the first answer of that kind.
    fn is_gap_believed<N>(&mut self, map: &SlotMap<N>, answer: TopologyAnswer<'_>) -> bool {
        let has_gap = Slot::all().any(|slot| map.owner(slot).is_some() && answer.topology.owner(slot).is_none());
        if !has_gap {
            self.gap = None;
            return false;
        }
        let (by, since) = self.gap.get_or_insert_with(|| (answer.by.clone(), answer.at));
        *by != *answer.by || answer.at.saturating_duration_since(*since) >= GAP_LIFE
    }

    fn gone<N>(&mut self, map: &SlotMap<N>, topology: &Topology) -> Vec<NodeAddress> {
        let primaries = topology.primaries();
        let mut absent = HashMap::new();
        let mut gone = Vec::new();
        for member in map.members().iter().filter(|member| !primaries.contains(&&member.address)) {
            let times = self.absent.get(&member.address).copied().unwrap_or(0) + 1;
            if times >= ABSENCES {
                gone.push(member.address.clone());
            } else {
                absent.insert(member.address.clone(), times);
            }
        }
        self.absent = absent;
        gone
    }
}

#[cfg(test)]
mod tests;
