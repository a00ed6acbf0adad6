//! Redaction.

use super::{TOKEN, assert_hidden, halves, piece_in};
use entra_redis::{Secret, bench_api::parsers};
use std::fmt::Write;

const REDACTED: &str = "[redacted]";

/// No piece of six characters of a secret is left of a text, however it is written there; nor of a token that nobody
/// knows.
///
/// The first three bytes say which piece of the secret stands in the text and how; a zero divides the secret from the
/// text before it, another one that from the text after it.
pub fn secret_scrub(data: &[u8]) {
    let Some((&[from, to, how], rest)) = data.split_first_chunk() else {
        return;
    };
    let (secret, text) = halves(rest);
    let (before, after) = halves(text);
    let [secret, before, after] = [secret, before, after].map(|text| String::from_utf8_lossy(text).into_owned());
    _ = (parsers::scrub_unknown(&secret), parsers::scrub_jwts(&secret));
    let whole = format!("{before}{TOKEN}{after}");
    assert!(parsers::scrub_unknown(&whole).len() <= 4 * whole.len() + REDACTED.len());

    let is_whole = piece_in(TOKEN, &before).or_else(|| piece_in(TOKEN, &after)).is_none();
    if is_whole {
        assert_hidden(TOKEN, &parsers::scrub_unknown(&whole).replace(REDACTED, "\0"));
        assert_hidden(TOKEN, &parsers::scrub_jwts(&whole).replace(REDACTED, "\0"));
    }
    let chars: Vec<char> = secret.chars().collect();
    if chars.is_empty() || secret.contains(['\0']) {
        return;
    }
    let from = usize::from(from) % chars.len();
    let to = from + usize::from(to) % (chars.len() - from) + 1;
    let piece: String = chars[from..to].iter().collect();
    let text = format!("{before}{}{after}", written(&piece, how));
    let left = parsers::scrub(&Secret::new(secret.as_str()), &text).replace(REDACTED, "\0");
    let length = (chars.len() / 2).clamp(4, 6).min(chars.len());
    for piece in chars.windows(length) {
        let piece: String = piece.iter().collect();
        assert!(!left.contains(&piece), "{piece:?} of {secret:?} is in {left:?}");
        if piece.chars().any(char::is_alphanumeric) && !before.contains(['%', '\\', '&', '\u{1b}']) {
            let written = written(&piece, how);
            assert!(!left.contains(&written), "{written:?} of {secret:?} is in {left:?}");
        }
    }
}

/// How it may come back.
fn written(piece: &str, how: u8) -> String {
    let mut text = String::new();
    for c in piece.chars() {
        let code = u32::from(c);
        _ = match how % 5 {
            1 => write!(text, "\\u{{{code:x}}}"),
            2 => c.to_string().bytes().try_for_each(|byte| write!(text, "%{byte:02X}")),
            3 => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(text, "\\u{unit:04x}")),
            4 => write!(text, "&#{code};"),
            _ => write!(text, "{c}"),
        };
    }
    text
}
