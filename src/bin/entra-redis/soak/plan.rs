//! What all tasks of a run share: how long it takes, what its keys are called, and what has happened so far.

use super::{Options, counts::Counts, tally::Tally};
use redis::RedisResult;
use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::sleep};

/// Keys vanish by themselves after a run, but not within one.
const KEPT_SECONDS: u64 = 600;

/// After an error a task waits for so long: with no token, commands fail at once, and it would use a whole core.
pub(super) const RETRY_DELAY: Duration = Duration::from_millis(10);

pub(super) struct Plan {
    pub(super) tally: Tally,
    pub(super) counts: Counts,
    seconds: u64,
    /// Set when there is a connection.
    end: OnceLock<Instant>,
    /// Set when somebody wants an earlier end.
    stop: watch::Sender<bool>,
    pub(super) chaos: bool,
    recovery: Duration,
    pub(super) value_size: usize,
    /// Keeps the keys of this run apart from those of all others.
    pub(super) run: u64,
    pub(super) expiry_seconds: u64,
}

/// A moment until which something is tried again.
#[derive(Clone, Copy)]
pub(super) struct Limit(Instant);

impl Limit {
    pub(super) fn has_passed(self) -> bool {
        Instant::now() >= self.0
    }
}

impl Plan {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            tally: Tally::new(options.chaos),
            counts: Counts::default(),
            seconds: options.seconds,
            end: OnceLock::new(),
            stop: watch::Sender::new(false),
            chaos: options.chaos,
            recovery: Duration::from_secs(options.recovery),
            value_size: options.value_size,
            run: fastrand::u64(..),
            expiry_seconds: options.seconds.saturating_add(KEPT_SECONDS),
        }
    }

    /// The time of the run begins.
    pub(super) fn begin(&self) {
        self.end.get_or_init(|| Instant::now() + Duration::from_secs(self.seconds));
    }

    /// Ends the run before its time.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    pub(super) fn is_over(&self) -> bool {
        *self.stop.borrow() || self.end.get().is_some_and(|end| Instant::now() >= *end)
    }

    /// Waits for an end before its time.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.subscribe();
        async move { _ = stop.wait_for(|stop| *stop).await }
    }

    /// How long it may take from now on until everything works.
    pub(super) fn recovers_until(&self) -> Limit {
        Limit(Instant::now() + self.recovery)
    }

    /// Tries a command until it succeeds, with each of its errors noted; none if that takes too long.
    pub(super) async fn at_last<T, F>(&self, mut command: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let limit = self.recovers_until();
        loop {
            match self.tally.noted(command().await) {
                Ok(value) => return Some(value),
                Err(_) if limit.has_passed() => return None,
                Err(_) => sleep(RETRY_DELAY).await,
            }
        }
    }
}
