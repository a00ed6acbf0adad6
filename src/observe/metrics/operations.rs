//! How long commands take, by what they are called and how they ended.

use crate::{
    command::Operation,
    error::{Error, ErrorKind},
};
use ::metrics::{Histogram, Label, Unit, describe_histogram, histogram};
use redis::{RedisError, ServerError};
use std::{sync::OnceLock, time::Duration};

const DURATION: &str = "db.client.operation.duration";
const WAIT_TIME: &str = "db.client.connection.wait_time";

/// What OpenTelemetry calls whatever is not among the known values: nothing that a caller or a server sends may add a
/// series.
const OTHER: &str = "_OTHER";

/// How a command failed.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    /// Redis answered with an error of this code.
    Answered(&'static str),
    /// On this side, as `entra_redis.commands.failed` calls it.
    Ours(&'static str),
}

impl Failure {
    /// Its caller waits no more.
    pub(crate) const CANCELLED: Self = Self::Ours("cancelled");

    pub(crate) fn of_answer(error: &ServerError) -> Self {
        Self::Answered(known_code(error.code()))
    }

    pub(crate) fn of_error(error: &RedisError) -> Self {
        match Error::kind_of(error) {
            Some(ErrorKind::Timeout(_)) => Self::Ours("timed_out"),
            Some(ErrorKind::Overloaded) => Self::Ours("overloaded"),
            Some(ErrorKind::Closed) => Self::Ours("closed"),
            _ if error.kind() == redis::ErrorKind::AuthenticationFailed => Self::Ours("unauthenticated"),
            _ if error.is_connection_dropped() => Self::Ours("lost"),
            _ => error.code().map_or(Self::Ours(OTHER), |code| Self::Answered(known_code(code))),
        }
    }
}

/// Where durations go. A series begins with its first value, and costs a command that succeeds no lock and no
/// allocation from then on; one that fails has its series looked up at the recorder's.
pub(crate) struct Operations {
    labels: Vec<Label>,
    /// One for each place of an [`Operation`]: commands of the table have series of their own.
    known: Box<[OnceLock<Histogram>]>,
    other: OnceLock<Histogram>,
    wait_time: Histogram,
}

impl Operations {
    /// Without labels, for tests and benches.
    #[cfg(any(test, feature = "bench-api"))]
    pub(crate) fn unlabelled() -> Self {
        Self::new(Vec::new())
    }

    pub(crate) fn new(labels: Vec<Label>) -> Self {
        describe_histogram!(DURATION, Unit::Seconds, "How long commands took, from the call to the reply.");
        describe_histogram!(
            WAIT_TIME,
            Unit::Seconds,
            "How long commands waited for a connection, or for room, that found none at once."
        );
        Self {
            wait_time: histogram!(WAIT_TIME, labels.clone()),
            labels,
            known: std::iter::repeat_with(OnceLock::new).take(Operation::PLACES).collect(),
            other: OnceLock::new(),
        }
    }

    /// A command that took this long, and how it failed if it did.
    pub(crate) fn record(&self, operation: Operation, took: Duration, failure: Option<Failure>) {
        let known = operation.name_and_place().and_then(|(name, place)| Some((name, self.known.get(place)?)));
        let (name, series) = known.unwrap_or((OTHER, &self.other));
        match failure {
            None => series.get_or_init(|| self.series(name, None)).record(took),
            Some(_) => self.series(name, failure).record(took),
        }
    }

    /// A command that found no connection, or no room, at once.
    pub(crate) fn record_wait(&self, took: Duration) {
        self.wait_time.record(took);
    }

    fn series(&self, name: &'static str, failure: Option<Failure>) -> Histogram {
        let (kind, code) = match failure {
            None => (None, None),
            Some(Failure::Answered(code)) => (Some(code), Some(code)),
            Some(Failure::Ours(kind)) => (Some(kind), None),
        };
        let own = [("db.operation.name", Some(name)), ("error.type", kind), ("db.response.status_code", code)];
        let own = own.into_iter().filter_map(|(key, value)| Some(Label::from_static_parts(key, value?)));
        histogram!(DURATION, self.labels.iter().cloned().chain(own).collect::<Vec<_>>())
    }
}

fn known_code(code: &str) -> &'static str {
    const CODES: &str = "ASK BUSY BUSYGROUP BUSYKEY CLUSTERDOWN CROSSSLOT ERR EXECABORT INPROG LOADING MASTERDOWN MISCONF \
        MOVED NOAUTH NOGROUP NOPERM NOREPLICAS NOSCRIPT NOTBUSY OOM READONLY TRYAGAIN UNKILLABLE WRONGPASS WRONGTYPE";
    CODES.split(' ').find(|known| *known == code).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests;
