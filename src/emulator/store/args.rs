//! A command's arguments, read as what they should be.

use super::{data::now, long_double::LongDouble};
use crate::emulator::{
    hello::c_string,
    resp::{Reply, decimal},
};
use std::{ops::RangeInclusive, time::Duration};

/// A reply, or the text of an error.
pub(super) type Outcome = Result<Reply, Problem>;

pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
pub(super) const NOT_A_FLOAT: &str = "ERR value is not a valid float";
pub(super) const NOT_POSITIVE: &str = "ERR value is out of range, must be positive";
pub(super) const SYNTAX: &str = "ERR syntax error";

/// The text of an error, which may quote what is no UTF-8.
#[derive(Debug)]
pub(super) struct Problem(Vec<u8>);

impl Problem {
    /// A text that ends with the argument, up to its first null byte: Redis writes it as C does.
    pub(super) fn quoting(text: &str, argument: &[u8]) -> Self {
        Self([text.as_bytes(), c_string(argument)].concat())
    }

    /// With this text at its end.
    pub(super) fn and(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// With this argument at its end, up to its first null byte.
    pub(super) fn and_quoting(mut self, argument: &[u8]) -> Self {
        self.0.extend_from_slice(c_string(argument));
        self
    }

    /// With this text instead of the `ERR` at its beginning.
    pub(super) fn in_place_of_code(self, text: &str) -> Self {
        let rest = self.0.strip_prefix(b"ERR").unwrap_or(&self.0);
        Self([text.as_bytes(), rest].concat())
    }

    pub(super) fn into_reply(self) -> Reply {
        Reply::Error(self.0)
    }
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Problem {
    fn from(text: Vec<u8>) -> Self {
        Self(text)
    }
}

impl From<String> for Problem {
    fn from(text: String) -> Self {
        Self(text.into_bytes())
    }
}

/// The arguments after the command's name. How many there are has been checked against the command's arity.
#[derive(Clone, Copy)]
pub(super) struct Args<'a>(pub(super) &'a [Vec<u8>]);

impl<'a> Args<'a> {
    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    /// The argument at `index`; an absent one is empty, and none that the arity demands is absent.
    pub(super) fn at(self, index: usize) -> &'a [u8] {
        self.0.get(index).map_or(&[], Vec::as_slice)
    }

    pub(super) fn from(self, index: usize) -> Self {
        Self(self.0.get(index..).unwrap_or_default())
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Pairs of arguments; an odd one at the end makes none.
    pub(super) fn pairs(self) -> Option<impl Iterator<Item = (&'a [u8], &'a [u8])>> {
        let pairs = self.0.chunks_exact(2);
        pairs.remainder().is_empty().then(|| pairs.map(|pair| (pair[0].as_slice(), pair[1].as_slice())))
    }

    pub(super) fn integer(self, index: usize) -> Result<i64, Problem> {
        decimal(self.at(index)).ok_or_else(|| NOT_AN_INTEGER.into())
    }

    /// An integer that has to lie in a range.
    pub(super) fn integer_within(self, index: usize, range: &RangeInclusive<i64>) -> Result<i64, Problem> {
        let number = self.integer(index)?;
        if range.contains(&number) {
            return Ok(number);
        }
        let (least, most) = (range.start(), range.end());
        Err(format!("ERR value is out of range, value must between {least} and {most}").into())
    }

    /// How many; whatever else it is, it is told that it must be positive, as in Redis.
    pub(super) fn count(self, index: usize) -> Result<usize, Problem> {
        let number = decimal(self.at(index)).and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| NOT_POSITIVE.into())
    }

    pub(super) fn float(self, index: usize) -> Result<LongDouble, Problem> {
        LongDouble::parse(self.at(index)).ok_or_else(|| NOT_A_FLOAT.into())
    }

    /// An integer; the text for what is none is the command's own.
    pub(super) fn integer_or(self, index: usize, problem: &str) -> Result<i64, Problem> {
        decimal(self.at(index)).ok_or_else(|| problem.into())
    }

    /// A count that is one at least, with the text for everything else.
    pub(super) fn positive(self, index: usize, problem: &str) -> Result<usize, Problem> {
        let number = decimal(self.at(index)).and_then(|number| usize::try_from(number).ok());
        number.filter(|number| *number > 0).ok_or_else(|| problem.into())
    }

    /// How long a command waits at most, in seconds, rounded up to milliseconds; none is for ever.
    pub(super) fn seconds(self, index: usize) -> Result<Option<Duration>, Problem> {
        let number = LongDouble::parse(self.at(index)).ok_or("ERR timeout is not a float or out of range")?;
        let seconds: f64 = number.text().parse().unwrap_or(f64::INFINITY);
        // What is less than a millisecond is rounded up, to none if it is negative.
        if seconds * 1000.0 <= -1.0 {
            return Err("ERR timeout is negative".into());
        }
        let timeout = Duration::try_from_secs_f64(seconds.max(0.0)).ok();
        let millis = timeout.and_then(|timeout| i64::try_from(timeout.as_nanos().div_ceil(1_000_000)).ok());
        // However short it is, it is not for ever.
        let least = i64::from(number.is_positive());
        waiting_time(millis.unwrap_or(i64::MAX).max(least))
    }

    /// How long a command waits at most, in milliseconds; none is for ever.
    pub(super) fn milliseconds(self, index: usize) -> Result<Option<Duration>, Problem> {
        match self.integer_or(index, "ERR timeout is not an integer or out of range")? {
            ..0 => Err("ERR timeout is negative".into()),
            millis => waiting_time(millis),
        }
    }

    /// A word of the command's own. It ends with its first null byte: Redis compares it as C does.
    pub(super) fn option(self, index: usize) -> String {
        String::from_utf8_lossy(c_string(self.at(index))).to_ascii_uppercase()
    }
}

fn waiting_time(millis: i64) -> Result<Option<Duration>, Problem> {
    millis.checked_add(now()).ok_or("ERR timeout is out of range")?;
    let timeout = Duration::from_millis(millis.unsigned_abs());
    Ok(Some(timeout).filter(|timeout| !timeout.is_zero()))
}

/// Whether a minus is in front, and what follows a sign: C reads numbers with either.
pub(super) fn sign(text: &[u8]) -> (bool, &[u8]) {
    let positive = || (false, text.strip_prefix(b"+").unwrap_or(text));
    text.strip_prefix(b"-").map_or_else(positive, |digits| (true, digits))
}

/// The part of a sequence of `len` items between two indices that may count from the end, as Redis cuts it.
pub(super) fn span(len: usize, start: i64, stop: i64) -> std::ops::Range<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let absolute = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let start = absolute(start).clamp(0, len);
    let stop = absolute(stop).saturating_add(1).clamp(start, len);
    // Both are between 0 and a length.
    usize::try_from(start).unwrap_or(0)..usize::try_from(stop).unwrap_or(0)
}
