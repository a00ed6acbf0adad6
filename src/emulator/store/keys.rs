//! Keys, whatever they hold.

use super::{
    args::{Args, NOT_AN_INTEGER, Outcome, Problem, SYNTAX, sign},
    data::{Bytes, Data, Value, count, count_of},
    glob,
};
use crate::emulator::{
    hello::c_string,
    resp::{Reply, decimal},
};
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many keys a step of `SCAN` looks at, unless it is told.
const SCAN_COUNT: usize = 10;

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
        Value::Stream(_) => "stream",
    }
}

pub(super) fn key_type(data: &mut Data, args: Args<'_>) -> Outcome {
    Ok(Reply::Simple(data.entry(args.at(0)).map_or("none", |entry| type_name(&entry.value))))
}

pub(super) fn rename(data: &mut Data, args: Args<'_>) -> Outcome {
    if args.at(0) == args.at(1) && data.exists(args.at(0)) {
        return Ok(Reply::OK);
    }
    let entry = data.remove(args.at(0)).ok_or("ERR no such key")?;
    data.put(args.at(1), entry.value, entry.expires);
    Ok(Reply::OK)
}

pub(super) fn dbsize(data: &mut Data, _: Args<'_>) -> Outcome {
    Ok(count(data.keys().len()))
}

pub(super) fn flush(data: &mut Data, args: Args<'_>) -> Outcome {
    match (args.len(), args.option(0).as_str()) {
        (0, _) | (1, "ASYNC" | "SYNC") => data.clear(),
        _ => return Err(SYNTAX.into()),
    }
    Ok(Reply::OK)
}

/// Whether the key matches; a lone star is no pattern but stands for all keys, the empty one too.
fn wanted(pattern: &[u8], key: &[u8]) -> bool {
    pattern == b"*" || glob::matches(pattern, key)
}

pub(super) fn keys(data: &mut Data, args: Args<'_>) -> Outcome {
    let matching = data.keys().into_iter().filter(|key| wanted(args.at(0), key));
    Ok(Reply::Array(matching.map(Reply::Bulk).collect()))
}

/// `SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]`: a step through the keys in the order of their hashes.
///
/// The cursor is the hash where the next step begins, so that a key that is there all the time comes once.
pub(super) fn scan(data: &mut Data, args: Args<'_>) -> Outcome {
    let cursor = cursor(args.at(0)).ok_or("ERR invalid cursor")?;
    let (mut pattern, mut step, mut kind): (&[u8], _, _) = (b"*", SCAN_COUNT, None);
    let mut at = 1;
    while at < args.len() {
        match args.option(at).as_str() {
            _ if at + 1 == args.len() => return Err(SYNTAX.into()),
            "MATCH" => pattern = args.at(at + 1),
            "COUNT" => step = scan_count(args.at(at + 1))?,
            "TYPE" => kind = Some(args.option(at + 1).to_ascii_lowercase()),
            _ => return Err(SYNTAX.into()),
        }
        at += 2;
    }
    let mut ahead: Vec<_> = data.keys().into_iter().map(|key| (hash(&key), key)).collect();
    ahead.retain(|(hash, _)| *hash >= cursor);
    ahead.sort_unstable();
    // Keys with the same hash go together: no cursor leads between them.
    let next = ahead.get(step).map(|(hash, _)| *hash).filter(|next| ahead[0].0 < *next);
    ahead.retain(|(hash, _)| next.is_none_or(|next| *hash < next));
    let of_kind = |key: &Bytes| {
        let held = data.entry(key).map(|entry| type_name(&entry.value));
        kind.as_deref().is_none_or(|kind| Some(kind) == held)
    };
    let keys = ahead.into_iter().map(|(_, key)| key).filter(|key| wanted(pattern, key));
    let found = keys.filter(of_kind).map(Reply::Bulk).collect();
    Ok(Reply::Array(vec![Reply::bulk(next.unwrap_or(0).to_string()), Reply::Array(found)]))
}

fn scan_count(text: &[u8]) -> Result<usize, Problem> {
    let count = decimal(text).ok_or(NOT_AN_INTEGER)?;
    usize::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| SYNTAX.into())
}

/// Never zero, which is the beginning's cursor and the end's.
fn hash(key: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish().max(1)
}

/// As C's `strtoul` reads it: with a sign, and nothing is zero.
fn cursor(text: &[u8]) -> Option<u64> {
    let text = c_string(text);
    let (negative, digits) = sign(text);
    if text.is_empty() {
        return Some(0);
    }
    let digits = str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let number: u64 = digits.parse().ok()?;
    Some(if negative { number.wrapping_neg() } else { number })
}
