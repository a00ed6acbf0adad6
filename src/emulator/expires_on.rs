//! The forms in which Azure's endpoints have been seen to say when a token expires.

use jiff::Timestamp;
use serde_json::{Value, json};

/// How the endpoints for managed identities say when a token expires, in `expires_on`.
///
/// With any but [`AsDocumented`](Self::AsDocumented), answers that have an `expires_in` too give it as the empty
/// string, so that a client has to read `expires_on`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExpiresOn {
    /// As Azure's documentation has it for each endpoint: seconds since 1970 in a string, in Service Fabric as a
    /// number.
    #[default]
    AsDocumented,
    /// `"1586984735"`
    EpochString,
    /// `1586984735`
    EpochNumber,
    /// `"2020-04-15T21:05:35Z"`
    Rfc3339,
    /// `"2020-04-15 21:05:35"`
    DateTime,
    /// `"04/15/2020 21:05:35"`
    UsDateTime,
    /// `"04/15/2020 21:05:35 +00:00"`
    UsDateTimeWithOffset,
    /// `"4/15/2020 9:05:35 PM +00:00"`
    UsTwelveHour,
}

impl ExpiresOn {
    /// This moment, in seconds since 1970, as `expires_on` gives it.
    pub(super) fn value(self, epoch: u64) -> Value {
        let format = match self {
            Self::AsDocumented | Self::EpochString => return json!(epoch.to_string()),
            Self::EpochNumber => return json!(epoch),
            Self::Rfc3339 => "%Y-%m-%dT%H:%M:%SZ",
            Self::DateTime => "%Y-%m-%d %H:%M:%S",
            Self::UsDateTime => "%m/%d/%Y %H:%M:%S",
            Self::UsDateTimeWithOffset => "%m/%d/%Y %H:%M:%S +00:00",
            Self::UsTwelveHour => "%-m/%-d/%Y %-I:%M:%S %p +00:00",
        };
        // A date that is too far away to be written ends with the last that is not.
        let moment = i64::try_from(epoch).ok().and_then(|second| Timestamp::from_second(second).ok());
        json!(moment.unwrap_or(Timestamp::MAX).strftime(format).to_string())
    }

    /// What `expires_in` says where there is one.
    pub(super) fn lifetime(self, seconds: u64) -> String {
        if self == Self::AsDocumented { seconds.to_string() } else { String::new() }
    }
}

#[cfg(test)]
mod tests;
