//! What stands in for `metrics` without the feature of that name: nothing is measured, and nothing is passed on.

use super::{event::Event, stats::Stats};
use crate::command::Operation;
use redis::{RedisError, ServerError};
use std::{sync::Arc, time::Duration};
use tokio::{sync::broadcast::Receiver, task::JoinHandle};

/// A clock that never runs.
#[derive(Default)]
pub(crate) struct Stopwatch(());

impl Stopwatch {
    #[expect(clippy::unused_self, reason = "as the module that records")]
    pub(crate) fn start(&mut self) {}

    #[expect(clippy::unused_self, reason = "as the module that records")]
    pub(crate) fn stop(&mut self) -> Option<Duration> {
        None
    }
}

/// How a command failed, which nobody asks.
pub(crate) struct Failure;

impl Failure {
    pub(crate) const CANCELLED: Self = Self;

    pub(crate) fn of_answer(_: &ServerError) -> Self {
        Self
    }

    pub(crate) fn of_error(_: &RedisError) -> Self {
        Self
    }
}

/// Where no duration goes.
pub(crate) struct Operations;

impl Operations {
    /// For tests and benches.
    #[cfg(any(test, feature = "bench-api"))]
    pub(crate) fn unlabelled() -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "as the module that records")]
    pub(crate) fn record(&self, _: Operation, _: Duration, _: Option<Failure>) {}

    #[expect(clippy::unused_self, reason = "as the module that records")]
    pub(crate) fn record_wait(&self, _: Duration) {}
}

/// There is no task that passes figures on.
pub(crate) fn start(
    _: (&str, u16),
    _: Arc<str>,
    _: impl Fn() -> Stats + Send + 'static,
    _: Receiver<Event>,
) -> (Operations, Option<JoinHandle<()>>) {
    (Operations, None)
}
