//! Strings and counters.

use super::{
    args::{Args, NOT_AN_INTEGER, Outcome, SYNTAX, float, integer, span},
    data::{Bytes, Data, Value, bulk_or_nil, count},
    keys::{deadline, expiry_option},
};
use crate::emulator::resp::Reply;

/// The longest string, as in Redis.
const LONGEST: usize = 512 << 20;

pub(super) fn get(data: &mut Data, args: Args<'_>) -> Outcome {
    Ok(bulk_or_nil(data.get::<Bytes>(args.at(0))?.as_deref()))
}

pub(super) fn set(data: &mut Data, args: Args<'_>) -> Outcome {
    let (key, value) = (args.at(0), args.at(1));
    let (mut absent, mut present, mut keep, mut return_old, mut expires) = (false, false, false, false, None);
    let mut at = 2;
    while at < args.len() {
        match args.option(at).as_str() {
            "NX" => absent = true,
            "XX" => present = true,
            "KEEPTTL" => keep = true,
            "GET" => return_old = true,
            option => {
                expires = Some(expiry_option("set", option, args, at + 1)?);
                at += 1;
            }
        }
        at += 1;
    }
    if (absent && present) || (keep && expires.is_some()) {
        return Err(SYNTAX.to_owned());
    }
    let old = if return_old { bulk_or_nil(data.get::<Bytes>(key)?.as_deref()) } else { Reply::Nil };
    let existing = data.entry(key).map(|entry| entry.expires);
    if (absent && existing.is_some()) || (present && existing.is_none()) {
        return Ok(old);
    }
    let expires = if keep { existing.flatten() } else { expires };
    data.put(key, Value::String(value.to_vec()), expires);
    Ok(if return_old { old } else { Reply::OK })
}

pub(super) fn setex(data: &mut Data, args: Args<'_>) -> Outcome {
    let expires = deadline("setex", args.integer(1)?, 1000)?;
    data.put(args.at(0), Value::String(args.at(2).to_vec()), Some(expires));
    Ok(Reply::OK)
}

pub(super) fn psetex(data: &mut Data, args: Args<'_>) -> Outcome {
    let expires = deadline("psetex", args.integer(1)?, 1)?;
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
    let value = get(data, args)?;
    let expires = match (args.len(), args.option(1).as_str()) {
        (1, _) => return Ok(value),
        (2, "PERSIST") => None,
        (3, option) => Some(expiry_option("getex", option, args, 2)?),
        _ => return Err(SYNTAX.to_owned()),
    };
    if let Some(entry) = data.entry(args.at(0)) {
        entry.expires = expires;
    }
    Ok(value)
}

pub(super) fn mget(data: &mut Data, args: Args<'_>) -> Outcome {
    // A key of another type counts as absent here.
    let value = |key: &[u8]| bulk_or_nil(data.get::<Bytes>(key).ok().flatten().as_deref());
    Ok(Reply::Array(args.iter().map(value).collect()))
}

pub(super) fn mset(data: &mut Data, args: Args<'_>) -> Outcome {
    let pairs = args.pairs().ok_or("ERR wrong number of arguments for 'mset' command")?;
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
    Ok(value.map_or_else(|| Reply::bulk(""), |value| Reply::bulk(&value[span(value.len(), start, stop)])))
}

pub(super) fn setrange(data: &mut Data, args: Args<'_>) -> Outcome {
    let offset = usize::try_from(args.integer(1)?).map_err(|_| "ERR offset is out of range".to_owned())?;
    let end = offset.saturating_add(args.at(2).len());
    fits(end)?;
    if args.at(2).is_empty() {
        return strlen(data, args);
    }
    data.update(args.at(0), |value: &mut Bytes| {
        value.resize(value.len().max(end), 0);
        value[offset..end].copy_from_slice(args.at(2));
        Ok(count(value.len()))
    })
}

fn fits(len: usize) -> Result<(), String> {
    if len > LONGEST {
        return Err("ERR string exceeds maximum allowed size (proto-max-bulk-len)".to_owned());
    }
    Ok(())
}

pub(super) fn incr(data: &mut Data, args: Args<'_>) -> Outcome {
    add(data, args.at(0), 1)
}

pub(super) fn decr(data: &mut Data, args: Args<'_>) -> Outcome {
    add(data, args.at(0), -1)
}

pub(super) fn incrby(data: &mut Data, args: Args<'_>) -> Outcome {
    add(data, args.at(0), args.integer(1)?)
}

pub(super) fn decrby(data: &mut Data, args: Args<'_>) -> Outcome {
    let by = args.integer(1)?.checked_neg().ok_or("ERR decrement would overflow")?;
    add(data, args.at(0), by)
}

fn add(data: &mut Data, key: &[u8], by: i64) -> Outcome {
    data.update(key, |value: &mut Bytes| added(value, by))
}

/// Adds to a number kept as text; an empty text is a number that is not there yet.
pub(super) fn added(value: &mut Bytes, by: i64) -> Outcome {
    let number = if value.is_empty() { Some(0) } else { integer(value) };
    let sum = number.ok_or(NOT_AN_INTEGER)?.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
    *value = sum.to_string().into_bytes();
    Ok(Reply::Int(sum))
}

pub(super) fn incrbyfloat(data: &mut Data, args: Args<'_>) -> Outcome {
    let by = float(args.at(1)).ok_or("ERR value is not a valid float")?;
    data.update(args.at(0), |value: &mut Bytes| added_float(value, by))
}

pub(super) fn added_float(value: &mut Bytes, by: f64) -> Outcome {
    let number = if value.is_empty() { Some(0.0) } else { float(value) };
    let sum = number.ok_or("ERR value is not a valid float")? + by;
    if !sum.is_finite() {
        return Err("ERR increment would produce NaN or Infinity".to_owned());
    }
    *value = sum.to_string().into_bytes();
    Ok(Reply::bulk(&*value))
}
