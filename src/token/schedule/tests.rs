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
