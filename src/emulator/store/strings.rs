//! Strings.

use super::{
    args::{Args, Outcome, Problem},
    commands::wrong_number,
    data::{Bytes, Data, Value, bulk_or_nil, count, now},
    expiry::{Expiry, Options, after},
};
use crate::emulator::resp::Reply;

/// The longest string, as in Redis.
const LONGEST: usize = 512 << 20;

pub(super) fn get(data: &mut Data, args: Args<'_>) -> Outcome {
    Ok(bulk_or_nil(data.get::<Bytes>(args.at(0))?.as_deref()))
}

pub(super) fn set(data: &mut Data, args: Args<'_>) -> Outcome {
    let (key, value) = (args.at(0), args.at(1));
    let options = Options::of_set(args, 2)?;
    let expires = options.moment("set")?;
    let old = if options.get { bulk_or_nil(data.get::<Bytes>(key)?.as_deref()) } else { Reply::Nil };
    let existing = data.entry(key).map(|entry| entry.expires);
    if (options.absent && existing.is_some()) || (options.present && existing.is_none()) {
        return Ok(old);
    }
    let expires = if matches!(options.expiry, Some(Expiry::Keep)) { existing.flatten() } else { expires };
    data.put(key, Value::String(value.to_vec()), expires);
    Ok(if options.get { old } else { Reply::OK })
}

pub(super) fn setex(data: &mut Data, args: Args<'_>) -> Outcome {
    set_for_a_while(data, args, "setex", 1000)
}

pub(super) fn psetex(data: &mut Data, args: Args<'_>) -> Outcome {
    set_for_a_while(data, args, "psetex", 1)
}

fn set_for_a_while(data: &mut Data, args: Args<'_>, command: &str, unit_ms: i64) -> Outcome {
    let expires = after(command, args.integer(1)?, unit_ms)?;
    data.put(args.at(0), Value::String(args.at(2).to_vec()), Some(expires));
    Ok(Reply::OK)
}

pub(super) fn setnx(data: &mut Data, args: Args<'_>) -> Outcome {
    let free = !data.exists(args.at(0));
    if free {
        data.put(args.at(0), Value::String(args.at(1).to_vec()), None);
    }
    Ok(Reply::Int(i64::from(free)))
}

pub(super) fn getset(data: &mut Data, args: Args<'_>) -> Outcome {
    let old = get(data, args)?;
    data.put(args.at(0), Value::String(args.at(1).to_vec()), None);
    Ok(old)
}

pub(super) fn getdel(data: &mut Data, args: Args<'_>) -> Outcome {
    let old = get(data, args)?;
    data.remove(args.at(0));
    Ok(old)
}

pub(super) fn getex(data: &mut Data, args: Args<'_>) -> Outcome {
    let options = Options::of_getex(args, 1)?;
    let Some(value) = data.get::<Bytes>(args.at(0))? else {
        return Ok(Reply::Nil);
    };
    let value = Reply::bulk(value);
    let expires = options.moment("getex")?;
    match data.entry(args.at(0)) {
        Some(_) if expires.is_some_and(|at| at <= now()) => drop(data.remove(args.at(0))),
        Some(entry) if expires.is_some() || (entry.expires.is_some() && options.persists()) => {
            entry.expires = expires;
            data.touch(args.at(0));
        }
        _ => {}
    }
    Ok(value)
}

pub(super) fn mget(data: &mut Data, args: Args<'_>) -> Outcome {
    // A key of another type counts as absent here.
    let value = |key: &[u8]| bulk_or_nil(data.get::<Bytes>(key).ok().flatten().as_deref());
    Ok(Reply::Array(args.iter().map(value).collect()))
}

pub(super) fn mset(data: &mut Data, args: Args<'_>) -> Outcome {
    let pairs = args.pairs().ok_or_else(|| wrong_number("mset"))?;
    pairs.for_each(|(key, value)| data.put(key, Value::String(value.to_vec()), None));
    Ok(Reply::OK)
}

pub(super) fn append(data: &mut Data, args: Args<'_>) -> Outcome {
    data.update(args.at(0), |value: &mut Bytes| {
        fits(value.len().saturating_add(args.at(1).len()))?;
        value.extend_from_slice(args.at(1));
        Ok(count(value.len()))
    })
}

pub(super) fn strlen(data: &mut Data, args: Args<'_>) -> Outcome {
    Ok(count(data.get::<Bytes>(args.at(0))?.map_or(0, |value| value.len())))
}

pub(super) fn getrange(data: &mut Data, args: Args<'_>) -> Outcome {
    let (start, stop) = (args.integer(1)?, args.integer(2)?);
    let value = data.get::<Bytes>(args.at(0))?;
    Ok(value.map_or_else(|| Reply::bulk(""), |value| Reply::bulk(part(value, start, stop))))
}

/// An end that lies before the beginning counts as the first byte, unless both lie there in the wrong order: strings
/// are not cut as lists are.
fn part(value: &[u8], start: i64, stop: i64) -> &[u8] {
    if start < 0 && stop < 0 && start > stop {
        return &[];
    }
    let len = i64::try_from(value.len()).unwrap_or(i64::MAX);
    let at = |index: i64| if index < 0 { index.saturating_add(len).max(0) } else { index };
    let (start, stop) = (at(start), at(stop).min(len - 1));
    let range = usize::try_from(start).ok().zip(usize::try_from(stop).ok());
    range.and_then(|(start, stop)| value.get(start..=stop)).unwrap_or_default()
}

pub(super) fn setrange(data: &mut Data, args: Args<'_>) -> Outcome {
    let offset = usize::try_from(args.integer(1)?).map_err(|_| "ERR offset is out of range")?;
    let end = offset.saturating_add(args.at(2).len());
    if args.at(2).is_empty() {
        return strlen(data, args);
    }
    data.update(args.at(0), |value: &mut Bytes| {
        fits(end)?;
        value.resize(value.len().max(end), 0);
        value[offset..end].copy_from_slice(args.at(2));
        Ok(count(value.len()))
    })
}

fn fits(len: usize) -> Result<(), Problem> {
    if len > LONGEST {
        return Err("ERR string exceeds maximum allowed size (proto-max-bulk-len)".into());
    }
    Ok(())
}
