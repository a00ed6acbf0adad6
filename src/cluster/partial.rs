//! Something for several nodes of which a part failed: what has become of each key of a write, or of each command of a
//! pipeline.

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
    /// The fate of a part of a write with this outcome.
    pub(crate) fn of(outcome: &RedisResult<Value>) -> Self {
        match outcome {
            // The commands that are split do all or nothing of a part.
            Ok(Value::ServerError(_)) => Self::NotDone,
            Ok(_) => Self::Done,
            Err(error) if error.clone().into_server_errors().is_some() => Self::NotDone,
            Err(error) => Self::without_answer(error),
        }
    }

    /// The fate of a command of a pipeline: one that Redis has answered is done, whatever the answer is.
    pub(crate) fn of_command(outcome: &RedisResult<Value>) -> Self {
        outcome.as_ref().err().map_or(Self::Done, Self::without_answer)
    }

    fn without_answer(error: &RedisError) -> Self {
        if Error::leaves_open(error) { Self::Unknown } else { Self::NotDone }
    }
}

/// What the numbers stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Keys of a write, each by the argument that it is (the command's name is argument 0). Keys themselves may be
    /// private.
    Keys,
    /// Commands of a pipeline, counted from 0 as the redis crate counts them.
    Commands,
}

/// What was done of something, and what was not.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    of: Of,
    done: Vec<usize>,
    not_done: Vec<usize>,
    unknown: Vec<usize>,
}

impl Partial {
    /// Of a write, by the arguments that its keys are.
    pub(crate) fn of_keys() -> Self {
        Self { of: Of::Keys, done: Vec::new(), not_done: Vec::new(), unknown: Vec::new() }
    }

    /// Of a pipeline, by the numbers of its commands.
    pub(crate) fn of_commands() -> Self {
        Self { of: Of::Commands, ..Self::of_keys() }
    }

    /// Notes the fate of a part with these numbers.
    pub(crate) fn add(&mut self, fate: Fate, numbers: impl IntoIterator<Item = usize>) {
        let list = match fate {
            Fate::Done => &mut self.done,
            Fate::NotDone => &mut self.not_done,
            Fate::Unknown => &mut self.unknown,
        };
        list.extend(numbers);
    }

    /// The error of the first part that failed, with what has become of all of it. If all parts have the same fate it
    /// is the error as it is: it says that nothing was done, or that all may have been.
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
        if let Ok(error) = ServerError::try_from(cause.clone()) {
            return with_note(error, self).into();
        }
        let what = match self.of {
            Of::Keys => "a write over several slots failed in part",
            Of::Commands => "a pipeline for several nodes failed in part",
        };
        (cause.kind(), what, format!("{cause}; {self}")).into()
    }
}

/// Redis's error with a note behind its words.
pub(crate) fn with_note(error: ServerError, note: impl fmt::Display) -> ServerError {
    let details = error.details().map(|details| format!("{details}; ")).unwrap_or_default();
    let details = format!("{details}{note}").replace(['\r', '\n'], " ");
    // Only the redis crate makes such an error, out of a line.
    match redis::parse_redis_value(format!("-{} {details}\r\n", error.code()).as_bytes()) {
        Ok(Value::ServerError(noted)) => noted,
        _ => error,
    }
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = match self.of {
            Of::Keys => ["it was done", "it was not done", "it may have been done"],
            Of::Commands => ["answered:", "certainly not run:", "may have run:"],
        };
        let lists = lists.into_iter().zip([&self.done, &self.not_done, &self.unknown]);
        for (index, (what, list)) in lists.filter(|(_, list)| !list.is_empty()).enumerate() {
            // Only here, so that noting a part costs the same however many there are: there may be thousands.
            let mut list = list.clone();
            list.sort_unstable();
            let (comma, s) = (if index == 0 { "" } else { ", " }, if list.len() == 1 { "" } else { "s" });
            match self.of {
                Of::Keys => write!(f, "{comma}{what} for the key{s} at argument{s} {}", Numbers(&list))?,
                Of::Commands => write!(f, "{comma}{what} command{s} {} (from 0)", Numbers(&list))?,
            }
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
