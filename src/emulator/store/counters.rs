//! Numbers that are kept as texts.

use super::{
    args::{Args, NOT_A_FLOAT, NOT_AN_INTEGER, Outcome, Problem},
    data::{Bytes, Data, Value},
    long_double::LongDouble,
};
use crate::emulator::resp::{Reply, decimal};

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
    change(data, key, |value| added(value, by, NOT_AN_INTEGER))
}

pub(super) fn incrbyfloat(data: &mut Data, args: Args<'_>) -> Outcome {
    change(data, args.at(0), |value| {
        // What the key holds is looked at before the argument is.
        float_of(value.as_ref(), NOT_A_FLOAT)?;
        added_float(value, args.float(1)?, NOT_A_FLOAT)
    })
}

/// Changes the key's value, which is none before it is there: an empty text is no number.
fn change(data: &mut Data, key: &[u8], change: impl FnOnce(&mut Option<Bytes>) -> Outcome) -> Outcome {
    let mut value = data.get::<Bytes>(key)?.cloned();
    let reply = change(&mut value)?;
    let expires = data.entry(key).and_then(|entry| entry.expires);
    data.put(key, Value::String(value.unwrap_or_default()), expires);
    Ok(reply)
}

/// Adds to a number; `no_number` is what is said of a text that is none.
pub(super) fn added(value: &mut Option<Bytes>, by: i64, no_number: &str) -> Outcome {
    let number = value.as_ref().map_or(Some(0), |text| decimal(text)).ok_or(no_number)?;
    let sum = number.checked_add(by).ok_or("ERR increment or decrement would overflow")?;
    *value = Some(sum.to_string().into_bytes());
    Ok(Reply::Int(sum))
}

pub(super) fn added_float(value: &mut Option<Bytes>, by: LongDouble, no_number: &str) -> Outcome {
    let sum = float_of(value.as_ref(), no_number)?.plus(by).filter(|sum| sum.is_finite());
    let text = sum.ok_or("ERR increment would produce NaN or Infinity")?.text();
    *value = Some(text.clone().into_bytes());
    Ok(Reply::bulk(text))
}

fn float_of(value: Option<&Bytes>, no_number: &str) -> Result<LongDouble, Problem> {
    let number = value.map_or(Some(LongDouble::ZERO), |text| LongDouble::parse(text));
    number.ok_or_else(|| no_number.into())
}
