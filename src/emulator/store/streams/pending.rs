//! What a group has been given and has not acknowledged: `XACK` and `XPENDING`.

use super::{Group, Id, Stream, in_group};
use crate::emulator::{
    resp::Reply,
    store::{
        args::{Args, Outcome, Problem, SYNTAX},
        data::{Data, count, now},
    },
};

/// `XACK key group id …`.
pub(in crate::emulator::store) fn xack(data: &mut Data, args: Args<'_>) -> Outcome {
    let stream = data.get::<Stream>(args.at(0))?.filter(|stream| stream.groups.contains_key(args.at(1)));
    let Some(stream) = stream else {
        return Ok(count(0));
    };
    let ids: Vec<_> = args.from(2).iter().map(|id| Id::parse(id, 0)).collect::<Result<_, _>>()?;
    let acknowledge =
        |_: &Stream, group: &mut Group| ids.iter().filter(|id| group.pending.remove(id).is_some()).count();
    Ok(count(stream.with_group(args.at(1), acknowledge).unwrap_or_default()))
}

/// `XPENDING key group [[IDLE milliseconds] first last count [consumer]]`.
pub(in crate::emulator::store) fn xpending(data: &mut Data, args: Args<'_>) -> Outcome {
    if args.len() == 2 {
        return in_group(data, args.at(0), args.at(1), |_, group| summary(group));
    }
    if !(5..=8).contains(&args.len()) {
        return Err(SYNTAX.into());
    }
    let wanted = Wanted::read(args.from(2))?;
    in_group(data, args.at(0), args.at(1), |_, group| wanted.list(group))
}

/// How many there are, from which to which, and how many each consumer has.
fn summary(group: &Group) -> Reply {
    let ends = group.pending.keys().next().zip(group.pending.keys().next_back());
    let Some((first, last)) = ends else {
        return Reply::Array(vec![count(0), Reply::Nil, Reply::Nil, Reply::NullArray]);
    };
    let of = |name: &Vec<u8>| {
        let pending = group.pending_of(name).count();
        (pending > 0).then(|| Reply::Array(vec![Reply::bulk(name), Reply::bulk(pending.to_string())]))
    };
    let consumers = group.consumers.keys().filter_map(of).collect();
    Reply::Array(vec![count(group.pending.len()), first.reply(), last.reply(), Reply::Array(consumers)])
}

/// Which deliveries are listed.
struct Wanted<'a> {
    idle: i64,
    first: Id,
    last: Id,
    most: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    fn read(args: Args<'a>) -> Result<Self, Problem> {
        let mut idle = 0;
        let mut rest = args;
        if args.option(0) == "IDLE" {
            idle = args.integer(1)?;
            rest = args.from(2);
            if rest.len() < 3 {
                return Err(SYNTAX.into());
            }
        }
        let most = usize::try_from(rest.integer(2)?.max(0)).unwrap_or(usize::MAX);
        let (first, last) = (Id::parse_start(rest.at(0))?, Id::parse_end(rest.at(1))?);
        Ok(Self { idle, first, last, most, consumer: (rest.len() > 3).then(|| rest.at(3)) })
    }

    fn list(&self, group: &Group) -> Reply {
        let now = now();
        let all = group.pending.iter().filter(|(id, _)| self.first <= **id && **id <= self.last);
        let own = all.filter(|(_, delivery)| self.consumer.is_none_or(|consumer| delivery.consumer == consumer));
        let idle = own.filter(|(_, delivery)| self.idle == 0 || now - delivery.at >= self.idle);
        let shown = idle.take(self.most).map(|(id, delivery)| {
            let idle = Reply::Int((now - delivery.at).max(0));
            Reply::Array(vec![id.reply(), Reply::bulk(&delivery.consumer), idle, Reply::Int(delivery.count)])
        });
        Reply::Array(shown.collect())
    }
}
