//! What every reply begins with: a line, and perhaps the number in it.

/// Lines hold numbers, states and errors; what is longer is no line.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The rest of the reply has not come yet.
    Incomplete,
    /// It is no reply at all, for this reason: where the next one begins, nobody knows.
    Garbage(&'static str),
    /// A whole reply of `len` bytes that holds what has no value, for this reason: what follows it is sound.
    Unreadable { len: usize, problem: &'static str },
}

/// What is no reply at all, and why.
#[derive(Debug)]
pub(crate) struct Garbage(pub(crate) &'static str);

impl From<Garbage> for Stop {
    fn from(Garbage(problem): Garbage) -> Self {
        Self::Garbage(problem)
    }
}

/// The number that a line holds, as lenient as the `redis` crate is.
pub(crate) fn number(line: &[u8]) -> Option<i64> {
    str::from_utf8(line).ok()?.trim().parse().ok()
}

/// The line that starts at `at`, without its end, and where the next one starts; none while it is not there in whole.
pub(crate) fn line(buf: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, Garbage> {
    let rest = buf.get(at..).unwrap_or_default();
    let mut from = 0;
    while let Some(found) = rest[from..].iter().position(|byte| *byte == b'\r') {
        let end = from + found;
        match rest.get(end + 1) {
            Some(b'\n') => return Ok(Some((&rest[..end], at + end + 2))),
            Some(_) => from = end + 1,
            None => break,
        }
    }
    if rest.len() > LONGEST_LINE { Err(Garbage("a line does not end")) } else { Ok(None) }
}
