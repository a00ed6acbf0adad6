//! What is counted of a command whose end no link sees: how long it took, and how it ended.

use super::core::Core;
use crate::{
    command::Operation,
    error::Error,
    observe::metrics::{Failure, Stopwatch},
};
use redis::{RedisError, RedisResult, Value};

/// Counts a command that failed with this error.
pub(super) fn failed(core: &Core, error: Error) -> RedisError {
    core.admission.note_failure(&error);
    error.into()
}

/// Counts a command that was not sent, although it had a link: it has not waited in vain for one.
pub(super) fn failed_with_link(core: &Core, error: Error) -> RedisError {
    core.admission.note_failure(&error);
    error.not_run().into()
}

/// What records how long something took, also if its caller gives it up.
pub(super) struct Record<'a> {
    core: &'a Core,
    operation: Operation,
    stopwatch: Stopwatch,
}

impl<'a> Record<'a> {
    pub(super) fn of(core: &'a Core, operation: Operation) -> Self {
        let mut stopwatch = Stopwatch::default();
        stopwatch.start();
        Self { core, operation, stopwatch }
    }

    /// Records nothing.
    pub(super) fn discard(&mut self) {
        self.stopwatch.stop();
    }

    pub(super) fn end(&mut self, result: &RedisResult<Value>) {
        self.end_with(result.as_ref().map(std::slice::from_ref));
    }

    /// Of several replies, the first one that is an error counts.
    pub(super) fn end_with(&mut self, result: Result<&[Value], &RedisError>) {
        self.record(match result {
            Ok(replies) => replies.iter().find_map(|reply| match reply {
                Value::ServerError(error) => Some(Failure::of_answer(error)),
                _ => None,
            }),
            Err(error) => Some(Failure::of_error(error)),
        });
    }

    fn record(&mut self, failure: Option<Failure>) {
        if let Some(took) = self.stopwatch.stop() {
            self.core.operations.record(self.operation, took, failure);
        }
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.record(Some(Failure::CANCELLED));
    }
}
