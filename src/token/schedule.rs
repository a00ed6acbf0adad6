//! When to renew a token, and how often to ask for one: arithmetic, without a clock or I/O of its own.

use super::{AccessToken, TokenManagerConfig};
use std::time::Duration;
use tokio::time::Instant;

impl TokenManagerConfig {
    /// How long after its receipt a token is renewed, if nothing goes wrong.
    ///
    /// Settings that `connect` would refuse count as the defaults.
    #[must_use]
    pub fn refresh_after(&self, token: &AccessToken) -> Duration {
        let defaults;
        let config = if self.validate().is_ok() {
            self
        } else {
            defaults = Self::default();
            &defaults
        };
        delay(token.lifetime(), Duration::ZERO, floor(0, config), config)
    }
}

/// The bound of the interval between requests that keep returning the same token.
const LONGEST_UNCHANGED_INTERVAL: Duration = Duration::from_secs(30);

/// How long after its receipt a token that lives for `lifetime` is renewed: after `ratio` of its life or `lower bound`
/// before its end, whichever is earlier. Zero for a token that lives no longer than the lower bound.
pub(super) fn renew_at_age(lifetime: Duration, config: &TokenManagerConfig) -> Duration {
    let by_ratio = lifetime.mul_f64(config.expiration_refresh_ratio);
    let time_for_the_request = config.token_request_execution_timeout.min(lifetime / 10);
    let by_bound = lifetime.saturating_sub(config.lower_refresh_bound.max(time_for_the_request));
    by_ratio.min(by_bound)
}

/// How long to wait from now for a token of this age, never less than `floor`.
pub(super) fn delay(lifetime: Duration, age: Duration, floor: Duration, config: &TokenManagerConfig) -> Duration {
    renew_at_age(lifetime, config).saturating_sub(age).max(floor)
}

/// The least interval between requests after the same token came back `unchanged` times in a row.
pub(super) fn floor(unchanged: u32, config: &TokenManagerConfig) -> Duration {
    let base = config.min_refresh_interval;
    base.saturating_mul(1_u32.checked_shl(unchanged).unwrap_or(u32::MAX)).min(LONGEST_UNCHANGED_INTERVAL.max(base))
}

/// The longest delay between failing requests: what the policy says, but never more than a quarter of the last token's
/// life, so that tokens of seconds heal in seconds, and never less than the floor, so that they do not make a hot loop.
pub(super) fn retry_bound(lifetime: Option<Duration>, config: &TokenManagerConfig) -> Duration {
    let policy = config.retry_policy.max_delay;
    lifetime.map_or(policy, |life| policy.min((life / 4).max(config.min_refresh_interval)))
}

/// However short-lived tokens are, a request for one is given this long.
pub(super) const SHORTEST_REQUEST: Duration = Duration::from_secs(1);

/// How long one request may take: what the settings say, but no more than a quarter of the last token's life, so that a
/// request that hangs does not outlive tokens of seconds by far.
pub(super) fn request_limit(lifetime: Option<Duration>, config: &TokenManagerConfig) -> Duration {
    let configured = config.token_request_execution_timeout;
    lifetime.map_or(configured, |life| configured.min((life / 4).max(SHORTEST_REQUEST)))
}

/// Requests that may follow each other faster than the long-term rate.
const BURST: u32 = 10;

/// The long-term rate of requests: one in this time, or in the minimum refresh interval if that is shorter.
const STEP: Duration = Duration::from_secs(1);

/// The requests that an identity provider has to bear, whatever goes wrong and whatever the settings: no more than
/// [`BURST`] and one for each step of time that passes.
#[derive(Debug)]
pub(super) struct Budget {
    step: Duration,
    /// When all of the burst is there again.
    full_at: Instant,
}

impl Budget {
    pub(super) fn new(config: &TokenManagerConfig, now: Instant) -> Self {
        Self { step: STEP.min(config.min_refresh_interval), full_at: now }
    }

    /// How long the next request has to wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.full_at.saturating_duration_since(now).saturating_sub(self.step * (BURST - 1))
    }

    /// Notes a request.
    pub(super) fn spend(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.step;
    }
}

#[cfg(test)]
mod tests;
