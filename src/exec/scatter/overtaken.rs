//! What a node has refused and must not be sent again: something behind it has run, on one of its keys.

use super::plan::{Plan, To, Unit};
use crate::cluster::{router::Map, slot::Slot};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Those of the `refused` units that would run after a later one on the same key, of those that `have_run`, or may
/// have; unless both only read. `map` is the one by which they would be sent now.
pub(super) fn overtaken(plan: &Plan<'_>, refused: &HashSet<usize>, have_run: &[bool], map: &Map) -> HashSet<usize> {
    let mut overtaken = HashSet::new();
    let mut later = Later { plan, map, keys: HashMap::new(), slots: HashSet::new(), emptied: Vec::new() };
    let first = refused.iter().min().copied().unwrap_or(plan.units.len());
    for (index, unit) in plan.units.iter().enumerate().skip(first).rev() {
        if refused.contains(&index) {
            if later.concerns(unit) {
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

    /// Whether this unit, if it ran now, would run after one on the same key that belongs behind it.
    fn concerns(&self, unit: &Unit<'_>) -> bool {
        match unit.to {
            To::Slot(slot) => {
                let changes = !unit.profile.only_reads();
                let comes_late = |key| self.keys.get(key).is_some_and(|changed| changes || *changed);
                unit.profile.keys(&unit.cmd).any(comes_late)
                    || self.emptied.iter().any(|emptied| self.reaches(emptied, slot))
            }
            To::Primary { .. } => empties(unit) && self.slots.iter().any(|slot| self.reaches(unit, *slot)),
            To::Node(_) | To::Any => false,
        }
    }

    /// Whether a unit for a whole node is about this slot: that node had it when everything was taken apart, or the one
    /// has it that the unit goes to now.
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
