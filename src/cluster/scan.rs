//! `SCAN` over all nodes with one cursor.
//!
//! Nodes are scanned one after the other, in the order of their lowest slots. The cursor that the caller gets holds the
//! position itself, so that it costs no memory, and a scan may be begun through one handle and go on through another:
//!
//! | bits | meaning |
//! |---|---|
//! | 63 | 0, so that it also fits a signed number |
//! | 62–49 | the slot whose owner is scanned |
//! | 48 | 0: the position is in the other bits; 1: they are the number of a remembered one |
//! | 47–36 | some bits of the map's fingerprint |
//! | 35–0 | the cursor of the node |
//!
//! A position that does not fit is remembered: one with a larger cursor of the node, and one that goes on after the
//! owners of slots have changed. The last [`REMEMBERED`] of them are; a cursor older than that is an error, which says
//! to begin again.
//!
//! # What is promised
//!
//! As with one node: a key that is there from the beginning to the end of the scan is returned at least once, and may
//! be returned several times. This holds while slots get other owners, by failover or by resharding: at a position all
//! slots below it are done, and when the owners have changed since, all nodes that own slots from there on are scanned
//! from their beginning. (A node's own cursor means nothing to another node, nor to a replica that takes its place.) At
//! the end of its turn a node is asked which slots it has: of those that have moved away nobody else may have told. It
//! does not hold for keys that move from a node whose turn is yet to come to one whose turn is over, in a slot that
//! still has its old owner at the end of the owner's turn. Of changes the 12 bits of the fingerprint miss one in 4,096.

use super::{map::SlotMap, slot::Slot};
use redis::{ErrorKind, RedisError, RedisResult};
use std::collections::VecDeque;

/// How many positions are remembered that do not fit a cursor; 32 bytes each.
pub(crate) const REMEMBERED: usize = 4096;

const SLOT_SHIFT: u32 = 49;
const IS_REMEMBERED: u64 = 1 << 48;
const FINGERPRINT_SHIFT: u32 = 36;
const FINGERPRINT_MASK: u64 = (1 << 12) - 1;
const CURSOR_MASK: u64 = (1 << FINGERPRINT_SHIFT) - 1;
const TICKET_MASK: u64 = IS_REMEMBERED - 1;

/// Where a scan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The slot whose owner is to be asked.
    pub(crate) slot: Slot,
    /// The cursor to ask it with.
    pub(crate) cursor: u64,
    /// The first slot that nodes are scanned for; those below were done before the owners changed.
    base: Slot,
    fingerprint: u64,
}

/// The positions that do not fit a cursor.
#[derive(Debug)]
pub(crate) struct Positions {
    /// The number of the oldest one that is remembered.
    oldest: u64,
    remembered: VecDeque<Position>,
}

impl Default for Positions {
    /// None. Numbers begin anywhere, so that a cursor of another process is most likely none of this one.
    fn default() -> Self {
        Self { oldest: fastrand::u64(..) & TICKET_MASK, remembered: VecDeque::new() }
    }
}

impl Positions {
    /// Where a scan with this cursor goes on, by the map as it is now: 0 is the beginning. None if no node has slots
    /// from there on, so that the scan is at its end.
    ///
    /// # Errors
    ///
    /// The cursor has been forgotten, or was never given out.
    pub(crate) fn resume<N>(&self, cursor: u64, map: &SlotMap<N>) -> RedisResult<Option<Position>> {
        let fingerprint = map.fingerprint() & FINGERPRINT_MASK;
        let start = Position { slot: Slot::MIN, cursor: 0, base: Slot::MIN, fingerprint };
        let position = if cursor == 0 { start } else { self.decode(cursor)? };
        let position = if position.fingerprint == fingerprint {
            position
        } else {
            Position { slot: position.slot, cursor: 0, base: position.slot, fingerprint }
        };
        if map.owner_index(position.slot).is_some() {
            return Ok(Some(position));
        }
        // Nobody serves the slot: the next one that somebody does.
        let next = Slot::all().skip(position.slot.index()).find(|slot| map.owner_index(*slot).is_some());
        Ok(next.map(|slot| Position { slot, cursor: 0, ..position }))
    }

    /// The cursor for the caller, after the owner of the position's slot has answered with `answered`: 0 at the end.
    /// `map` is the one that the position comes from.
    pub(crate) fn advance<N>(&mut self, position: Position, answered: u64, map: &SlotMap<N>) -> u64 {
        if answered != 0 {
            return self.encode(Position { cursor: answered, ..position });
        }
        let next = next_slot(position, map);
        next.map_or(0, |slot| self.encode(Position { slot, cursor: 0, ..position }))
    }

    /// The cursor for the caller, after the position's node has answered that its turn is over, and has lost slots
    /// meanwhile: it comes once more, until the map has other owners for them.
    pub(crate) fn again(&mut self, position: Position) -> u64 {
        self.encode(Position { cursor: 0, ..position })
    }

    fn encode(&mut self, position: Position) -> u64 {
        let Position { slot, cursor, base, fingerprint } = position;
        let slot_bits = u64::from(slot.number()) << SLOT_SHIFT;
        let plain = slot_bits | fingerprint << FINGERPRINT_SHIFT | cursor;
        // 0 is the end.
        if base == Slot::MIN && cursor <= CURSOR_MASK && plain != 0 {
            return plain;
        }
        if self.remembered.len() == REMEMBERED {
            self.remembered.pop_front();
            self.oldest = (self.oldest + 1) & TICKET_MASK;
        }
        let ticket = (self.oldest + self.remembered.len() as u64) & TICKET_MASK;
        self.remembered.push_back(position);
        slot_bits | IS_REMEMBERED | ticket
    }

    fn decode(&self, cursor: u64) -> RedisResult<Position> {
        let slot = u16::try_from(cursor >> SLOT_SHIFT).ok().and_then(Slot::new).ok_or_else(unknown)?;
        if cursor & IS_REMEMBERED == 0 {
            let fingerprint = cursor >> FINGERPRINT_SHIFT & FINGERPRINT_MASK;
            return Ok(Position { slot, cursor: cursor & CURSOR_MASK, base: Slot::MIN, fingerprint });
        }
        let age = (cursor & TICKET_MASK).wrapping_sub(self.oldest) & TICKET_MASK;
        let remembered = usize::try_from(age).ok().and_then(|age| self.remembered.get(age));
        remembered.filter(|position| position.slot == slot).copied().ok_or_else(unknown)
    }
}

/// The lowest slot above the position whose owner has none between the base and the position: that node's turn is next.
fn next_slot<N>(position: Position, map: &SlotMap<N>) -> Option<Slot> {
    let mut seen = vec![false; map.members().len()];
    let mut is_first = |slot: Slot| {
        let seen = map.owner_index(slot).and_then(|owner| seen.get_mut(owner));
        seen.is_some_and(|seen| !std::mem::replace(seen, true))
    };
    Slot::all().skip(position.base.index()).find(|slot| is_first(*slot) && *slot > position.slot)
}

#[cold]
fn unknown() -> RedisError {
    let detail = "it is too old, or of another client: begin again with the cursor 0".to_owned();
    (ErrorKind::Client, "the SCAN cursor is not known here", detail).into()
}

#[cfg(test)]
mod tests;
