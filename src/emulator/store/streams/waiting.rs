//! `XREAD` and `XREADGROUP`, which wait for entries if they are told to.

use super::{Delivery, Group, Id, Stream, no_group, shown};
use crate::emulator::{
    hello::c_string,
    resp::Reply,
    store::{
        args::{Args, Problem, SYNTAX},
        data::{Data, Moment, now},
        waiting::{Attempted, Wait, WhatFor},
    },
};
use std::time::Duration;

const WITHOUT_MEANING: &str = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history \
                               of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ \
                               ID would just return an empty result set.";
const FOR_GROUPS: &str = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
                          option.";

const UNBALANCED: &str = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.";

/// What is said before the keys.
#[derive(Default)]
struct Options<'a> {
    /// The group and the consumer.
    group: Option<(&'a [u8], &'a [u8])>,
    most: Option<usize>,
    unacknowledged: bool,
    waits: bool,
    /// For how long it waits; none is for ever.
    timeout: Option<Duration>,
    /// Where the keys begin, and how many there are.
    first: usize,
    count: usize,
}

impl<'a> Options<'a> {
    fn read(args: Args<'a>, for_group: bool) -> Result<Self, Problem> {
        let mut options = Self::default();
        let only = |option: &str| {
            let text = format!("The {option} option is only supported by XREADGROUP. You called XREAD instead.");
            if for_group { Ok(()) } else { Err(Problem::from(format!("ERR {text}"))) }
        };
        let mut at = 0;
        while options.count == 0 {
            let more = args.len().saturating_sub(at + 1);
            match args.option(at).as_str() {
                "BLOCK" if more > 0 => {
                    at += 1;
                    (options.waits, options.timeout) = (true, args.milliseconds(at)?);
                }
                "COUNT" if more > 0 => {
                    at += 1;
                    options.most = usize::try_from(args.integer(at)?).ok().filter(|most| *most > 0);
                }
                "STREAMS" if more > 0 => (options.first, options.count) = (at + 1, more / 2),
                "GROUP" if more > 1 => {
                    only("GROUP")?;
                    options.group = Some((args.at(at + 1), args.at(at + 2)));
                    at += 2;
                }
                "NOACK" => {
                    only("NOACK")?;
                    options.unacknowledged = true;
                }
                _ => return Err(SYNTAX.into()),
            }
            if options.first > 0 && (args.len() - options.first) % 2 == 1 {
                return Err(UNBALANCED.into());
            }
            at += 1;
        }
        if for_group && options.group.is_none() {
            return Err("ERR Missing GROUP option for XREADGROUP".into());
        }
        Ok(options)
    }
}

/// Which entries of a stream are wanted.
#[derive(Clone, Copy)]
enum From {
    After(Id),
    /// What has been delivered to none of the group.
    New,
}

/// `XREAD [COUNT count] [BLOCK milliseconds] STREAMS key … id …`.
pub(in crate::emulator::store) fn xread(data: &mut Data, args: Args<'_>) -> Result<Attempted, Problem> {
    read(data, args, false)
}

/// `XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key … id …`.
pub(in crate::emulator::store) fn xreadgroup(data: &mut Data, args: Args<'_>) -> Result<Attempted, Problem> {
    read(data, args, true)
}

