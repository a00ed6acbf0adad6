//! A write over several slots of which a part failed: what has become of each key.

use crate::error::Error;
use redis::{RedisError, RedisResult, ServerError, Value};
use std::fmt;

/// What has become of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    NotDone,
    /// It was sent, and no answer came.
    Unknown,
}

impl Fate {
    /// The fate of a part with this outcome. `was_sent` counts only where there is no answer: whether any of it may have
    /// reached a node.
    pub(crate) fn of(outcome: &RedisResult<Value>, was_sent: bool) -> Self {
        match outcome {
            // The commands that are split do all or nothing of a part.
            Ok(Value::ServerError(_)) => Self::NotDone,
            Ok(_) => Self::Done,
            Err(error) if error.clone().into_server_errors().is_some() => Self::NotDone,
            Err(_) if was_sent => Self::Unknown,
            Err(_) => Self::NotDone,
        }
    }
}

/// Which keys of a command a write was done for, each by the argument that it is (the command's name is argument 0). Keys
/// themselves may be private.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PartialWrite {
    done: Vec<usize>,
    not_done: Vec<usize>,
    unknown: Vec<usize>,
}

impl PartialWrite {
    /// Notes the fate of a part with keys at these arguments.
    pub(crate) fn add(&mut self, fate: Fate, arguments: impl IntoIterator<Item = usize>) {
        let list = match fate {
            Fate::Done => &mut self.done,
            Fate::NotDone => &mut self.not_done,
            Fate::Unknown => &mut self.unknown,
        };
        list.extend(arguments);
        list.sort_unstable();
    }

    /// The error of the first part that failed, with what has become of each key. If all parts have the same fate it is
    /// the error as it is: it says that nothing was done, or that all may have been.
    ///
    /// The kind stays: a refusal of Redis's with its code, an error of this crate's, the kind of anything else.
    pub(crate) fn explain(&self, cause: &RedisError) -> RedisError {
        let fates = [&self.done, &self.not_done, &self.unknown];
        if fates.iter().filter(|list| !list.is_empty()).count() < 2 {
            return cause.clone();
        }
        if let Some(error) = Error::from_redis(cause) {
            return error.clone().with_message(format!("{}; {self}", error.message())).into();
        }
        if let Ok(error) = ServerError::try_from(cause.clone())
            && let Some(error) = self.explained(&error)
        {
            return error.into();
        }
        (cause.kind(), "a write over several slots failed in part", format!("{cause}; {self}")).into()
    }

    fn explained(&self, error: &ServerError) -> Option<ServerError> {
        let details = error.details().map(|details| format!("{details}; ")).unwrap_or_default();
        let details = format!("{details}{self}").replace(['\r', '\n'], " ");
        // Only the redis crate makes such an error, out of a line.
        match redis::parse_redis_value(format!("-{} {details}\r\n", error.code()).as_bytes()) {
            Ok(Value::ServerError(error)) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for PartialWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [
            ("it was done", &self.done),
            ("it was not done", &self.not_done),
            ("it may have been done", &self.unknown),
        ];
        for (index, (what, arguments)) in lists.iter().filter(|(_, arguments)| !arguments.is_empty()).enumerate() {
            let (comma, s) = (if index == 0 { "" } else { ", " }, if arguments.len() == 1 { "" } else { "s" });
            write!(f, "{comma}{what} for the key{s} at argument{s} {}", Numbers(arguments))?;
        }
        Ok(())
    }
}

/// How many numbers and ranges of numbers are written out.
const WRITTEN: usize = 100;

/// Numbers in order, as `1, 3-5`; keys that stand two apart, as those of `MSET` do, as `1, 3, 5`.
struct Numbers<'a>(&'a [usize]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = 0;
        for (index, run) in self.0.chunk_by(|a, b| a + 1 == *b).enumerate() {
            if index == WRITTEN {
                return write!(f, " and {} more", self.0.len() - written);
            }
            let comma = if index == 0 { "" } else { ", " };
            match run {
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                run => run.iter().try_for_each(|only| write!(f, "{comma}{only}"))?,
            }
            written += run.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
