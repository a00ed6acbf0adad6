use super::*;
use std::time::Duration;

fn delays(n: usize) -> Vec<Duration> {
    let mut backoff = Backoff::new(&RetryPolicy::new());
    (0..n).map(|_| backoff.next_delay()).collect()
}

#[test]
fn delays_grow_exponentially_to_the_maximum_with_full_jitter() {
    let runs: Vec<_> = (0..400).map(|_| delays(9)).collect();
    for (i, bound_ms) in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000].into_iter().enumerate() {
        let column: Vec<_> = runs.iter().map(|run| run[i].as_millis()).collect();
        let (min, max) = (column.iter().min().unwrap(), column.iter().max().unwrap());
        assert!(*max <= bound_ms, "delay {i}: {max} ms over its bound {bound_ms}");
        assert!(*max > bound_ms * 8 / 10, "delay {i} never comes near {bound_ms} ms");
        assert!(*min < bound_ms * 2 / 10, "delay {i} is not jittered: min {min} ms");
    }
}

#[test]
fn reset_starts_over() {
    let mut backoff = Backoff::new(&RetryPolicy::new());
    (0..10).for_each(|_| _ = backoff.next_delay());
    backoff.reset();
    assert!(backoff.next_delay() <= Duration::from_millis(500));
}

#[test]
fn nonsense_is_refused() {
    let bad = [
        RetryPolicy::new().max_attempts(0),
        RetryPolicy::new().delay(Duration::ZERO),
        RetryPolicy::new().max_delay(Duration::from_millis(1)),
        RetryPolicy::new().multiplier(f64::NAN),
        RetryPolicy::new().multiplier(0.5),
    ];
    for policy in bad {
        let error = policy.validate().unwrap_err().to_string();
        assert!(error.contains("retry_policy."), "{error}");
    }
}
