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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::time::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_documented_examples() {
        for (value, seconds) in [
            (json!("1506484173"), 1_506_484_173),
            (json!(1_506_484_173), 1_506_484_173),
            (json!("2017-09-27T03:49:33Z"), 1_506_484_173),
            (json!("2017-09-27T05:49:33+02:00"), 1_506_484_173),
            (json!("2017-09-27 03:49:33"), 1_506_484_173),
            (json!("09/27/2017 03:49:33"), 1_506_484_173),
            (json!("1/16/2020 5:24:12 AM +00:00"), 1_579_152_252),
            (json!("1/16/2020 12:24:12 AM +00:00"), 1_579_134_252),
            (json!("06/19/2019 23:42:01 +00:00"), 1_560_987_721),
            (json!(" 1506484173\n"), 1_506_484_173),
        ] {
            assert_eq!(moment(&value), Some(at(seconds)), "{value}");
        }
        for nothing in
            [json!(""), json!(null), json!("soon"), json!("NaN"), json!("1e400"), json!([1]), json!("13/45/2020 1:2:3")]
        {
            assert_eq!(moment(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn seconds_come_as_numbers_or_strings() {
        for value in [json!(3599), json!("3599"), json!(" 3599 "), json!(3599.0)] {
            assert_eq!(seconds(&value), Some(Duration::from_secs(3599)));
        }
        for nothing in [json!(""), json!(null), json!(-5), json!("inf"), json!("1e300"), json!({})] {
            assert_eq!(seconds(&nothing), None, "{nothing}");
        }
    }

    #[test]
    fn local_times_are_of_the_local_zone() {
        let berlin_in_summer = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(in_zone("2017-09-27 05:49:33.000000", &berlin_in_summer), Some(at(1_506_484_173)));
        assert_eq!(in_zone("nonsense", &berlin_in_summer), None);
    }

    proptest! {
        /// Every form of every second until the year 2100 is read as that second.
        #[test]
        fn every_form_is_read_back(seconds in 0_u32..4_102_444_800_u32, hours in -12_i8..=14) {
            let expected = Some(at(seconds.into()));
            let utc = Timestamp::from_second(seconds.into()).unwrap();
            let there = utc.to_zoned_datetime(TimeZone::fixed(jiff::tz::offset(hours)));
            let form = |format: &str| utc.strftime(format).to_string();
            let local = |format: &str| there.strftime(format).to_string();
            for text in [
                seconds.to_string(),
                utc.to_string(),
                form("%Y-%m-%d %H:%M:%S"),
                form("%m/%d/%Y %H:%M:%S"),
                form("%-m/%-d/%Y %-I:%M:%S %p +00:00"),
                form("%m/%d/%Y %H:%M:%S +00:00"),
                local("%Y-%m-%dT%H:%M:%S%:z"),
                local("%-m/%-d/%Y %-I:%M:%S %p %:z"),
                local("%m/%d/%Y %H:%M:%S %:z"),
            ] {
                prop_assert_eq!(moment(&json!(text)), expected, "{}", text);
            }
            prop_assert_eq!(moment(&json!(seconds)), expected);
            let zone = TimeZone::fixed(jiff::tz::offset(hours));
            prop_assert_eq!(in_zone(&local("%Y-%m-%d %H:%M:%S.000000"), &zone), expected);
        }

        /// Whatever an endpoint says, nothing panics.
        #[test]
        fn nothing_panics(text in any::<String>(), date in "[0-9/: TZAPMapm+.eE-]{0,40}", number in any::<f64>()) {
            for value in [json!(text), json!(date), json!(number)] {
                _ = moment(&value);
                _ = seconds(&value);
            }
            _ = local_moment(&text);
            _ = local_moment(&date);
        }
    }
}
