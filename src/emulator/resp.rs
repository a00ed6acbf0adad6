//! The Redis protocol, as far as the emulator reads and writes it.

use super::inline;
use std::ops::Range;

/// The largest bulk string that is accepted, as in Redis (`proto-max-bulk-len`).
const LARGEST_BULK: usize = 512 << 20;
const MOST_ARGUMENTS: i64 = 1 << 20;
/// Inline commands are for people who type; Redis has the same bound.
const LONGEST_LINE: usize = 64 << 10;
/// Replies of this crate's backends are nowhere near as deep.
const DEEPEST: usize = 128;

/// A command as a client sent it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The name, then the arguments.
    pub(crate) args: Vec<Vec<u8>>,
    /// Bytes that it took in the buffer.
    pub(crate) len: usize,
}

impl Request {
    /// The command's name in upper case.
    pub(crate) fn name(&self) -> String {
        self.arg(0).map_or_else(String::new, |name| String::from_utf8_lossy(name).to_ascii_uppercase())
    }

    pub(crate) fn arg(&self, index: usize) -> Option<&[u8]> {
        self.args.get(index).map(Vec::as_slice)
    }
}

/// The request at the start of `buf`; none if it is not complete yet.
pub(crate) fn parse_request(buf: &[u8]) -> Result<Option<Request>, String> {
    match buf.first() {
        None => Ok(None),
        Some(b'*') => parse_array(buf),
        Some(_) => parse_inline(buf),
    }
}

fn parse_array(buf: &[u8]) -> Result<Option<Request>, String> {
    let Some((line, mut at)) = line(buf, 0) else {
        return too_long(buf);
    };
    let count = decimal(&buf[line]).filter(|count| *count <= MOST_ARGUMENTS);
    let count = count.ok_or("ERR Protocol error: invalid multibulk length")?;
    let mut args = Vec::new();
    for _ in 0..count.max(0) {
        let Some((header, start)) = line_at(buf, at) else {
            return too_long(&buf[at..]);
        };
        if buf[at] != b'$' {
            return Err(format!("ERR Protocol error: expected '$', got '{}'", char::from(buf[at])));
        }
        let len = decimal(&buf[header]).and_then(|len| usize::try_from(len).ok());
        let len = len.filter(|len| *len <= LARGEST_BULK).ok_or("ERR Protocol error: invalid bulk length")?;
        let Some(bytes) = buf.get(start..start + len + 2) else {
            return Ok(None);
        };
        args.push(bytes[..len].to_vec());
        at = start + len + 2;
    }
    Ok(Some(Request { args, len: at }))
}

fn parse_inline(buf: &[u8]) -> Result<Option<Request>, String> {
    let Some(end) = buf.iter().position(|byte| *byte == b'\n') else {
        return too_long(buf);
    };
    let args = inline::words(&buf[..end]).ok_or("ERR Protocol error: unbalanced quotes in request")?;
    Ok(Some(Request { args, len: end + 1 }))
}

/// An unfinished line: more may come, unless it is longer than any line can be.
fn too_long(buf: &[u8]) -> Result<Option<Request>, String> {
    if buf.len() > LONGEST_LINE {
        return Err("ERR Protocol error: too big inline request".to_owned());
    }
    Ok(None)
}

/// The text of the line that starts at `at`, without its first byte, and where the next one starts.
fn line(buf: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let rest = buf.get(at + 1..)?;
    let end = at + 1 + rest.iter().position(|byte| *byte == b'\n')?;
    let text_end = if end > at + 1 && buf[end - 1] == b'\r' { end - 1 } else { end };
    Some((at + 1..text_end, end + 1))
}

fn line_at(buf: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    buf.get(at).and_then(|_| line(buf, at))
}

/// An integer as Redis reads one: no sign but a minus, no zeros in front.
pub(crate) fn decimal(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-").unwrap_or(text) {
        [b'1'..=b'9', ..] => str::from_utf8(text).ok()?.parse().ok(),
        [b'0'] if text.len() == 1 => Some(0),
        _ => None,
    }
}

/// How many bytes the complete reply at the start of `buf` takes; none if it is not complete yet.
pub(crate) fn frame_len(buf: &[u8]) -> Result<Option<usize>, String> {
    skip(buf, 0, DEEPEST)
}

