//! What a node has refused and must not be sent again: something behind it has run, on one of its keys.

use super::plan::{Plan, To, Unit};
use crate::{
    cluster::{node::Node, router::Map, slot::Slot},
    exec::core::Way,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Those of the `refused` units that would run after a later one on the same key, of those that `have_run`, or may
/// have; unless both only read. They would be sent on these ways, by this map.
pub(super) fn overtaken(
    plan: &Plan<'_>,
    refused: &HashMap<usize, &Way>,
    have_run: &[bool],
    map: &Map,
) -> HashSet<usize> {
    let mut overtaken = HashSet::new();
    let mut later = Later { plan, map, keys: HashMap::new(), slots: HashSet::new(), emptied: Vec::new() };
    let first = refused.keys().min().copied().unwrap_or(plan.units.len());
    for (index, unit) in plan.units.iter().enumerate().skip(first).rev() {
        if let Some(way) = refused.get(&index) {
            if later.concerns(unit, way) {
                overtaken.insert(index);
            }
        } else if have_run[index] {
            later.note(unit);
        }
    }
    overtaken
}

/// What units behind the one that is looked at have been about.
struct Later<'p> {
    plan: &'p Plan<'p>,
    map: &'p Map,
    /// Their keys, and whether these may have been changed.
    keys: HashMap<&'p [u8], bool>,
    /// The slots of those.
    slots: HashSet<Slot>,
    /// Units that have emptied a node.
    emptied: Vec<&'p Unit<'p>>,
}

impl<'p> Later<'p> {
    fn note(&mut self, unit: &'p Unit<'p>) {
        match unit.to {
            To::Slot(slot) => {
                self.slots.insert(slot);
                let changes = !unit.profile.only_reads();
                for key in unit.profile.keys(&unit.cmd) {
                    *self.keys.entry(key).or_default() |= changes;
                }
            }
            To::Primary { .. } if empties(unit) => self.emptied.push(unit),
            To::Primary { .. } | To::Node(_) | To::Any => {}
        }
    }

    /// Whether this unit, if it ran now on this way, would run after one on the same key that belongs behind it.
    fn concerns(&self, unit: &Unit<'_>, way: &Way) -> bool {
        match unit.to {
            To::Slot(slot) => {
                let changes = !unit.profile.only_reads();
                let comes_late = |key| self.keys.get(key).is_some_and(|changed| changes || *changed);
                let place = match way {
                    Way::Owner => self.map.get(slot),
                    Way::Redirected { to, .. } | Way::Part { to, .. } => Some(to),
                };
                unit.profile.keys(&unit.cmd).any(comes_late) || place.is_some_and(|place| self.is_emptied(place))
            }
            To::Primary { .. } => empties(unit) && self.slots.iter().any(|slot| self.reaches(unit, *slot)),
            To::Node(_) | To::Any => false,
        }
    }

    /// Whether a unit has emptied this node.
    fn is_emptied(&self, place: &Arc<Node>) -> bool {
        self.emptied.iter().any(|unit| {
            let is_for_it = matches!(&unit.to, To::Primary { node, .. } if Arc::ptr_eq(node, place));
            is_for_it || unit.to.primary(self.map).is_some_and(|now| Arc::ptr_eq(now, place))
        })
    }

    /// Whether a unit for a whole node would take keys of this slot away: that node had it when everything was taken
    /// apart, and whoever takes its place has it; or the one has it that the unit goes to now.
    fn reaches(&self, unit: &Unit<'_>, slot: Slot) -> bool {
        let To::Primary { node, .. } = &unit.to else {
            return false;
        };
        let has = |map: &Map, node| map.get(slot).is_some_and(|owner| Arc::ptr_eq(owner, node));
        has(&self.plan.map, node) || unit.to.primary(self.map).is_some_and(|now| has(self.map, now))
    }
}

/// Whether it takes all keys of a node away.
fn empties(unit: &Unit<'_>) -> bool {
    matches!(unit.profile.full_name(), "FLUSHALL" | "FLUSHDB")
}

#[cfg(test)]
mod tests;
