//! Hashes.

use super::{
    args::{Args, Outcome},
    commands::wrong_number,
    counters::{added, added_float},
    data::{Bytes, Data, Hash, bulk_or_nil, count, count_of},
};
use crate::emulator::resp::Reply;

/// What `look` sees in the hash, or in an empty one if there is none.
fn read(data: &mut Data, args: Args<'_>, look: impl FnOnce(&Hash) -> Reply) -> Outcome {
    Ok(match data.get::<Hash>(args.at(0))? {
        Some(hash) => look(hash),
        None => look(&Hash::new()),
    })
}

pub(super) fn hset(data: &mut Data, args: Args<'_>) -> Outcome {
    set(data, args, "hset")
}

fn set(data: &mut Data, args: Args<'_>, command: &str) -> Outcome {
    let pairs = args.from(1).pairs().ok_or_else(|| wrong_number(command))?;
    data.update(args.at(0), |hash: &mut Hash| {
        Ok(count_of(pairs, |(field, value)| hash.insert(field.to_vec(), value.to_vec()).is_none()))
    })
}

pub(super) fn hmset(data: &mut Data, args: Args<'_>) -> Outcome {
    set(data, args, "hmset").map(|_| Reply::OK)
}

pub(super) fn hsetnx(data: &mut Data, args: Args<'_>) -> Outcome {
    data.update_some(args.at(0), |hash: &mut Hash| {
        let free = !hash.contains_key(args.at(1));
        if free {
            hash.insert(args.at(1).to_vec(), args.at(2).to_vec());
        }
        usize::from(free)
    })
}

pub(super) fn hget(data: &mut Data, args: Args<'_>) -> Outcome {
    read(data, args, |hash| bulk_or_nil(hash.get(args.at(1))))
}

pub(super) fn hmget(data: &mut Data, args: Args<'_>) -> Outcome {
    let fields = args.from(1).iter();
    read(data, args, |hash| Reply::Array(fields.map(|field| bulk_or_nil(hash.get(field))).collect()))
}

pub(super) fn hgetall(data: &mut Data, args: Args<'_>) -> Outcome {
    let pair = |(field, value): (&Bytes, &Bytes)| (Reply::bulk(field), Reply::bulk(value));
    read(data, args, |hash| Reply::Map(hash.iter().map(pair).collect()))
}

pub(super) fn hkeys(data: &mut Data, args: Args<'_>) -> Outcome {
    read(data, args, |hash| Reply::Array(hash.keys().map(Reply::bulk).collect()))
}

pub(super) fn hvals(data: &mut Data, args: Args<'_>) -> Outcome {
    read(data, args, |hash| Reply::Array(hash.values().map(Reply::bulk).collect()))
}

pub(super) fn hlen(data: &mut Data, args: Args<'_>) -> Outcome {
    read(data, args, |hash| count(hash.len()))
}

pub(super) fn hexists(data: &mut Data, args: Args<'_>) -> Outcome {
    read(data, args, |hash| Reply::Int(i64::from(hash.contains_key(args.at(1)))))
}

pub(super) fn hdel(data: &mut Data, args: Args<'_>) -> Outcome {
    let fields = args.from(1).iter();
    data.update_some(args.at(0), |hash: &mut Hash| fields.filter(|field| hash.remove(*field).is_some()).count())
}

pub(super) fn hincrby(data: &mut Data, args: Args<'_>) -> Outcome {
    let by = args.integer(2)?;
    change(data, args, |value| added(value, by, "ERR hash value is not an integer"))
}

pub(super) fn hincrbyfloat(data: &mut Data, args: Args<'_>) -> Outcome {
    let by = args.float(2)?;
    if !by.is_finite() {
        return Err("ERR value is NaN or Infinity".into());
    }
    change(data, args, |value| added_float(value, by, "ERR hash value is not a float"))
}

/// Changes one field, which is none before it is there; a change that fails leaves none behind.
fn change(data: &mut Data, args: Args<'_>, change: impl FnOnce(&mut Option<Bytes>) -> Outcome) -> Outcome {
    data.update(args.at(0), |hash: &mut Hash| {
        let mut value = hash.get(args.at(1)).cloned();
        let reply = change(&mut value)?;
        hash.insert(args.at(1).to_vec(), value.unwrap_or_default());
        Ok(reply)
    })
}
