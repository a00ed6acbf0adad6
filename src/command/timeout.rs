//! For how long a command that blocks asks to block, and where it says so.

use super::{keys::arguments, words};
use redis::{Arg, Cmd, ToRedisArgs};
use std::time::Duration;

/// Where a command says how long it may block, and in what unit; a zero is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// Nowhere, or it is not known where.
    Unknown,
    /// In seconds, which may have a fraction, as the argument of this number, from 1.
    Seconds(u8),
    /// In seconds, which may have a fraction, as the last argument.
    LastSeconds,
    /// In whole milliseconds, as the last argument.
    LastMillis,
    /// In whole milliseconds, behind `BLOCK`, which is among the options from the argument of this number on.
    OptionMillis(u8),
}

/// A timeout that Redis takes, and its place among the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    at: usize,
    in_millis: bool,
    /// None: for ever.
    limit: Option<Duration>,
}

impl Timeout {
    /// What the command says; none if Redis would refuse it for that, or if this crate cannot read it.
    pub(super) fn of(self, cmd: &Cmd) -> Option<Blocks> {
        let last = || cmd.args_iter().len().checked_sub(1);
        let (at, in_millis) = match self {
            Self::Unknown => return None,
            Self::Seconds(at) => (at.into(), false),
            Self::LastSeconds => (last()?, false),
            Self::LastMillis => (last()?, true),
            Self::OptionMillis(from) => (words::block_value(cmd, from.into())?, true),
        };
        let text = str::from_utf8(arguments(cmd).nth(at).filter(|_| at > 0)?).ok()?;
        let limit = if in_millis { millis(text)? } else { seconds(text)? };
        Some(Blocks { at, in_millis, limit: (!limit.is_zero()).then_some(limit) })
    }
}

/// Redis takes whole numbers in their shortest form alone.
fn millis(text: &str) -> Option<Duration> {
    let number: u64 = text.parse().ok()?;
    (number <= i64::MAX.unsigned_abs() && number.to_string() == text).then(|| Duration::from_millis(number))
}

/// Redis rounds up to milliseconds.
fn seconds(text: &str) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    // More than that is for ever for whoever waits, and out of range for Redis at some point.
    let duration = Duration::try_from_secs_f64(number).ok()?;
    Some(ceil(duration))
}

/// In whole milliseconds, rounded up.
fn ceil(duration: Duration) -> Duration {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

impl Blocks {
    /// For how long; none for ever.
    pub(crate) fn limit(self) -> Option<Duration> {
        self.limit
    }

    /// The command with another timeout, of a millisecond at least: none of these is for ever.
    pub(crate) fn with(self, cmd: &Cmd, limit: Duration) -> Cmd {
        let limit = ceil(limit).max(Duration::from_millis(1));
        let millis = limit.as_millis();
        let limit =
            if self.in_millis { millis.to_string() } else { format!("{}.{:03}", millis / 1_000, millis % 1_000) };
        replaced(cmd, |at| (at == self.at).then_some(limit.as_bytes()))
    }
}

/// The command with other arguments at some places. Its reply is wanted, whatever its caller does with it.
pub(crate) fn replaced<B: ToRedisArgs>(cmd: &Cmd, mut other: impl FnMut(usize) -> Option<B>) -> Cmd {
    let mut replaced = Cmd::new();
    for (at, arg) in cmd.args_iter().enumerate() {
        match (other(at), arg) {
            (Some(other), _) => replaced.arg(other),
            (None, Arg::Simple(bytes)) => replaced.arg(bytes),
            (None, _) => replaced.arg(b"0"),
        };
    }
    replaced
}

#[cfg(test)]
mod tests;
