//! What takes from lists, and waits if there is nothing to take.

use super::{End, end, move_one, pop_one, pop_some};
use crate::emulator::{
    resp::Reply,
    store::{
        args::{Args, Outcome, Problem, SYNTAX},
        data::{Bytes, Data, List, bulk_or_nil},
        waiting::{Attempted, Wait, WhatFor},
    },
};

type Result = std::result::Result<Attempted, Problem>;

pub(in crate::emulator::store) fn blpop(data: &mut Data, args: Args<'_>) -> Result {
    pop_first(data, args, End::Left)
}

pub(in crate::emulator::store) fn brpop(data: &mut Data, args: Args<'_>) -> Result {
    pop_first(data, args, End::Right)
}

/// `BLPOP key … seconds`: from the first list that is there.
fn pop_first(data: &mut Data, args: Args<'_>, end: End) -> Result {
    let last = args.len().saturating_sub(1);
    let timeout = args.seconds(last)?;
    let keys = Args(&args.0[..last]);
    let Some(key) = first_list(data, keys)? else {
        return Ok(Attempted::Waits(Wait::new(WhatFor::List, keys.0.to_vec(), args, timeout)));
    };
    let item = data.update(key, |list: &mut List| Ok(bulk_or_nil(pop_one(list, end).as_ref())))?;
    Ok(Attempted::Done(Reply::Array(vec![Reply::bulk(key), item])))
}

/// The first of these keys that holds a list.
fn first_list<'a>(data: &mut Data, keys: Args<'a>) -> std::result::Result<Option<&'a [u8]>, Problem> {
    for key in keys.iter() {
        if data.get::<List>(key)?.is_some() {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// `BLMOVE source destination from to seconds`.
pub(in crate::emulator::store) fn blmove(data: &mut Data, args: Args<'_>) -> Result {
    let (from, to) = (end(args, 2)?, end(args, 3)?);
    move_or_wait(data, args, from, to, 4)
}

/// `BRPOPLPUSH source destination seconds`.
pub(in crate::emulator::store) fn brpoplpush(data: &mut Data, args: Args<'_>) -> Result {
    move_or_wait(data, args, End::Right, End::Left, 2)
}

fn move_or_wait(data: &mut Data, args: Args<'_>, from: End, to: End, timeout: usize) -> Result {
    let timeout = args.seconds(timeout)?;
    if data.get::<List>(args.at(0))?.is_some() {
        return move_one(data, args, from, to).map(Attempted::Done);
    }
    let wait = Wait::new(WhatFor::List, vec![args.at(0).to_vec()], args, timeout);
    Ok(Attempted::Waits(Wait { in_transaction: Reply::Nil, ..wait }))
}

/// What `LMPOP` and `BLMPOP` say: which keys, from which end, how many at most.
struct Several<'a> {
    keys: &'a [Bytes],
    end: End,
    count: usize,
}

impl<'a> Several<'a> {
    fn read(args: Args<'a>) -> std::result::Result<Self, Problem> {
        let keys = args.positive(0, "ERR numkeys should be greater than 0")?;
        let rest = args.from(keys.saturating_add(1));
        let end = end(rest, 0)?;
        let mut count = None;
        let mut at = 1;
        while at < rest.len() {
            if count.is_some() || rest.option(at) != "COUNT" || at + 1 == rest.len() {
                return Err(SYNTAX.into());
            }
            count = Some(rest.positive(at + 1, "ERR count should be greater than 0")?);
            at += 2;
        }
        Ok(Self { keys: &args.0[1..=keys], end, count: count.unwrap_or(1) })
    }

    fn pop(&self, data: &mut Data) -> std::result::Result<Option<Reply>, Problem> {
        let Some(key) = first_list(data, Args(self.keys))? else {
            return Ok(None);
        };
        let items = data.update(key, |list: &mut List| Ok(pop_some(list, self.end, self.count)))?;
        Ok(Some(Reply::Array(vec![Reply::bulk(key), items])))
    }
}

/// `LMPOP numkeys key … end [COUNT count]`.
pub(in crate::emulator::store) fn lmpop(data: &mut Data, args: Args<'_>) -> Outcome {
    Ok(Several::read(args)?.pop(data)?.unwrap_or(Reply::NullArray))
}

/// `BLMPOP seconds numkeys key … end [COUNT count]`.
pub(in crate::emulator::store) fn blmpop(data: &mut Data, args: Args<'_>) -> Result {
    let several = Several::read(args.from(1))?;
    let timeout = args.seconds(0)?;
    Ok(match several.pop(data)? {
        Some(reply) => Attempted::Done(reply),
        None => Attempted::Waits(Wait::new(WhatFor::List, several.keys.to_vec(), args, timeout)),
    })
}
