//! A transaction whose keys are in several slots: refused before anything of it is sent.

use super::{
    slot::Slot,
    split::{Group, groups},
};
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind};
use std::fmt::Write as _;

/// Where a key stands: in which command of a pipeline, counted from 0 as the redis crate counts them, and which
/// argument of it (the name is argument 0). Keys themselves may be private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyPlace {
    pub(crate) command: usize,
    pub(crate) argument: usize,
    pub(crate) slot: Slot,
}

/// How many keys an error names.
const NAMED: usize = 100;

/// The one slot that all keys are in; none if there are no keys.
///
/// # Errors
///
/// `CROSSSLOT`, with the slot of each key.
pub(crate) fn one_slot(keys: impl Iterator<Item = KeyPlace> + Clone) -> RedisResult<Option<Slot>> {
    let mut all = keys.clone();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    if all.all(|key| key.slot == first.slot) {
        return Ok(Some(first.slot));
    }
    Err(cross_slot(&keys.collect::<Vec<_>>()))
}

#[cold]
fn cross_slot(keys: &[KeyPlace]) -> RedisError {
    let mut detail = "nothing of it was sent, because one node cannot run it as a whole: ".to_owned();
    let named = &keys[..keys.len().min(NAMED)];
    for (index, Group { target, items }) in groups(named.iter().map(|key| key.slot)).iter().enumerate() {
        // A text takes whatever is written to it.
        _ = write!(detail, "{}slot {target} has", if index == 0 { "" } else { "; " });
        for (index, item) in items.iter().enumerate() {
            let KeyPlace { command, argument, .. } = named[*item];
            let comma = if index == 0 { "" } else { "," };
            _ = write!(detail, "{comma} argument {argument} of command {command}");
        }
    }
    if keys.len() > NAMED {
        _ = write!(detail, "; and {} more keys", keys.len() - NAMED);
    }
    detail += "; keys with the same part in braces, as in {user:1}:name, are in one slot";
    let kind = ErrorKind::Server(ServerErrorKind::CrossSlot);
    (kind, "the keys of a transaction are in several slots", detail).into()
}

#[cfg(test)]
mod tests;
