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
