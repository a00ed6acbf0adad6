use super::*;

#[test]
fn every_form_is_written_as_it_has_been_seen() {
    for (format, epoch, value) in [
        (ExpiresOn::AsDocumented, 1_586_984_735, json!("1586984735")),
        (ExpiresOn::EpochString, 1_586_984_735, json!("1586984735")),
        (ExpiresOn::EpochNumber, 1_586_984_735, json!(1_586_984_735)),
        (ExpiresOn::Rfc3339, 1_586_984_735, json!("2020-04-15T21:05:35Z")),
        (ExpiresOn::DateTime, 1_586_984_735, json!("2020-04-15 21:05:35")),
        (ExpiresOn::UsDateTime, 1_586_984_735, json!("04/15/2020 21:05:35")),
        (ExpiresOn::UsDateTimeWithOffset, 1_560_987_721, json!("06/19/2019 23:42:01 +00:00")),
        (ExpiresOn::UsTwelveHour, 1_579_152_252, json!("1/16/2020 5:24:12 AM +00:00")),
    ] {
        assert_eq!(format.value(epoch), value);
        let lifetime = if format == ExpiresOn::AsDocumented { "3599" } else { "" };
        assert_eq!(format.lifetime(3599), lifetime);
    }
}

#[test]
fn no_moment_is_too_far_away() {
    for epoch in [0, u64::MAX] {
        assert!(ExpiresOn::Rfc3339.value(epoch).is_string());
    }
}
