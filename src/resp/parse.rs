//! Replies, parsed in place.
//!
//! The types that make up nearly all traffic are read here; the rare ones, errors among them, are handed to the `redis`
//! crate's own parser with the slice they take, so that values are the same ones and nothing is written twice.
//!
//! What is wrong with a reply's frame (its types, its sizes) is the connection's end, as nobody knows where the next
//! reply begins. What is wrong inside of a sound frame is the business of the one request that it answers: a script can
//! make it.

use super::{
    claims::LinkClaims,
    line::{Stop, line, number},
    scan::Scan,
};
use redis::Value;

/// How deep replies may be nested, as in the `redis` crate: deeper ones are an attack on the stack.
const DEEPEST: usize = 100;

/// The reply at the start of `buf`, and how many bytes it takes.
#[cfg(any(test, feature = "bench-api"))]
pub(crate) fn parse(buf: &[u8]) -> Result<(Value, usize), Stop> {
    parse_with_claims(buf, &mut LinkClaims::default())
}

/// The same; and what the errors in it say of the connection, however deep they lie.
pub(crate) fn parse_with_claims(buf: &[u8], claims: &mut LinkClaims) -> Result<(Value, usize), Stop> {
    let mut reader = Reader { buf, at: 0, problem: None, claims };
    let value = reader.value(1)?;
    match reader.problem {
        None => Ok((value, reader.at)),
        Some(problem) => Err(Stop::Unreadable { len: reader.at, problem }),
    }
}

