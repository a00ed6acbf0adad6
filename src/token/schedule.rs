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
mod tests {
    use super::*;
    use crate::retry::RetryPolicy;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    fn config(ratio: f64, bound: Duration) -> TokenManagerConfig {
        TokenManagerConfig::new().expiration_refresh_ratio(ratio).lower_refresh_bound(bound)
    }

    #[test]
    fn lifetime_at_or_below_the_lower_bound_means_now_but_never_hot() {
        for lifetime in [MINUTE, 3 * MINUTE] {
            let config = config(0.7, 3 * MINUTE);
            assert_eq!(renew_at_age(lifetime, &config), Duration::ZERO);
            assert_eq!(delay(lifetime, Duration::ZERO, floor(0, &config), &config), SECOND);
        }
    }

    #[test]
    fn the_plan_for_a_token_can_be_asked_for() {
        let token = |life| AccessToken::opaque("t", life, "me").unwrap();
        assert_eq!(config(0.5, MINUTE).refresh_after(&token(HOUR)), HOUR / 2);
        assert_eq!(config(0.5, MINUTE).refresh_after(&token(MINUTE)), SECOND);
        // Nonsense neither panics nor makes a plan of its own.
        assert_eq!(config(f64::NAN, MINUTE).refresh_after(&token(HOUR)), HOUR.mul_f64(0.7));
    }

    #[test]
    fn ratio_or_lower_bound_whichever_is_earlier() {
        let wait = |bound| delay(2 * HOUR, HOUR, SECOND, &config(0.75, bound));
        assert_eq!(wait(Duration::ZERO), 30 * MINUTE);
        assert_eq!(wait(45 * MINUTE), 15 * MINUTE);
        assert_eq!(delay(HOUR, Duration::ZERO, SECOND, &config(1.0, 10 * MINUTE)), 50 * MINUTE);
    }

    #[test]
    fn some_life_is_left_for_the_request_whatever_the_settings() {
        assert_eq!(renew_at_age(HOUR, &config(1.0, Duration::ZERO)), 3590 * SECOND);
        assert_eq!(renew_at_age(10 * SECOND, &config(1.0, Duration::ZERO)), 9 * SECOND);
        let quick = config(1.0, Duration::ZERO).token_request_execution_timeout(2 * SECOND);
        assert_eq!(renew_at_age(HOUR, &quick), 3598 * SECOND);
        // Who allows it more time, leaves it more time.
        let slow = config(1.0, Duration::ZERO).token_request_execution_timeout(MINUTE);
        assert_eq!(renew_at_age(HOUR, &slow), 59 * MINUTE);
    }

    #[test]
    fn overdue_tokens_wait_for_the_floor_only() {
        assert_eq!(delay(HOUR, 2 * HOUR, SECOND, &config(0.7, MINUTE)), SECOND);
        assert_eq!(delay(Duration::ZERO, Duration::ZERO, SECOND, &config(1.0, Duration::ZERO)), SECOND);
    }

    #[test]
    fn a_year_does_not_overflow() {
        let year = Duration::from_secs(366 * 24 * 3600);
        let wait = delay(10 * year, Duration::ZERO, SECOND, &config(1.0, Duration::ZERO));
        assert_eq!(wait + 10 * SECOND, 10 * year);
    }

    #[test]
    fn the_floor_grows_while_the_token_comes_back_unchanged() {
        let config = TokenManagerConfig::new();
        let floors: Vec<_> = (0..8).map(|n| floor(n, &config).as_secs()).collect();
        assert_eq!(floors, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(floor(u32::MAX, &config).as_secs(), 30);
        let slow = config.min_refresh_interval(MINUTE);
        assert_eq!(floor(3, &slow), MINUTE);
    }

    #[test]
    fn requests_are_bounded_by_the_lifetime() {
        let config = TokenManagerConfig::new();
        assert_eq!(request_limit(None, &config), 10 * SECOND);
        assert_eq!(request_limit(Some(HOUR), &config), 10 * SECOND);
        assert_eq!(request_limit(Some(20 * SECOND), &config), 5 * SECOND);
        assert_eq!(request_limit(Some(2 * SECOND), &config), SECOND);
        let quick = config.token_request_execution_timeout(SECOND / 2);
        assert_eq!(request_limit(Some(2 * SECOND), &quick), SECOND / 2);
    }

    #[test]
    fn retries_are_bounded_by_the_lifetime() {
        let config = TokenManagerConfig::new().retry_policy(RetryPolicy::new().max_delay(Duration::from_secs(30)));
        assert_eq!(retry_bound(None, &config), 30 * SECOND);
        assert_eq!(retry_bound(Some(HOUR), &config), 30 * SECOND);
        assert_eq!(retry_bound(Some(MINUTE), &config), 15 * SECOND);
        assert_eq!(retry_bound(Some(2 * SECOND), &config), SECOND);
    }

    #[test]
    fn the_budget_is_a_burst_and_then_one_each_second() {
        let start = Instant::now();
        let mut budget = Budget::new(&TokenManagerConfig::new(), start);
        for _ in 0..10 {
            assert_eq!(budget.wait(start), Duration::ZERO);
            budget.spend(start);
        }
        assert_eq!(budget.wait(start), SECOND);
        assert_eq!(budget.wait(start + SECOND), Duration::ZERO);
        budget.spend(start + SECOND);
        assert_eq!(budget.wait(start + SECOND), SECOND);
        // What is not spent is saved, up to the burst.
        for _ in 0..10 {
            assert_eq!(budget.wait(start + HOUR), Duration::ZERO);
            budget.spend(start + HOUR);
        }
        assert_eq!(budget.wait(start + HOUR), SECOND);
        let quick = TokenManagerConfig::new().min_refresh_interval(SECOND / 10);
        let mut budget = Budget::new(&quick, start);
        (0..10).for_each(|_| budget.spend(start));
        assert_eq!(budget.wait(start), SECOND / 10);
    }
}
