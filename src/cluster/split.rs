//! One command over keys of several slots, in parts of one slot each; many commands, in groups of one node each.
//!
//! Redis refuses a command whose keys are in several slots, also where one node owns all of them: so the parts are by
//! slot. Parts for the same node are sent together, as a pipeline is.

use super::slot::Slot;
use redis::{Arg, Cmd, ErrorKind, RedisError, RedisResult, Value};
use std::{collections::HashMap, hash::Hash};

/// Where the keys of a command are that can be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The argument that the first key is; the command's name is argument 0.
    pub(crate) first: usize,
    /// From one key to the next: 1 for `MGET key key`, 2 for `MSET key value key value`, 3 for
    /// `JSON.MSET key path value key path value`.
    pub(crate) step: usize,
    /// How many arguments follow the keys that belong to all of them: 1 for `JSON.MGET key key path`.
    pub(crate) trailing: usize,
}

impl Layout {
    /// The argument of the `index`th key.
    pub(crate) fn argument(self, index: usize) -> usize {
        self.first + self.step * index
    }
}

/// What becomes of a command over several keys.
#[derive(Debug)]
pub(crate) enum Split {
    /// It goes as it is to the node of this slot: all keys are in it, or the command is malformed, which the server is
    /// to say. None for a command without keys.
    Whole(Option<Slot>),
    /// Its parts, in the order of their first keys.
    Parts(Vec<Part>),
}

/// The part of a command for one slot.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) slot: Slot,
    pub(crate) cmd: Cmd,
    /// Which of the caller's keys these are, in order; the first key is 0.
    pub(crate) keys: Vec<usize>,
}

/// Splits a command by the slots of its keys.
pub(crate) fn split(cmd: &Cmd, layout: Layout) -> Split {
    let simple = |argument| match argument {
        Arg::Simple(argument) => Some(argument),
        _ => None,
    };
    let Some(arguments) = cmd.args_iter().map(simple).collect::<Option<Vec<&[u8]>>>() else {
        return Split::Whole(None);
    };
    let end = arguments.len().saturating_sub(layout.trailing);
    let Some(body) = arguments.get(layout.first..end).filter(|body| !body.is_empty() && layout.step > 0) else {
        return Split::Whole(None);
    };
    let (head, tail) = (&arguments[..layout.first], &arguments[end..]);
    let units = body.chunks_exact(layout.step);
    let first = Slot::of(body[0]);
    let is_malformed = !units.remainder().is_empty();
    if is_malformed || units.clone().all(|unit| Slot::of(unit[0]) == first) {
        return Split::Whole(Some(first));
    }
    let slots: Vec<_> = units.map(|unit| Slot::of(unit[0])).collect();
    let part = |group: Group<Slot>| {
        let unit = |key: &usize| &body[layout.step * key..layout.step * (key + 1)];
        let mut part = Cmd::with_capacity(head.len() + group.items.len() * layout.step + tail.len(), 0);
        for argument in head.iter().chain(group.items.iter().flat_map(unit)).chain(tail) {
            part.arg(*argument);
        }
        Part { slot: group.target, cmd: part, keys: group.items }
    };
    Split::Parts(groups(slots).into_iter().map(part).collect())
}

/// Items that go to the same place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group<T> {
    pub(crate) target: T,
    /// The numbers of the items, in order.
    pub(crate) items: Vec<usize>,
}

/// Groups items by where they go; groups are in the order of their first items.
pub(crate) fn groups<T: Copy + Eq + Hash>(targets: impl IntoIterator<Item = T>) -> Vec<Group<T>> {
    let mut groups: Vec<Group<T>> = Vec::new();
    let mut known = HashMap::new();
    for (item, target) in targets.into_iter().enumerate() {
        let group = *known.entry(target).or_insert_with(|| {
            groups.push(Group { target, items: Vec::new() });
            groups.len() - 1
        });
        groups[group].items.push(item);
    }
    groups
}

/// Puts replies back in order: of `count` items, with the numbers of the items that each list of replies is for.
///
/// # Errors
///
/// A list with more or fewer replies than items, or items without a reply.
pub(crate) fn merge<'a>(
    count: usize,
    replies: impl IntoIterator<Item = (&'a [usize], Vec<Value>)>,
) -> RedisResult<Vec<Value>> {
    let mut merged = vec![None; count];
    for (items, values) in replies {
        if items.len() != values.len() {
            return Err(wrong_number(items.len(), values.len()));
        }
        for (item, value) in items.iter().zip(values) {
            *merged.get_mut(*item).ok_or_else(|| wrong_number(count, item + 1))? = Some(value);
        }
    }
    let answered = merged.iter().flatten().count();
    merged.into_iter().collect::<Option<_>>().ok_or_else(|| wrong_number(count, answered))
}

fn wrong_number(expected: usize, got: usize) -> RedisError {
    let detail = format!("expected {expected}, got {got}");
    (ErrorKind::UnexpectedReturnType, "a node answered with another number of replies", detail).into()
}

#[cfg(test)]
mod tests;
