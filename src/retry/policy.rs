//! How failed token requests are repeated: a setting.

use crate::{config_check, error::Error};
use std::time::Duration;

/// How failed token requests are repeated.
///
/// Delays grow exponentially from `delay` to `max_delay` with full jitter (each is drawn between zero and its bound); a
/// `Retry-After` of the identity provider that asks for more wins. When `max_attempts` are spent, `connect` reports the
/// error; a running service goes on trying, for ever, at the longest delay. A delay never exceeds a quarter of the last
/// token's lifetime (nor is that bound ever below the minimum refresh interval), so short-lived tokens heal fast. While
/// there is no valid token any more and the failures are [transient](crate::Error::is_transient), a request is made
/// each minimum refresh interval, give or take a quarter, so that service is back as soon as the identity provider is.
///
/// Whatever these settings are, no token is asked for more often than ten times at once and then once a second on
/// average (or once each minimum refresh interval, if that is shorter), nor twice within 10 ms. Where a token takes
/// several requests, as with Azure Arc's challenge, that many are sent each time.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct RetryPolicy {
    pub(crate) max_attempts: u32,
    pub(crate) delay: Duration,
    pub(crate) max_delay: Duration,
    pub(crate) multiplier: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { max_attempts: 5, delay: Duration::from_millis(500), max_delay: Duration::from_secs(30), multiplier: 2.0 }
    }
}

impl RetryPolicy {
    /// The default policy: 5 attempts, 500 ms doubling up to 30 s.
    pub fn new() -> Self {
        Self::default()
    }

    /// Attempts before `connect` reports the error; at least 1, default 5. One that will not pass by itself is reported
    /// at once.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Bound of the first delay; default 500 ms.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Bound that no delay exceeds, save one asked for by `Retry-After` or for the rate above; default 30 s.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Factor from one bound to the next; at least 1, default 2.
    pub fn multiplier(mut self, factor: f64) -> Self {
        self.multiplier = factor;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        if self.max_attempts == 0 {
            return Err(Error::config("retry_policy.max_attempts", "must be at least 1"));
        }
        config_check::positive("retry_policy.delay", self.delay)?;
        config_check::positive("retry_policy.max_delay", self.max_delay)?;
        if self.max_delay < self.delay {
            return Err(Error::config("retry_policy.max_delay", "must not be below `delay`"));
        }
        // The upper end keeps the arithmetic of intervals finite.
        if !(1.0..=1000.0).contains(&self.multiplier) {
            return Err(Error::config("retry_policy.multiplier", "must be between 1 and 1000"));
        }
        Ok(())
    }
}
