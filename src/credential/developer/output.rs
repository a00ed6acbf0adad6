//! What a tool prints, without what terminals, wrappers and warnings put around it.

use crate::secret::{ESCAPE, terminal_sequence};
use serde::de::{DeserializeOwned, IgnoredAny};
use zeroize::Zeroizing;

/// As text, without colours; none if it is no text at all. A wrapper on Windows may print UTF-16.
pub(super) fn plain(output: &[u8]) -> Option<Zeroizing<String>> {
    let text = match output {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        // What does not belong to the answer may be in any encoding.
        _ => Zeroizing::new(String::from_utf8_lossy(output).into_owned()),
    };
    Some(without_colours(&text))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Zeroizing<String>> {
    let units: Zeroizing<Vec<u16>> =
        Zeroizing::new(bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect());
    String::from_utf16(&units).ok().map(Zeroizing::new)
}

/// Without the sequences that a terminal takes for commands. There is none inside of JSON, which escapes control
/// characters.
fn without_colours(text: &str) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != ESCAPE {
            plain.push(c);
        } else if let Some(length) = terminal_sequence(chars.clone()) {
            chars.nth(length - 1);
        }
    }
    plain
}

/// How many brackets may be the start of the answer. Each of them may be looked at up to the end of the text.
const MOST_STARTS: usize = 100;

/// The first JSON object of this form. Lines before it and after it, and values of other forms, are passed over whole.
pub(super) fn first_json<T: DeserializeOwned>(text: &str) -> Option<T> {
    let mut rest = text;
    for _ in 0..MOST_STARTS {
        rest = &rest[rest.find(['{', '['])?..];
        if rest.starts_with('{')
            && let Some(Ok(value)) = serde_json::Deserializer::from_str(rest).into_iter::<T>().next()
        {
            return Some(value);
        }
        let mut any = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        let length = if let Some(Ok(IgnoredAny)) = any.next() { any.byte_offset() } else { 1 };
        rest = &rest[length..];
    }
    None
}