fn skip(buf: &[u8], at: usize, depth: usize) -> Result<Option<usize>, String> {
    let Some((header, next)) = line_at(buf, at) else {
        return Ok(None);
    };
    let kind = buf[at];
    let length = || decimal(&buf[header.clone()]).ok_or_else(|| "a length that is no number".to_owned());
    let elements = match kind {
        b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => return Ok(Some(next)),
        b'$' | b'!' | b'=' => {
            // -1 is the null bulk string, which has no body.
            let Ok(len) = usize::try_from(length()?) else {
                return Ok(Some(next));
            };
            let end = next.saturating_add(len).saturating_add(2);
            return Ok((end <= buf.len()).then_some(end));
        }
        b'*' | b'~' | b'>' => length()?.max(0),
        b'%' => length()?.max(0).saturating_mul(2),
        // An attribute: its pairs, and the value that it belongs to.
        b'|' => length()?.max(0).saturating_mul(2).saturating_add(1),
        _ => return Err(format!("an unknown type of reply: {kind:#x}")),
    };
    let depth = depth.checked_sub(1).ok_or("a reply that is nested too deeply")?;
    let mut end = next;
    for _ in 0..elements {
        match skip(buf, end, depth)? {
            Some(after) => end = after,
            None => return Ok(None),
        }
    }
    Ok(Some(end))
}

/// Whether the frame is a push: it answers no request.
pub(crate) fn is_push(frame: &[u8]) -> bool {
    frame.first() == Some(&b'>')
}

/// A reply to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Simple(&'static str),
    /// Without the leading `-`.
    Error(Vec<u8>),
    Int(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    /// A map that is an array of pairs in RESP2.
    Pairs(Vec<(Reply, Reply)>),
    Set(Vec<Reply>),
    Push(Vec<Reply>),
    NullArray,
    /// For people to read.
    Text(String),
}

impl Reply {
    pub(crate) const OK: Self = Self::Simple("OK");

    pub(crate) fn bulk(text: impl AsRef<[u8]>) -> Self {
        Self::Bulk(text.as_ref().to_vec())
    }

    pub(crate) fn error(text: impl Into<Vec<u8>>) -> Self {
        Self::Error(text.into())
    }

    /// Writes it in RESP3, or in RESP2 as Redis does: maps, sets and pushes as arrays.
    pub(crate) fn write(&self, resp3: bool, out: &mut Vec<u8>) {
        let kind = |three: char| if resp3 { three } else { '*' };
        match self {
            Self::Simple(text) => put(out, '+', text),
            Self::Error(text) => {
                out.push(b'-');
                let text = text.iter().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte });
                out.extend(text);
                out.extend_from_slice(b"\r\n");
            }
            Self::Int(number) => put(out, ':', &number.to_string()),
            Self::Bulk(bytes) => bulk(out, bytes),
            Self::Nil | Self::NullArray if resp3 => put(out, '_', ""),
            Self::Nil => put(out, '$', "-1"),
            Self::NullArray => put(out, '*', "-1"),
            Self::Text(text) if resp3 => {
                put(out, '=', &(text.len() + 4).to_string());
                put(out, 't', &format!("xt:{text}"));
            }
            Self::Text(text) => bulk(out, text.as_bytes()),
            Self::Array(items) => all(out, '*', items, resp3),
            Self::Set(items) => all(out, kind('~'), items, resp3),
            Self::Push(items) => all(out, kind('>'), items, resp3),
            Self::Pairs(pairs) if !resp3 => {
                put(out, '*', &pairs.len().to_string());
                for (key, value) in pairs {
                    all(out, '*', [key, value], resp3);
                }
            }
            Self::Map(pairs) | Self::Pairs(pairs) => {
                let count = if resp3 { pairs.len() } else { pairs.len() * 2 };
                put(out, kind('%'), &count.to_string());
                for (key, value) in pairs {
                    key.write(resp3, out);
                    value.write(resp3, out);
                }
            }
        }
    }
}

fn put(out: &mut Vec<u8>, kind: char, text: &str) {
    out.push(kind as u8);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, '$', &bytes.len().to_string());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn all<'a>(
    out: &mut Vec<u8>,
    kind: char,
    items: impl IntoIterator<Item = &'a Reply, IntoIter: ExactSizeIterator>,
    resp3: bool,
) {
    let items = items.into_iter();
    put(out, kind, &items.len().to_string());
    for item in items {
        item.write(resp3, out);
    }
}

#[cfg(test)]
mod tests;