fn read(data: &mut Data, args: Args<'_>, for_group: bool) -> Result<Attempted, Problem> {
    let options = Options::read(args, for_group)?;
    let keys = args.from(options.first);
    let places: Vec<_> = (0..options.count).map(|at| (keys.at(at), keys.at(at + options.count))).collect();
    let mut wanted = Vec::new();
    for (key, id) in &places {
        wanted.push(from(data, key, id, &options)?);
    }
    let mut found = Vec::new();
    for ((key, _), from) in places.iter().zip(&wanted) {
        let Some(stream) = data.get::<Stream>(key)? else {
            continue;
        };
        let entries = match (options.group, from) {
            (Some((group, consumer)), from) => {
                stream.with_group(group, |stream, group| group.read(stream, consumer, *from, &options)).flatten()
            }
            (None, From::After(id)) => stream.after(*id, options.most).map(|found| all_shown(&found)),
            (None, From::New) => None,
        };
        found.extend(entries.map(|entries| (Reply::bulk(key), Reply::Array(entries))));
    }
    if !found.is_empty() {
        return Ok(Attempted::Done(Reply::Pairs(found)));
    }
    if !options.waits {
        return Ok(Attempted::NOTHING);
    }
    let what_for = if for_group { WhatFor::Group } else { WhatFor::Stream };
    let keys = places.iter().map(|(key, _)| key.to_vec()).collect();
    let mut wait = Wait::new(what_for, keys, args, options.timeout);
    // What `$` is, is found out once: the next attempt begins where this one did.
    for (id, from) in wait.args[options.first + options.count..].iter_mut().zip(wanted) {
        if let From::After(after) = from {
            *id = after.to_string().into_bytes();
        }
    }
    Ok(Attempted::Waits(wait))
}

/// Where reading begins in this stream, which has to have the group if there is one.
fn from(data: &mut Data, key: &[u8], id: &[u8], options: &Options<'_>) -> Result<From, Problem> {
    let stream = data.get::<Stream>(key)?;
    if let Some((group, _)) = options.group
        && stream.as_ref().is_none_or(|stream| !stream.groups.contains_key(group))
    {
        return Err(no_group(key, group).and(" in XREADGROUP with GROUP option"));
    }
    match c_string(id) {
        b"$" if options.group.is_some() => Err(WITHOUT_MEANING.into()),
        b"$" => Ok(From::After(stream.map_or(Id::LEAST, |stream| stream.last_id))),
        b">" if options.group.is_none() => Err(FOR_GROUPS.into()),
        b">" => Ok(From::New),
        _ => Id::parse(id, 0).map(From::After),
    }
}

type Entries<'a> = Vec<(Id, &'a Vec<super::Bytes>)>;

fn all_shown(entries: &Entries<'_>) -> Vec<Reply> {
    entries.iter().map(|(id, fields)| shown(*id, fields)).collect()
}

impl Stream {
    /// What lies behind the id; none if nothing does.
    fn after(&self, id: Id, most: Option<usize>) -> Option<Entries<'_>> {
        let found = self.range(id.next()?, Id::GREATEST).take(most.unwrap_or(usize::MAX));
        Some(found.collect()).filter(|found: &Entries<'_>| !found.is_empty())
    }
}

impl Group {
    fn read(&mut self, stream: &Stream, consumer: &[u8], from: From, options: &Options<'_>) -> Option<Vec<Reply>> {
        let now = now();
        self.seen(consumer, now);
        let From::After(after) = from else {
            let new = stream.after(self.last_id, options.most)?;
            self.seen(consumer, now).active = Some(now);
            for (id, _) in &new {
                self.advance(stream, *id);
                if !options.unacknowledged {
                    self.pending.insert(*id, Delivery { consumer: consumer.to_vec(), at: now, count: 1 });
                }
            }
            return Some(all_shown(&new));
        };
        Some(self.history(stream, consumer, after, now, options.most))
    }

    /// What the consumer has had and has not acknowledged: it is delivered once more.
    fn history(&mut self, stream: &Stream, consumer: &[u8], after: Id, now: Moment, most: Option<usize>) -> Vec<Reply> {
        let own = self.pending.iter_mut().filter(|(id, delivery)| **id > after && delivery.consumer == consumer);
        let again = own.take(most.unwrap_or(usize::MAX)).map(|(id, delivery)| match stream.entries.get(id) {
            Some(fields) => {
                (delivery.at, delivery.count) = (now, delivery.count.wrapping_add(1));
                shown(*id, fields)
            }
            None => Reply::Array(vec![id.reply(), Reply::NullArray]),
        });
        again.collect()
    }

    fn advance(&mut self, stream: &Stream, id: Id) {
        self.read = match self.read {
            Some(read) if !stream.has_gap_from(id) => Some(read.wrapping_add(1)),
            _ => stream.added_until(id),
        };
        self.last_id = id;
    }
}
