//! Keys, whatever they hold, and when they expire.

use super::{
    args::{Args, NOT_AN_INTEGER, Outcome, SYNTAX},
    data::{Bytes, Data, Value, count, count_of},
    glob,
};
use crate::emulator::resp::Reply;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The moment `amount` units of `unit_ms` milliseconds from now.
pub(super) fn deadline(command: &str, amount: i64, unit_ms: u64) -> Result<SystemTime, String> {
    let invalid = || format!("ERR invalid expire time in '{command}' command");
    let amount = u64::try_from(amount).ok().filter(|amount| *amount > 0).ok_or_else(invalid)?;
    let millis = amount.checked_mul(unit_ms).ok_or_else(invalid)?;
    SystemTime::now().checked_add(Duration::from_millis(millis)).ok_or_else(invalid)
}

/// The expiry that `EX`, `PX`, `EXAT` or `PXAT` and the argument after it describe.
pub(super) fn expiry_option(command: &str, option: &str, args: Args<'_>, at: usize) -> Result<SystemTime, String> {
    let unit = match option {
        "EX" | "EXAT" => 1000,
        "PX" | "PXAT" => 1,
        _ => return Err(SYNTAX.to_owned()),
    };
    if at >= args.len() {
        return Err(SYNTAX.to_owned());
    }
    let amount = args.integer(at)?;
    if option.ends_with("AT") { moment(amount, unit) } else { deadline(command, amount, unit) }
}

/// The moment `amount` units after the epoch.
fn moment(amount: i64, unit_ms: u64) -> Result<SystemTime, String> {
    let millis = u64::try_from(amount.max(0)).unwrap_or(0).checked_mul(unit_ms).ok_or(NOT_AN_INTEGER)?;
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).ok_or_else(|| NOT_AN_INTEGER.to_owned())
}

fn expire_at(data: &mut Data, key: &[u8], at: SystemTime) -> Outcome {
    let Some(entry) = data.entry(key) else {
        return Ok(Reply::Int(0));
    };
    entry.expires = Some(at);
    Ok(Reply::Int(1))
}

fn expire_in(data: &mut Data, args: Args<'_>, command: &str, unit_ms: u64) -> Outcome {
    let amount = args.integer(1)?;
    // A time that is over deletes the key.
    let at = if amount <= 0 { UNIX_EPOCH } else { deadline(command, amount, unit_ms)? };
    expire_at(data, args.at(0), at)
}

pub(super) fn expire(data: &mut Data, args: Args<'_>) -> Outcome {
    expire_in(data, args, "expire", 1000)
}

pub(super) fn pexpire(data: &mut Data, args: Args<'_>) -> Outcome {
    expire_in(data, args, "pexpire", 1)
}

pub(super) fn expireat(data: &mut Data, args: Args<'_>) -> Outcome {
    let at = moment(args.integer(1)?, 1000)?;
    expire_at(data, args.at(0), at)
}

pub(super) fn pexpireat(data: &mut Data, args: Args<'_>) -> Outcome {
    let at = moment(args.integer(1)?, 1)?;
    expire_at(data, args.at(0), at)
}

fn time_left(data: &mut Data, args: Args<'_>, in_units: fn(Duration) -> u128) -> Outcome {
    Ok(Reply::Int(match data.entry(args.at(0)).map(|entry| entry.expires) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => {
            let left = at.duration_since(SystemTime::now()).unwrap_or_default();
            i64::try_from(in_units(left)).unwrap_or(i64::MAX)
        }
    }))
}

pub(super) fn ttl(data: &mut Data, args: Args<'_>) -> Outcome {
    // Rounded to the nearest second, as in Redis.
    time_left(data, args, |left| (left.as_millis() + 500) / 1000)
}

pub(super) fn pttl(data: &mut Data, args: Args<'_>) -> Outcome {
    time_left(data, args, |left| left.as_millis())
}

pub(super) fn persist(data: &mut Data, args: Args<'_>) -> Outcome {
    let expiry = data.entry(args.at(0)).and_then(|entry| entry.expires.take());
    Ok(Reply::Int(i64::from(expiry.is_some())))
}

pub(super) fn del(data: &mut Data, args: Args<'_>) -> Outcome {
    Ok(count_of(args.iter(), |key| data.remove(key).is_some()))
}

pub(super) fn exists(data: &mut Data, args: Args<'_>) -> Outcome {
    Ok(count_of(args.iter(), |key| data.exists(key)))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Hash(_) => "hash",
        Value::List(_) => "list",
        Value::Set(_) => "set",
    }
}

pub(super) fn key_type(data: &mut Data, args: Args<'_>) -> Outcome {
    Ok(Reply::Simple(data.entry(args.at(0)).map_or("none", |entry| type_name(&entry.value))))
}

pub(super) fn rename(data: &mut Data, args: Args<'_>) -> Outcome {
    let entry = data.remove(args.at(0)).ok_or("ERR no such key")?;
    data.put(args.at(1), entry.value, entry.expires);
    Ok(Reply::OK)
}

pub(super) fn dbsize(data: &mut Data, _: Args<'_>) -> Outcome {
    Ok(count(data.keys().len()))
}

pub(super) fn flush(data: &mut Data, _: Args<'_>) -> Outcome {
    data.clear();
    Ok(Reply::OK)
}

pub(super) fn keys(data: &mut Data, args: Args<'_>) -> Outcome {
    let matching = data.keys().into_iter().filter(|key| glob::matches(args.at(0), key));
    Ok(Reply::Array(matching.map(Reply::Bulk).collect()))
}

/// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]`, in one step: that returns every key once, and exactly once.
pub(super) fn scan(data: &mut Data, args: Args<'_>) -> Outcome {
    let cursor = str::from_utf8(args.at(0)).ok().and_then(|text| text.parse::<u64>().ok());
    cursor.ok_or("ERR invalid cursor")?;
    let (mut pattern, mut wanted): (&[u8], Option<String>) = (b"*", None);
    for (option, value) in args.from(1).pairs().ok_or(SYNTAX)? {
        match option.to_ascii_uppercase().as_slice() {
            b"MATCH" => pattern = value,
            b"COUNT" => drop(super::args::integer(value).filter(|count| *count > 0).ok_or(SYNTAX)?),
            b"TYPE" => wanted = Some(String::from_utf8_lossy(value).to_ascii_lowercase()),
            _ => return Err(SYNTAX.to_owned()),
        }
    }
    let of_type = |data: &mut Data, key: &Bytes| {
        let held = data.entry(key).map(|entry| type_name(&entry.value));
        wanted.as_deref().is_none_or(|wanted| Some(wanted) == held)
    };
    let all = data.keys().into_iter().filter(|key| glob::matches(pattern, key));
    let found: Vec<_> = all.filter(|key| of_type(data, key)).map(Reply::Bulk).collect();
    Ok(Reply::Array(vec![Reply::bulk("0"), Reply::Array(found)]))
}
