//! What is sent to one node in one piece.

use super::plan::{Plan, To, Unit};
use crate::{
    cluster::{node::Node, redirect::Redirect, slot::Slot},
    exec::core::Way,
};
use std::{collections::HashMap, ops::Range, sync::Arc};

/// A unit that is to be sent, and where a redirect has sent it.
pub(super) struct Pending {
    pub(super) unit: usize,
    pub(super) way: Way,
}

/// Units that go to one node in one piece.
pub(super) struct Group {
    pub(super) node: Arc<Node>,
    pub(super) asking: bool,
    /// Units that load what the node has not been sent yet, which go before all others.
    pub(super) code: Vec<usize>,
    pub(super) pending: Vec<Pending>,
}

impl Group {
    pub(super) fn way(&self, plan: &Plan<'_>) -> Way {
        match &*self.pending {
            // A single one follows redirects by itself, unless a node that it is sent to may need what the plan loads.
            [only] if plan.loads.is_empty() && matches!(plan.units[only.unit].to, To::Slot(_) | To::Any) => {
                only.way.clone()
            }
            _ => Way::Part { to: Arc::clone(&self.node), asking: self.asking },
        }
    }
}

/// Groups of the units that go to the same node.
pub(super) fn together(pending: Vec<Pending>, targets: Vec<(Arc<Node>, bool)>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (pending, (node, asking)) in pending.into_iter().zip(targets) {
        match groups.iter_mut().find(|group| group.asking == asking && Arc::ptr_eq(&group.node, &node)) {
            Some(group) => group.pending.push(pending),
            None => groups.push(Group { node, asking, code: Vec::new(), pending: vec![pending] }),
        }
    }
    groups
}

/// Which nodes have been sent the scripts and functions of a plan.
///
/// A node that has come since they were sent to all primaries gets them before what may need them. Of what else goes to
/// all primaries it gets nothing: it may have that from the one whose place it has taken, and a second `FLUSHALL` would
/// take what has been written since.
pub(super) struct Loaded<'p> {
    loads: &'p [Range<usize>],
    /// For each of them.
    at: Vec<Vec<Arc<Node>>>,
}

impl<'p> Loaded<'p> {
    pub(super) fn by(plan: &'p Plan<'_>) -> Self {
        let node = |unit: &Unit<'_>| match &unit.to {
            To::Primary { node, .. } => Some(Arc::clone(node)),
            To::Slot(_) | To::Node(_) | To::Any => None,
        };
        let at = |units: &Range<usize>| plan.units[units.clone()].iter().filter_map(node).collect();
        Self { loads: &plan.loads, at: plan.loads.iter().map(at).collect() }
    }

    /// Has the nodes of these groups get what they have not been sent yet.
    pub(super) fn complete(&mut self, groups: &mut [Group]) {
        for (units, at) in self.loads.iter().zip(&mut self.at) {
            for group in &mut *groups {
                let is_sent = group.pending.iter().any(|pending| units.contains(&pending.unit));
                if !is_sent && !at.iter().any(|node| Arc::ptr_eq(node, &group.node)) {
                    group.code.push(units.start);
                }
            }
            at.extend(groups.iter().map(|group| Arc::clone(&group.node)));
        }
    }
}

/// What was refused, in order. Units of one slot go the way of the first one of them: none overtakes another.
pub(super) fn in_order(units: &[Unit<'_>], mut refused: Vec<(Pending, Redirect)>) -> Vec<Pending> {
    refused.sort_unstable_by_key(|(pending, _)| pending.unit);
    let mut ways: HashMap<Slot, Way> = HashMap::new();
    let in_turn = |(mut pending, redirect): (Pending, Redirect)| {
        let unit = &units[pending.unit];
        if let To::Slot(slot) = unit.to
            && has_its_keys(unit, &redirect)
        {
            pending.way = ways.entry(slot).or_insert_with(|| pending.way.clone()).clone();
        }
        pending
    };
    refused.into_iter().map(in_turn).collect()
}

/// Whether a unit that was refused has the keys that it is taken to have. Of a command that is not known they are a
/// guess, and the node that has not got its keys names their slot.
pub(super) fn has_its_keys(unit: &Unit<'_>, redirect: &Redirect) -> bool {
    match (redirect, &unit.to) {
        (Redirect::Moved { slot, .. } | Redirect::Ask { slot, .. }, To::Slot(own)) => slot == own,
        _ => true,
    }
}
