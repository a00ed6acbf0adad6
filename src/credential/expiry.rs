//! When a token expires, in all the forms that Azure's endpoints and tools have been seen to say it.

use crate::token::wall_time;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// Forms with an offset from UTC, beside RFC 3339.
const WITH_OFFSET: [&str; 2] = ["%m/%d/%Y %I:%M:%S %p %:z", "%m/%d/%Y %H:%M:%S %:z"];

/// Forms without one, beside `2017-11-30 23:59:59`.
const WITHOUT_OFFSET: [&str; 2] = ["%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S"];

/// The moment that a field such as `expires_on` names; none if it names none. Without an offset, UTC is meant.
pub(super) fn moment(value: &Value) -> Option<SystemTime> {
    match value {
        Value::Number(number) => number.as_f64().and_then(wall_time),
        Value::String(text) => moment_in(text),
        _ => None,
    }
}

fn moment_in(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return wall_time(seconds);
    }
    let with_offset = || WITH_OFFSET.iter().find_map(|form| Timestamp::strptime(form, text).ok());
    let exact = text.parse().ok().or_else(with_offset);
    let timestamp = exact.or_else(|| TimeZone::UTC.to_timestamp(civil(text)?).ok())?;
    SystemTime::try_from(timestamp).ok()
}

/// The moment that a date and time of this machine's own time zone names.
pub(super) fn local_moment(text: &str) -> Option<SystemTime> {
    in_zone(text, &TimeZone::system())
}

fn in_zone(text: &str, zone: &TimeZone) -> Option<SystemTime> {
    let timestamp = zone.to_timestamp(civil(text.trim())?).ok()?;
    SystemTime::try_from(timestamp).ok()
}

fn civil(text: &str) -> Option<DateTime> {
    let american = || WITHOUT_OFFSET.iter().find_map(|form| DateTime::strptime(form, text).ok());
    text.parse().ok().or_else(american)
}

/// The time that a field such as `expires_in` names, in seconds; none if it names none, or if it is `""`.
pub(super) fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests;