struct Reader<'a> {
    buf: &'a [u8],
    at: usize,
    /// The first element that has no value. It is read past, as only its request is concerned, and stands for no value.
    problem: Option<&'static str>,
    claims: &'a mut LinkClaims,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > DEEPEST {
            return self.too_deep();
        }
        let start = self.at;
        let kind = *self.buf.get(start).ok_or(Stop::Incomplete)?;
        self.at += 1;
        match kind {
            b'$' => self.bulk(),
            b'+' => {
                let text = self.line()?;
                Ok(if text == b"OK" { Value::Okay } else { Value::SimpleString(lossy(text)) })
            }
            b':' => match self.number()? {
                Some(number) => Ok(Value::Int(number)),
                None => Ok(self.unreadable("an integer is not one of 64 bits")),
            },
            b'*' => self.items(depth).map(|items| items.map_or(Value::Nil, Value::Array)),
            b'~' => self.items(depth).map(|items| items.map_or(Value::Nil, Value::Set)),
            b'%' => self.pairs(depth).map(Value::Map),
            b'_' => self.line().map(|_| Value::Nil),
            b'#' => match self.line()? {
                b"t" => Ok(Value::Boolean(true)),
                b"f" => Ok(Value::Boolean(false)),
                _ => Ok(self.unreadable("a boolean is neither t nor f")),
            },
            b'|' => {
                let attributes = self.pairs(depth)?;
                Ok(Value::Attribute { attributes, data: Box::new(self.value(depth + 1)?) })
            }
            b'>' => self.push(depth),
            _ => self.rare(start),
        }
    }

    /// Takes note of an element that has been read past.
    #[cold]
    fn unreadable(&mut self, problem: &'static str) -> Value {
        self.problem.get_or_insert(problem);
        Value::Nil
    }

    /// Passes over an element that is too deep for the stack, which a script can well make.
    #[cold]
    fn too_deep(&mut self) -> Result<Value, Stop> {
        self.at += Scan::new().resume(&self.buf[self.at..])?.ok_or(Stop::Incomplete)?;
        Ok(self.unreadable("it is nested too deeply"))
    }

    /// A value of a rare type: found by its end, read by the `redis` crate.
    #[cold]
    fn rare(&mut self, start: usize) -> Result<Value, Stop> {
        let frame = &self.buf[start..];
        let len = Scan::new().resume(frame)?.ok_or(Stop::Incomplete)?;
        self.at = start + len;
        let frame = &frame[..len];
        let value = if frame.first() == Some(&b'-') {
            // Redis quotes arguments in errors, whatever they hold, and cuts them anywhere.
            redis::parse_redis_value(String::from_utf8_lossy(frame).as_bytes())
        } else {
            redis::parse_redis_value(frame)
        };
        if let Ok(Value::ServerError(error)) = &value {
            self.claims.add(LinkClaims::of(error));
        }
        Ok(value.unwrap_or_else(|_| {
            self.unreadable(match frame.first() {
                Some(b',') => "a double is no number",
                Some(b'(') => "a big number is no number",
                Some(b'=') => "a verbatim string has no format",
                _ => "a value is malformed",
            })
        }))
    }

    /// A message that answers no request. Its kind is read by the `redis` crate.
    #[cold]
    fn push(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut data = self.items(depth)?.unwrap_or_default().into_iter();
        let kind = match data.next() {
            None => b">0\r\n".to_vec(),
            Some(Value::BulkString(kind)) => [format!(">1\r\n${}\r\n", kind.len()).as_bytes(), &kind, b"\r\n"].concat(),
            Some(Value::SimpleString(kind)) => format!(">1\r\n+{kind}\r\n").into_bytes(),
            Some(_) => return Ok(self.unreadable("a push has no kind")),
        };
        match redis::parse_redis_value(&kind) {
            Ok(Value::Push { kind, .. }) => Ok(Value::Push { kind, data: data.collect() }),
            _ => Ok(self.unreadable("a push has no kind")),
        }
    }

    fn bulk(&mut self) -> Result<Value, Stop> {
        let Ok(len) = usize::try_from(self.size()?) else {
            return Ok(Value::Nil);
        };
        let end = self.at.checked_add(len).ok_or(Stop::Garbage("a string is too long"))?;
        let bytes = self.buf.get(self.at..end).ok_or(Stop::Incomplete)?;
        match self.buf.get(end..end.saturating_add(2)) {
            Some(b"\r\n") => {}
            Some(_) => return Err(Stop::Garbage("a string does not end where it should")),
            None => return Err(Stop::Incomplete),
        }
        self.at = end + 2;
        Ok(Value::BulkString(bytes.to_vec()))
    }

    /// The elements of an array or a set; none for the null array.
    fn items(&mut self, depth: usize) -> Result<Option<Vec<Value>>, Stop> {
        let Ok(count) = usize::try_from(self.size()?) else {
            return Ok(None);
        };
        let mut items = Vec::with_capacity(self.plausible(count));
        for _ in 0..count {
            items.push(self.value(depth + 1)?);
        }
        Ok(Some(items))
    }

    /// The elements of a map, or the attributes of what follows them.
    fn pairs(&mut self, depth: usize) -> Result<Vec<(Value, Value)>, Stop> {
        let count = usize::try_from(self.size()?).map_err(|_| Stop::Garbage("a map has a negative size"))?;
        let mut pairs = Vec::with_capacity(self.plausible(count));
        for _ in 0..count {
            pairs.push((self.value(depth + 1)?, self.value(depth + 1)?));
        }
        Ok(pairs)
    }

    /// Room for `count` elements, but for no more than the bytes here can hold: a size alone allocates nothing.
    fn plausible(&self, count: usize) -> usize {
        const SHORTEST_ELEMENT: usize = 3;
        count.min((self.buf.len() - self.at) / SHORTEST_ELEMENT)
    }

    /// How much there is of something.
    fn size(&mut self) -> Result<i64, Stop> {
        self.number()?.ok_or(Stop::Garbage("a size is no number"))
    }

    /// A line with a number; none if it holds something else.
    fn number(&mut self) -> Result<Option<i64>, Stop> {
        let digits = &self.buf[self.at..];
        // Up to 18 digits cannot overflow; everything else takes the long way.
        let mut value = 0_i64;
        for (i, byte) in digits.iter().take(19).enumerate() {
            match byte {
                b'0'..=b'9' if i < 18 => value = value * 10 + i64::from(byte - b'0'),
                b'\r' if i > 0 && digits.get(i + 1) == Some(&b'\n') => {
                    self.at += i + 2;
                    return Ok(Some(value));
                }
                _ => break,
            }
        }
        self.line().map(number)
    }

    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let (line, next) = line(self.buf, self.at)?.ok_or(Stop::Incomplete)?;
        self.at = next;
        Ok(line)
    }
}

/// Text is read whatever it holds: a script can answer with any bytes, and Redis cuts what it quotes anywhere.
fn lossy(text: &[u8]) -> String {
    str::from_utf8(text).map_or_else(|_| String::from_utf8_lossy(text).into_owned(), str::to_owned)
}

#[cfg(test)]
mod tests;
