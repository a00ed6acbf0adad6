//! The ids of entries: a time in milliseconds, and a number among those of the same time.

use crate::emulator::{
    hello::c_string,
    resp::{Reply, decimal},
    store::args::{Problem, sign},
};
use std::fmt;

/// The longest text that Redis looks at.
const LONGEST: usize = 127;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) ms: u64,
    pub(super) seq: u64,
}

impl Id {
    pub(super) const LEAST: Self = Self { ms: 0, seq: 0 };
    pub(super) const GREATEST: Self = Self { ms: u64::MAX, seq: u64::MAX };

    pub(super) fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => Some(Self { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }

    /// An id of one entry; without a number it has this one.
    pub(super) fn parse(text: &[u8], missing: u64) -> Result<Self, Problem> {
        let (ms, seq) = parts(text).ok_or_else(invalid)?;
        let seq = seq.map_or(Some(missing), number);
        Ok(Self { ms, seq: seq.ok_or_else(invalid)? })
    }

    /// As `parse`; `-` is the least of all ids, and `+` the greatest.
    pub(super) fn parse_or_end(text: &[u8], missing: u64) -> Result<Self, Problem> {
        match c_string(text) {
            b"-" if text.len() <= LONGEST => Ok(Self::LEAST),
            b"+" if text.len() <= LONGEST => Ok(Self::GREATEST),
            _ => Self::parse(text, missing),
        }
    }

    /// An id for a new entry: the number may be left to the stream.
    pub(super) fn parse_new(text: &[u8]) -> Result<(Self, bool), Problem> {
        match parts(text) {
            Some((ms, Some(b"*"))) => Ok((Self { ms, seq: 0 }, false)),
            _ => Self::parse(text, 0).map(|id| (id, true)),
        }
    }

    /// The first id of a range.
    pub(super) fn parse_start(text: &[u8]) -> Result<Self, Problem> {
        match text {
            [b'(', rest @ ..] if !rest.is_empty() => {
                let id = Self::parse(rest, 0)?.next();
                id.ok_or_else(|| "ERR invalid start ID for the interval".into())
            }
            _ => Self::parse_or_end(text, 0),
        }
    }

    /// The last one.
    pub(super) fn parse_end(text: &[u8]) -> Result<Self, Problem> {
        match text {
            [b'(', rest @ ..] if !rest.is_empty() => {
                let id = Self::parse(rest, u64::MAX)?.previous();
                id.ok_or_else(|| "ERR invalid end ID for the interval".into())
            }
            _ => Self::parse_or_end(text, u64::MAX),
        }
    }

    pub(super) fn reply(self) -> Reply {
        Reply::bulk(self.to_string())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

fn invalid() -> Problem {
    "ERR Invalid stream ID specified as stream command argument".into()
}

/// The time, and the text behind the dash if there is one.
fn parts(text: &[u8]) -> Option<(u64, Option<&[u8]>)> {
    if text.len() > LONGEST {
        return None;
    }
    let text = c_string(text);
    match text.iter().position(|byte| *byte == b'-') {
        Some(dash) => Some((number(&text[..dash])?, Some(&text[dash + 1..]))),
        None => Some((number(text)?, None)),
    }
}

/// As Redis reads it: a decimal number must not be negative; all else is what C's `strtoull` takes it for, which allows
/// spaces and a sign in front, and counts from the end if the sign is a minus.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(number) = decimal(text) {
        return u64::try_from(number).ok();
    }
    let spaces = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (is_negative, digits) = sign(&text[spaces..]);
    let digits = str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let number: u64 = digits.parse().ok()?;
    Some(if is_negative { number.wrapping_neg() } else { number })
}
