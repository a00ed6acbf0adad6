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
            Self::Map(pairs) => {
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

fn all(out: &mut Vec<u8>, kind: char, items: &[Reply], resp3: bool) {
    put(out, kind, &items.len().to_string());
    for item in items {
        item.write(resp3, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    /// Bytes that look like the protocol often enough to get past the first line.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            "[*$+:_,#(!=~%>|?-]-?[0-9]{0,20}\r?\n".prop_map(String::into_bytes),
            "[*$%|]1\r\n".prop_map(String::into_bytes),
            "[a-zA-Z ]{0,12}\r?\n".prop_map(String::into_bytes),
            vec(any::<u8>(), 0..12),
        ];
        vec(piece, 0..20).prop_map(|pieces| pieces.concat())
    }

    /// A reply as some server sends it, in RESP3.
    fn reply() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            Just(Reply::OK),
            Just(Reply::Nil),
            any::<i64>().prop_map(Reply::Int),
            ".{0,20}".prop_map(Reply::error),
            vec(any::<u8>(), 0..40).prop_map(Reply::Bulk),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Reply::Array),
                vec(inner.clone(), 0..6).prop_map(Reply::Set),
                vec(inner.clone(), 0..6).prop_map(Reply::Push),
                vec((inner.clone(), inner), 0..6).prop_map(Reply::Map),
            ]
        })
    }

    /// However much of the input is there: what is found lies within it, and more input changes no verdict.
    fn same_with_more<T: PartialEq + std::fmt::Debug>(
        bytes: &[u8],
        parse: impl Fn(&[u8]) -> Result<Option<T>, String>,
        len: impl Fn(&T) -> usize,
    ) {
        let mut first = None;
        for end in 0..=bytes.len() {
            let verdict = parse(&bytes[..end]);
            if let Ok(Some(found)) = &verdict {
                assert!((1..=end).contains(&len(found)), "{} of {end} bytes", len(found));
            }
            match &first {
                Some(first) => assert_eq!(first, &verdict, "another verdict with {end} bytes"),
                None if verdict == Ok(None) => {}
                None => first = Some(verdict),
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_error_or_incomplete(bytes in input()) {
            same_with_more(&bytes, parse_request, |request| request.len);
        }

        #[test]
        fn any_bytes_are_a_reply_or_an_error_or_incomplete(bytes in input()) {
            same_with_more(&bytes, frame_len, |len| *len);
        }

        #[test]
        fn what_is_written_is_measured_whole(reply in reply(), resp3 in any::<bool>(), rest in vec(any::<u8>(), 0..20)) {
            let mut bytes = Vec::new();
            reply.write(resp3, &mut bytes);
            let len = bytes.len();
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(frame_len(&bytes), Ok(Some(len)));
            prop_assert_eq!(is_push(&bytes), resp3 && matches!(reply, Reply::Push(_)));
            for cut in 0..len {
                prop_assert_eq!(frame_len(&bytes[..cut]), Ok(None));
            }
        }

        #[test]
        fn a_request_of_any_bytes_is_read_as_it_was_sent(
            args in vec(vec(any::<u8>(), 0..40), 1..8),
            rest in vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = Vec::new();
            Reply::Array(args.iter().map(Reply::bulk).collect()).write(false, &mut bytes);
            let len = bytes.len();
            bytes.extend_from_slice(&rest);
            prop_assert_eq!(parse_request(&bytes), Ok(Some(Request { args, len })));
            for cut in 0..len {
                prop_assert_eq!(parse_request(&bytes[..cut]), Ok(None));
            }
        }
    }

    #[test]
    fn requests_come_whole_or_not_at_all() {
        let bytes = b"*2\r\n$3\r\nGET\r\n$4\r\nk\r\ny\r\nPING\r\n";
        let first = parse_request(bytes).unwrap().unwrap();
        assert_eq!((first.name().as_str(), first.arg(1), first.len), ("GET", Some(&b"k\r\ny"[..]), 23));
        assert_eq!(parse_request(&bytes[first.len..]).unwrap().unwrap().name(), "PING");
        for cut in 0..first.len {
            assert_eq!(parse_request(&bytes[..cut]).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn broken_requests_are_errors_not_panics() {
        for bytes in [&b"*x\r\n"[..], b"*99999999999\r\n", b"*1\r\n:1\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$99999999999\r\n"]
        {
            assert!(parse_request(bytes).is_err(), "{bytes:?}");
        }
        assert!(parse_request(&vec![b'x'; LONGEST_LINE + 1]).is_err());
        assert_eq!(parse_request(b"*-1\r\n").unwrap().unwrap().args.len(), 0);
        assert_eq!(parse_request(b"\r\n").unwrap().unwrap().args.len(), 0);
    }

    #[test]
    fn frames_of_every_kind_are_measured_and_cut_anywhere() {
        let frames: [&[u8]; 18] = [
            b"+OK\r\n",
            b"-ERR x\r\n",
            b":1\r\n",
            b"$3\r\na\r\n\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"_\r\n",
            b",1.5\r\n",
            b"#t\r\n",
            b"(123\r\n",
            b"!3\r\nERR\r\n",
            b"=6\r\ntxt:ab\r\n",
            b"*2\r\n$1\r\na\r\n:1\r\n",
            b"~1\r\n+a\r\n",
            b"%1\r\n+a\r\n*1\r\n:1\r\n",
            b">2\r\n+message\r\n+x\r\n",
            b"|1\r\n+ttl\r\n:1\r\n+value\r\n",
        ];
        for frame in frames {
            let mut two = frame.to_vec();
            two.extend_from_slice(frame);
            assert_eq!(frame_len(&two), Ok(Some(frame.len())), "{:?}", String::from_utf8_lossy(frame));
            for cut in 0..frame.len() {
                assert_eq!(frame_len(&frame[..cut]), Ok(None), "{:?} cut at {cut}", String::from_utf8_lossy(frame));
            }
        }
        assert!(frame_len(b"?x\r\n").is_err());
        assert!(frame_len(b"$x\r\n").is_err());
        assert!(frame_len("*1\r\n".repeat(10_000).as_bytes()).is_err());
    }

    #[test]
    fn replies_in_both_protocols() {
        let written = |reply: Reply, resp3| {
            let mut out = Vec::new();
            reply.write(resp3, &mut out);
            String::from_utf8(out).unwrap()
        };
        let map = Reply::Map(vec![(Reply::bulk("a"), Reply::Int(1))]);
        assert_eq!(written(map.clone(), true), "%1\r\n$1\r\na\r\n:1\r\n");
        assert_eq!(written(map, false), "*2\r\n$1\r\na\r\n:1\r\n");
        assert_eq!(written(Reply::Nil, true), "_\r\n");
        assert_eq!(written(Reply::Nil, false), "$-1\r\n");
        assert_eq!(written(Reply::NullArray, false), "*-1\r\n");
        assert_eq!(written(Reply::error("ERR a\r\nb"), true), "-ERR a  b\r\n");
        assert_eq!(written(Reply::Push(vec![Reply::OK]), true), ">1\r\n+OK\r\n");
    }
}
