//! Where a reply that comes in pieces ends.

use super::line::{Garbage, line, number};

/// Looks for the end of one reply, and goes on where it stopped when more has come: however large the reply and however
/// small the pieces, no element is looked at twice.
pub(crate) struct Scan {
    /// Everything before this, counted from the reply's start, has been looked at.
    at: usize,
    /// Elements that the aggregates around `at` still lack, outermost first.
    lacking: Vec<u64>,
    /// Bytes that the reply is known to have at least.
    least: usize,
}

impl Scan {
    pub(crate) fn new() -> Self {
        Self { at: 0, lacking: Vec::new(), least: 0 }
    }

    /// Bytes that the reply is known to have at least.
    pub(crate) fn least(&self) -> usize {
        self.least
    }

    /// The length of the reply at the start of `buf`, which is the one of the last call with more behind it; none while
    /// it is not there in whole.
    pub(crate) fn resume(&mut self, buf: &[u8]) -> Result<Option<usize>, Garbage> {
        loop {
            let Some(kind) = buf.get(self.at) else {
                return Ok(None);
            };
            if !b"+-:_,#($!=*~>%|".contains(kind) {
                return Err(Garbage("a reply has an unknown type"));
            }
            let Some((header, next)) = line(buf, self.at + 1)? else {
                return Ok(None);
            };
            let elements = match kind {
                b'$' | b'!' | b'=' => {
                    let end = blob_end(*kind, size(header)?, next)?;
                    self.least = self.least.max(end);
                    if end > buf.len() {
                        return Ok(None);
                    }
                    if !buf[..end].ends_with(b"\r\n") {
                        return Err(Garbage("a string does not end where it should"));
                    }
                    self.at = end;
                    if self.close() {
                        return Ok(Some(end));
                    }
                    continue;
                }
                // A negative size is a null array.
                b'*' | b'~' | b'>' => u64::try_from(size(header)?).unwrap_or(0),
                b'%' => pairs(header)?,
                // An attribute is followed by the value that it belongs to.
                b'|' => pairs(header)?.saturating_add(1),
                _ => 0,
            };
            self.at = next;
            if elements > 0 {
                self.lacking.push(elements);
            } else if self.close() {
                return Ok(Some(self.at));
            }
        }
    }

    /// Notes that an element is complete, and with it perhaps what it is in; true if that was the whole reply.
    fn close(&mut self) -> bool {
        while let Some(lacking) = self.lacking.last_mut() {
            *lacking -= 1;
            if *lacking > 0 {
                return false;
            }
            self.lacking.pop();
        }
        true
    }
}

/// Where a string ends whose header says `size` and ends at `next`.
fn blob_end(kind: u8, size: i64, next: usize) -> Result<usize, Garbage> {
    match usize::try_from(size) {
        Ok(len) => next.checked_add(len).and_then(|end| end.checked_add(2)).ok_or(Garbage("a string is too long")),
        // The null string has no body.
        Err(_) if kind == b'$' => Ok(next),
        Err(_) => Err(Garbage("a string has a negative size")),
    }
}

fn pairs(line: &[u8]) -> Result<u64, Garbage> {
    let count = u64::try_from(size(line)?).ok().and_then(|count| count.checked_mul(2));
    count.ok_or(Garbage("a map has no possible size"))
}

fn size(line: &[u8]) -> Result<i64, Garbage> {
    number(line).ok_or(Garbage("a size is no number"))
}
