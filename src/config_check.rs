//! Checks that several settings share, so that they fail with the same words.

use crate::error::Error;
use std::time::Duration;

/// The longest duration a setting accepts: beyond it, adding to a clock may overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) fn positive(setting: &str, value: Duration) -> Result<(), Error> {
    if value.is_zero() {
        return Err(Error::config(setting, "must be longer than zero"));
    }
    bounded(setting, value)
}

pub(crate) fn bounded(setting: &str, value: Duration) -> Result<(), Error> {
    if value > LONGEST {
        return Err(Error::config(setting, "must not be longer than a year"));
    }
    Ok(())
}
