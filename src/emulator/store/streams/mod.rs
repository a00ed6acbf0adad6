//! Streams and their consumer groups.

mod adding;
mod claims;
mod groups;
mod id;
mod info;
mod pending;
mod reading;
mod waiting;

use crate::emulator::{
    resp::Reply,
    store::{
        args::Problem,
        data::{Bytes, Data, Moment},
    },
};
use id::Id;
use std::collections::BTreeMap;

pub(super) use adding::{xadd, xdel, xtrim};
pub(super) use claims::{xautoclaim, xclaim};
pub(super) use groups::xgroup;
pub(super) use info::xinfo;
pub(super) use pending::{xack, xpending};
pub(super) use reading::{xlen, xrange, xrevrange};
pub(super) use waiting::{xread, xreadgroup};

#[derive(Clone, Default)]
pub(super) struct Stream {
    /// Fields and values, one after the other, by id.
    entries: BTreeMap<Id, Vec<Bytes>>,
    last_id: Id,
    /// The greatest one that has been deleted, by `XDEL` alone.
    max_deleted: Id,
    /// How many there have ever been.
    added: i64,
    groups: BTreeMap<Bytes, Group>,
}

#[derive(Clone, Default)]
struct Group {
    last_id: Id,
    /// How many of the stream's entries it has read, if that is known.
    read: Option<i64>,
    /// What has been delivered and not acknowledged.
    pending: BTreeMap<Id, Delivery>,
    consumers: BTreeMap<Bytes, Consumer>,
}

#[derive(Clone)]
struct Delivery {
    consumer: Bytes,
    at: Moment,
    count: i64,
}

#[derive(Clone)]
struct Consumer {
    /// When it asked for something last.
    seen: Moment,
    /// When it got something last.
    active: Option<Moment>,
}

impl Stream {
    /// The id of the first entry, or the least one if there is none.
    fn first_id(&self) -> Id {
        self.entries.keys().next().copied().unwrap_or_default()
    }

    /// The entries between two ids, these included.
    fn range(&self, first: Id, last: Id) -> impl DoubleEndedIterator<Item = (Id, &Vec<Bytes>)> {
        // A range that ends before it begins is empty.
        let range = (first <= last).then(|| self.entries.range(first..=last));
        range.into_iter().flatten().map(|(id, fields)| (*id, fields))
    }

    /// Whether something has been deleted from the middle, at this id or behind it.
    fn has_gap_from(&self, id: Id) -> bool {
        let is_whole = self.max_deleted == Id::LEAST || self.max_deleted < self.first_id();
        !self.entries.is_empty() && !is_whole && id <= self.max_deleted
    }

    /// How many entries there have ever been up to this id, if that can be told.
    fn added_until(&self, id: Id) -> Option<i64> {
        if self.added == 0 {
            return Some(0);
        }
        if self.entries.is_empty() && id <= self.last_id || id == self.last_id {
            return Some(self.added);
        }
        let is_whole = self.max_deleted == Id::LEAST || self.max_deleted < self.first_id();
        let before = self.added - i64::try_from(self.entries.len()).ok()?;
        match id.cmp(&self.first_id()) {
            _ if id > self.last_id || !is_whole => None,
            std::cmp::Ordering::Less => Some(before),
            std::cmp::Ordering::Equal => Some(before + 1),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// Does something with one of its groups, if there is one of this name.
    fn with_group<T>(&mut self, name: &[u8], act: impl FnOnce(&Self, &mut Group) -> T) -> Option<T> {
        let (name, mut group) = self.groups.remove_entry(name)?;
        let result = act(self, &mut group);
        self.groups.insert(name, group);
        Some(result)
    }
}

impl Group {
    /// How many entries are ahead of it, if that can be told.
    fn lag(&self, stream: &Stream) -> Option<i64> {
        let known = self.read.filter(|_| stream.added > 0 && !stream.has_gap_from(self.last_id));
        let read = known.or_else(|| stream.added_until(self.last_id))?;
        Some(stream.added.wrapping_sub(read))
    }

    /// The ids that a consumer has and has not acknowledged.
    fn pending_of<'a>(&'a self, consumer: &'a [u8]) -> impl Iterator<Item = (Id, &'a Delivery)> {
        let own = self.pending.iter().filter(move |(_, delivery)| delivery.consumer == consumer);
        own.map(|(id, delivery)| (*id, delivery))
    }

    /// Notes that the consumer has asked for something; who has not been there before is there now.
    fn seen(&mut self, consumer: &[u8], now: Moment) -> &mut Consumer {
        let new = Consumer { seen: now, active: None };
        let consumer = self.consumers.entry(consumer.to_vec()).or_insert(new);
        consumer.seen = now;
        consumer
    }
}

/// An entry as all commands show it.
fn shown(id: Id, fields: &[Bytes]) -> Reply {
    Reply::Array(vec![id.reply(), Reply::Array(fields.iter().map(Reply::bulk).collect())])
}

/// Does something with a group, which has to be there.
fn in_group<T>(
    data: &mut Data,
    key: &[u8],
    group: &[u8],
    act: impl FnOnce(&Stream, &mut Group) -> T,
) -> Result<T, Problem> {
    let done = data.get::<Stream>(key)?.and_then(|stream| stream.with_group(group, act));
    done.ok_or_else(|| no_group(key, group))
}

fn no_group(key: &[u8], group: &[u8]) -> Problem {
    Problem::quoting("NOGROUP No such key '", key).and("' or consumer group '").and_quoting(group).and("'")
}
