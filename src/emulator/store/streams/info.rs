//! `XINFO`.

use super::{
    Group, Stream,
    groups::{no_such_group, wrong_syntax},
    shown,
};
use crate::emulator::{
    resp::Reply,
    store::{
        args::{Args, Outcome},
        commands::missing_here,
        data::{Data, count, now},
    },
};

/// How many entries Redis keeps in one node of its tree.
const ENTRIES_OF_A_NODE: usize = 100;

/// `XINFO STREAM key`, `XINFO GROUPS key`, `XINFO CONSUMERS key group`.
pub(in crate::emulator::store) fn xinfo(data: &mut Data, args: Args<'_>) -> Outcome {
    let subcommand = args.option(0);
    let stream = data.get::<Stream>(args.at(1))?.ok_or("ERR no such key")?;
    match subcommand.as_str() {
        "STREAM" if args.len() == 2 => Ok(of_stream(stream)),
        "STREAM" if args.option(2) == "FULL" => Err(missing_here("option", "FULL", "XINFO STREAM with FULL")),
        "STREAM" => Err(wrong_syntax("XINFO", args)),
        "GROUPS" => {
            let groups = stream.groups.iter().map(|(name, group)| of_group(name, group, stream));
            Ok(Reply::Array(groups.collect()))
        }
        // All that `commands` knows beside these.
        _ => {
            let group = stream.groups.get(args.at(2)).ok_or_else(|| no_such_group(args.at(1), args.at(2)))?;
            Ok(Reply::Array(consumers(group)))
        }
    }
}

fn map<const N: usize>(fields: [(&str, Reply); N]) -> Reply {
    Reply::Map(fields.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect())
}

fn of_stream(stream: &Stream) -> Reply {
    let nodes = stream.entries.len().div_ceil(ENTRIES_OF_A_NODE);
    let entry =
        |entry: Option<(&super::Id, &Vec<Vec<u8>>)>| entry.map_or(Reply::Nil, |(id, fields)| shown(*id, fields));
    map([
        ("length", count(stream.entries.len())),
        ("radix-tree-keys", count(nodes)),
        ("radix-tree-nodes", count(nodes + 1)),
        ("last-generated-id", stream.last_id.reply()),
        ("max-deleted-entry-id", stream.max_deleted.reply()),
        ("entries-added", Reply::Int(stream.added)),
        ("recorded-first-entry-id", stream.first_id().reply()),
        ("groups", count(stream.groups.len())),
        ("first-entry", entry(stream.entries.first_key_value())),
        ("last-entry", entry(stream.entries.last_key_value())),
    ])
}

fn of_group(name: &[u8], group: &Group, stream: &Stream) -> Reply {
    let known = |number: Option<i64>| number.map_or(Reply::Nil, Reply::Int);
    map([
        ("name", Reply::bulk(name)),
        ("consumers", count(group.consumers.len())),
        ("pending", count(group.pending.len())),
        ("last-delivered-id", group.last_id.reply()),
        ("entries-read", known(group.read)),
        ("lag", known(group.lag(stream))),
    ])
}

fn consumers(group: &Group) -> Vec<Reply> {
    let now = now();
    let consumer = |(name, consumer): (&Vec<u8>, &super::Consumer)| {
        map([
            ("name", Reply::bulk(name)),
            ("pending", count(group.pending_of(name).count())),
            ("idle", Reply::Int((now - consumer.seen).max(0))),
            ("inactive", Reply::Int(consumer.active.map_or(-1, |active| (now - active).max(0)))),
        ])
    };
    group.consumers.iter().map(consumer).collect()
}
