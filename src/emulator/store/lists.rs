//! Lists.

use super::{
    args::{Args, Outcome, Problem, SYNTAX, span},
    commands::wrong_number,
    data::{Bytes, Data, List, bulk_or_nil, count},
};
use crate::emulator::resp::Reply;

mod blocking;

pub(super) use blocking::{blmove, blmpop, blpop, brpop, brpoplpush, lmpop};

#[derive(Clone, Copy)]
enum End {
    Left,
    Right,
}

fn push_one(list: &mut List, end: End, item: Bytes) {
    match end {
        End::Left => list.push_front(item),
        End::Right => list.push_back(item),
    }
}

fn pop_one(list: &mut List, end: End) -> Option<Bytes> {
    match end {
        End::Left => list.pop_front(),
        End::Right => list.pop_back(),
    }
}

fn pop_some(list: &mut List, end: End, wanted: usize) -> Reply {
    let items = (0..wanted.min(list.len())).filter_map(|_| pop_one(list, end));
    Reply::Array(items.map(Reply::Bulk).collect())
}

fn push(data: &mut Data, args: Args<'_>, end: End) -> Outcome {
    data.update(args.at(0), |list: &mut List| {
        args.from(1).iter().for_each(|item| push_one(list, end, item.to_vec()));
        Ok(count(list.len()))
    })
}

pub(super) fn lpush(data: &mut Data, args: Args<'_>) -> Outcome {
    push(data, args, End::Left)
}

pub(super) fn rpush(data: &mut Data, args: Args<'_>) -> Outcome {
    push(data, args, End::Right)
}

fn push_existing(data: &mut Data, args: Args<'_>, end: End) -> Outcome {
    match data.get::<List>(args.at(0))? {
        Some(_) => push(data, args, end),
        None => Ok(Reply::Int(0)),
    }
}

pub(super) fn lpushx(data: &mut Data, args: Args<'_>) -> Outcome {
    push_existing(data, args, End::Left)
}

pub(super) fn rpushx(data: &mut Data, args: Args<'_>) -> Outcome {
    push_existing(data, args, End::Right)
}

fn pop(data: &mut Data, args: Args<'_>, end: End, command: &str) -> Outcome {
    let wanted = match args.len() {
        1 => None,
        2 => Some(args.count(1)?),
        _ => return Err(wrong_number(command)),
    };
    let there = data.get::<List>(args.at(0))?.is_some();
    match wanted {
        Some(0) if there => Ok(Reply::Array(Vec::new())),
        _ if !there => Ok(if wanted.is_some() { Reply::NullArray } else { Reply::Nil }),
        None => data.update(args.at(0), |list: &mut List| Ok(bulk_or_nil(pop_one(list, end).as_ref()))),
        Some(wanted) => data.update(args.at(0), |list: &mut List| Ok(pop_some(list, end, wanted))),
    }
}

pub(super) fn lpop(data: &mut Data, args: Args<'_>) -> Outcome {
    pop(data, args, End::Left, "lpop")
}

pub(super) fn rpop(data: &mut Data, args: Args<'_>) -> Outcome {
    pop(data, args, End::Right, "rpop")
}

pub(super) fn llen(data: &mut Data, args: Args<'_>) -> Outcome {
    Ok(count(data.get::<List>(args.at(0))?.map_or(0, |list| list.len())))
}

pub(super) fn lrange(data: &mut Data, args: Args<'_>) -> Outcome {
    let (start, stop) = (args.integer(1)?, args.integer(2)?);
    let items = data
        .get::<List>(args.at(0))?
        .map_or_else(Vec::new, |list| list.range(span(list.len(), start, stop)).map(Reply::bulk).collect());
    Ok(Reply::Array(items))
}

pub(super) fn lindex(data: &mut Data, args: Args<'_>) -> Outcome {
    // Where there is no list, no index is looked at.
    let Some(list) = data.get::<List>(args.at(0))? else {
        return Ok(Reply::Nil);
    };
    let index = args.integer(1)?;
    Ok(bulk_or_nil(position(list, index).and_then(|at| list.get(at))))
}

/// An index that may count from the end.
fn position(list: &List, index: i64) -> Option<usize> {
    let offset = if index < 0 { i64::try_from(list.len()).ok()? } else { 0 };
    usize::try_from(index.checked_add(offset)?).ok().filter(|at| *at < list.len())
}

pub(super) fn lset(data: &mut Data, args: Args<'_>) -> Outcome {
    data.get::<List>(args.at(0))?.ok_or("ERR no such key")?;
    let index = args.integer(1)?;
    data.update(args.at(0), |list: &mut List| {
        let at = position(list, index).ok_or("ERR index out of range")?;
        list[at] = args.at(2).to_vec();
        Ok(Reply::OK)
    })
}

pub(super) fn ltrim(data: &mut Data, args: Args<'_>) -> Outcome {
    let (start, stop) = (args.integer(1)?, args.integer(2)?);
    data.update(args.at(0), |list: &mut List| {
        let kept = span(list.len(), start, stop);
        *list = list.range(kept).cloned().collect();
        Ok(Reply::OK)
    })
}

/// `LREM key count item`: from the front, from the back if `count` is negative, all if it is zero.
pub(super) fn lrem(data: &mut Data, args: Args<'_>) -> Outcome {
    let wanted = args.integer(1)?;
    let most = if wanted == 0 { usize::MAX } else { usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX) };
    data.update_some(args.at(0), |list: &mut List| {
        let mut removed = 0;
        let mut keep = |item: &Bytes| {
            let goes = removed < most && item == args.at(2);
            removed += usize::from(goes);
            !goes
        };
        if wanted < 0 {
            let mut kept: List = list.drain(..).rev().filter(|item| keep(item)).collect();
            kept.make_contiguous().reverse();
            *list = kept;
        } else {
            list.retain(|item| keep(item));
        }
        removed
    })
}

fn end(args: Args<'_>, index: usize) -> Result<End, Problem> {
    match args.option(index).as_str() {
        "LEFT" => Ok(End::Left),
        "RIGHT" => Ok(End::Right),
        _ => Err(SYNTAX.into()),
    }
}

pub(super) fn lmove(data: &mut Data, args: Args<'_>) -> Outcome {
    move_one(data, args, end(args, 2)?, end(args, 3)?)
}

pub(super) fn rpoplpush(data: &mut Data, args: Args<'_>) -> Outcome {
    move_one(data, args, End::Right, End::Left)
}

fn move_one(data: &mut Data, args: Args<'_>, from: End, to: End) -> Outcome {
    // Without a list there is nothing to move, wherever to.
    if data.get::<List>(args.at(0))?.is_none() {
        return Ok(Reply::Nil);
    }
    // A list must not lose an item that has nowhere to go.
    data.get::<List>(args.at(1))?;
    if args.at(0) == args.at(1) {
        // It is never empty meanwhile, and so keeps its expiry.
        return data.update(args.at(0), |list: &mut List| {
            let item = pop_one(list, from);
            if let Some(item) = &item {
                push_one(list, to, item.clone());
            }
            Ok(bulk_or_nil(item.as_ref()))
        });
    }
    let Some(item) = data.update(args.at(0), |list: &mut List| Ok(pop_one(list, from)))? else {
        return Ok(Reply::Nil);
    };
    data.update(args.at(1), |list: &mut List| {
        push_one(list, to, item.clone());
        Ok(Reply::Bulk(item))
    })
}
