//! Growing delays with jitter, of token requests, dials and commands: the one place that knows the `backoff` crate.

use super::RetryPolicy;
use backoff::{SystemClock, backoff::Backoff as _, exponential::ExponentialBackoff};
use std::time::Duration;

/// The delays of one run of failures.
#[derive(Debug)]
pub(crate) struct Backoff(ExponentialBackoff<SystemClock>);

impl Backoff {
    pub(crate) fn new(policy: &RetryPolicy) -> Self {
        // backoff draws from interval ± interval · factor: half the bound with factor 1 is full jitter, 0 to the bound.
        Self(ExponentialBackoff {
            current_interval: policy.delay / 2,
            initial_interval: policy.delay / 2,
            randomization_factor: 1.0,
            multiplier: policy.multiplier,
            max_interval: policy.max_delay / 2,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }

    pub(crate) fn next_delay(&mut self) -> Duration {
        // `None` is impossible without a maximum elapsed time; the longest bound is then the careful answer.
        self.0.next_backoff().unwrap_or_else(|| self.0.max_interval * 2)
    }

    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }
}
