//! Replies, parsed in place.
//!
//! The types that make up nearly all traffic are read here; the rare ones, errors among them, are handed to the `redis`
//! crate's own parser with the slice they take, so that values are the same ones and nothing is written twice.

use super::scan::Scan;
use redis::Value;

/// How deep replies may be nested, as in the `redis` crate: deeper ones are garbage, or an attack on the stack.
pub(super) const DEEPEST: usize = 100;

/// Lines hold numbers, states and errors; what is longer is no line.
const LONGEST_LINE: usize = 1 << 20;

/// Why there is no value.
#[derive(Debug)]
pub(super) enum Stop {
    /// The rest of the reply has not come yet.
    Incomplete,
    /// It is no reply at all, for this reason.
    Garbage(&'static str),
}

/// The reply at the start of `buf`, and how many bytes it takes.
pub(super) fn parse(buf: &[u8]) -> Result<(Value, usize), Stop> {
    let mut reader = Reader { buf, at: 0 };
    let value = reader.value(1)?;
    Ok((value, reader.at))
}

pub(super) fn garbage(problem: &'static str) -> Stop {
    Stop::Garbage(problem)
}

struct Reader<'a> {
    buf: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > DEEPEST {
            return Err(garbage("a reply is nested too deeply"));
        }
        let start = self.at;
        let kind = *self.buf.get(start).ok_or(Stop::Incomplete)?;
        self.at += 1;
        match kind {
            b'$' => self.bulk(),
            b'+' => {
                let text = self.text()?;
                Ok(if text == "OK" { Value::Okay } else { Value::SimpleString(text.to_owned()) })
            }
            b':' => self.number().map(Value::Int),
            b'*' => self.items(depth).map(|items| items.map_or(Value::Nil, Value::Array)),
            b'~' => self.items(depth).map(|items| items.map_or(Value::Nil, Value::Set)),
            b'%' => self.map(depth),
            b'_' => self.text().map(|_| Value::Nil),
            b'#' => match self.text()? {
                "t" => Ok(Value::Boolean(true)),
                "f" => Ok(Value::Boolean(false)),
                _ => Err(garbage("a boolean is neither t nor f")),
            },
            _ => self.rare(start, depth),
        }
    }

    /// A value of a rare type: found by its end, read by the `redis` crate.
    #[cold]
    fn rare(&mut self, start: usize, depth: usize) -> Result<Value, Stop> {
        let frame = &self.buf[start..];
        let len = Scan::at_depth(depth).resume(frame)?.ok_or(Stop::Incomplete)?;
        self.at = start + len;
        let frame = &frame[..len];
        let value = if frame.first() == Some(&b'-') {
            // Redis quotes arguments in errors, whatever they hold, and cuts them anywhere.
            redis::parse_redis_value(String::from_utf8_lossy(frame).as_bytes())
        } else {
            redis::parse_redis_value(frame)
        };
        value.map_err(|_| garbage("a value is malformed"))
    }

    fn bulk(&mut self) -> Result<Value, Stop> {
        let Ok(len) = usize::try_from(self.number()?) else {
            return Ok(Value::Nil);
        };
        let end = self.at.checked_add(len).ok_or_else(|| garbage("a string is too long"))?;
        let bytes = self.buf.get(self.at..end).ok_or(Stop::Incomplete)?;
        match self.buf.get(end..end.saturating_add(2)) {
            Some(b"\r\n") => {}
            Some(_) => return Err(garbage("a string does not end where it should")),
            None => return Err(Stop::Incomplete),
        }
        self.at = end + 2;
        Ok(Value::BulkString(bytes.to_vec()))
    }

    /// The elements of an array or a set; none for the null array.
    fn items(&mut self, depth: usize) -> Result<Option<Vec<Value>>, Stop> {
        let Ok(count) = usize::try_from(self.number()?) else {
            return Ok(None);
        };
        let mut items = Vec::with_capacity(self.plausible(count));
        for _ in 0..count {
            items.push(self.value(depth + 1)?);
        }
        Ok(Some(items))
    }

    fn map(&mut self, depth: usize) -> Result<Value, Stop> {
        let count = usize::try_from(self.number()?).map_err(|_| garbage("a map has a negative size"))?;
        let mut pairs = Vec::with_capacity(self.plausible(count));
        for _ in 0..count {
            pairs.push((self.value(depth + 1)?, self.value(depth + 1)?));
        }
        Ok(Value::Map(pairs))
    }

    /// Room for `count` elements, but for no more than there are bytes: a server's word alone allocates nothing.
    fn plausible(&self, count: usize) -> usize {
        const SHORTEST_ELEMENT: usize = 3;
        count.min((self.buf.len() - self.at) / SHORTEST_ELEMENT)
    }

    fn number(&mut self) -> Result<i64, Stop> {
        let digits = &self.buf[self.at..];
        // Up to 18 digits cannot overflow; everything else takes the long way.
        let mut value = 0_i64;
        for (i, byte) in digits.iter().take(19).enumerate() {
            match byte {
                b'0'..=b'9' if i < 18 => value = value * 10 + i64::from(byte - b'0'),
                b'\r' if i > 0 && digits.get(i + 1) == Some(&b'\n') => {
                    self.at += i + 2;
                    return Ok(value);
                }
                _ => break,
            }
        }
        let text = self.text()?;
        text.trim().parse().map_err(|_| garbage("a number is no number"))
    }

    fn text(&mut self) -> Result<&'a str, Stop> {
        let (text, next) = line(self.buf, self.at)?;
        self.at = next;
        str::from_utf8(text).map_err(|_| garbage("a line is not UTF-8"))
    }
}

/// The line that starts at `at`, without its end, and where the next one starts.
pub(super) fn line(buf: &[u8], at: usize) -> Result<(&[u8], usize), Stop> {
    let rest = buf.get(at..).unwrap_or_default();
    let mut from = 0;
    while let Some(found) = rest[from..].iter().position(|byte| *byte == b'\r') {
        let end = from + found;
        match rest.get(end + 1) {
            Some(b'\n') => return Ok((&rest[..end], at + end + 2)),
            Some(_) => from = end + 1,
            None => break,
        }
    }
    if rest.len() > LONGEST_LINE { Err(garbage("a line does not end")) } else { Err(Stop::Incomplete) }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
