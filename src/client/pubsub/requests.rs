//! The commands that subscribe and unsubscribe: as few as possible.

use super::topic::{Kind, Topic};
use crate::cluster::slot::Slot;
use redis::{Cmd, PushKind};
use std::collections::BTreeMap;

/// Names in one command, at most: the server does nothing else while it reads one.
const MOST_NAMES: usize = 1_000;

/// Whether topics are subscribed to or unsubscribed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Subscribe,
    Unsubscribe,
}

/// One command, and what it is about.
pub(super) struct Batch {
    pub(super) cmd: Cmd,
    /// The kind of its confirmations.
    pub(super) confirmed_by: PushKind,
    pub(super) change: Change,
    pub(super) topics: Vec<Topic>,
}

/// The commands for these topics. Sharded channels of several slots may not be in one.
pub(super) fn batches(change: Change, topics: impl IntoIterator<Item = Topic>) -> Vec<Batch> {
    let mut groups: BTreeMap<(usize, Option<Slot>), Vec<Topic>> = BTreeMap::new();
    for topic in topics {
        let kind = topic.kind();
        let slot = (kind == Kind::Sharded).then(|| Slot::of(topic.name()));
        groups.entry((kind as usize, slot)).or_default().push(topic);
    }
    groups
        .into_values()
        .flat_map(|group| group.chunks(MOST_NAMES).map(|part| batch(change, part)).collect::<Vec<_>>())
        .collect()
}

/// A command for each of them.
pub(super) fn one_by_one(batch: &Batch) -> Vec<Batch> {
    batch.topics.chunks(1).map(|topic| self::batch(batch.change, topic)).collect()
}

/// One command for topics of one kind.
fn batch(change: Change, topics: &[Topic]) -> Batch {
    let kind = topics.first().map_or(Kind::Channel, Topic::kind);
    let (name, confirmed_by) = match change {
        Change::Subscribe => kind.subscribe(),
        Change::Unsubscribe => kind.unsubscribe(),
    };
    let mut cmd = redis::cmd(name);
    for topic in topics {
        cmd.arg(topic.name());
    }
    Batch { cmd, confirmed_by, change, topics: topics.to_vec() }
}

#[cfg(test)]
mod tests;
