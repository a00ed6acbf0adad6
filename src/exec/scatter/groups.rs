//! What is sent to one node in one piece.

use super::plan::{Plan, To, Unit};
use crate::{
    cluster::{node::Node, redirect::Redirect, slot::Slot},
    exec::core::Way,
};
use std::{collections::HashMap, sync::Arc};

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
            // It finds its way alone, unless a node on that way may need what the plan loads.
            [only] if plan.code.is_empty() && matches!(plan.units[only.unit].to, To::Slot(_) | To::Any) => {
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

/// Has the nodes that were not known when the plan's scripts and functions were sent to all get them before what may
/// need them. Of what else goes to all primaries such a node gets nothing: it may have it from the one whose place it
/// has taken, and a second `FLUSHALL` would take what has been written since.
pub(super) fn give_code(plan: &Plan<'_>, groups: &mut [Group], reached: &mut Vec<Arc<Node>>) {
    for group in &mut *groups {
        if !reached.iter().any(|node| Arc::ptr_eq(node, &group.node)) {
            group.code.clone_from(&plan.code);
        }
    }
    reached.extend(groups.iter().map(|group| Arc::clone(&group.node)));
}

/// What was refused, in order. Units of one slot go the way of the first one of them: none overtakes another.
pub(super) fn in_order(units: &[Unit<'_>], refused: Vec<(Pending, Redirect)>) -> Vec<Pending> {
    let mut refused: Vec<_> = refused.into_iter().map(|(pending, _)| pending).collect();
    refused.sort_unstable_by_key(|pending| pending.unit);
    let mut ways: HashMap<Slot, Way> = HashMap::new();
    for pending in &mut refused {
        // Of commands that are not known the slot is a guess, which may be wrong for each in another way.
        if let To::Slot(slot) = units[pending.unit].to
            && !units[pending.unit].profile.guesses_keys()
        {
            pending.way = ways.entry(slot).or_insert_with(|| pending.way.clone()).clone();
        }
    }
    refused
}
