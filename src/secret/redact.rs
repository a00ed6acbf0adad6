//! Hides a known secret in what is said by a server that was sent it: every part of it, in whatever form it comes back.

use super::{decode::Plain, marks::Marks};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use std::collections::{HashMap, HashSet};
use zeroize::Zeroizing;

/// A piece of this many characters is recognisable. Five of a token's thousand say nothing, and what is shorter occurs
/// in any text by chance: for six, with a token of 2,000 characters and a text of 400, that is once in a thousand
/// texts.
const PIECE: usize = 6;

/// A part of a short secret gives more of it away; three characters are in any text.
const SHORTEST_PIECE: usize = 4;

/// Which characters of a text are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Keep {
    All,
    /// All but line breaks, other spaces and control characters, which come in where a text is wrapped.
    Visible,
    /// Letters and digits: whatever else stands between them may come from the one who quotes.
    Alphanumeric,
}

impl Keep {
    const EACH: [Self; 3] = [Self::All, Self::Visible, Self::Alphanumeric];

    fn keeps(self, c: char) -> bool {
        // Zero width, soft hyphen, byte order mark.
        let invisible = || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
        match self {
            Self::All => true,
            Self::Visible => !c.is_whitespace() && !c.is_control() && c != '+' && !invisible(),
            Self::Alphanumeric => c.is_alphanumeric(),
        }
    }
}

/// The hashes of all pieces of so many characters, of those that are looked at.
type Pieces = HashMap<(Keep, usize), HashSet<u64>>;

/// Hides every piece of every one of `secrets`, in one pass, however many they are.
pub(super) fn mark<'a>(marks: &mut Marks<'_>, secrets: impl IntoIterator<Item = &'a str>) {
    let mut pieces = Pieces::new();
    for secret in secrets {
        add(&mut pieces, secret);
    }
    if pieces.is_empty() {
        return;
    }
    for level in Plain::levels(marks.text()) {
        for keep in Keep::EACH {
            let view = level.folded(|c| keep.keeps(c), fold);
            for ((_, length), hashes) in pieces.iter().filter(|((kept, _), _)| *kept == keep) {
                for (position, piece) in view.chars.windows(*length).enumerate() {
                    if hashes.contains(&hash(piece)) {
                        marks.hide(view.at[position].start..view.at[position + length - 1].end);
                    }
                }
            }
        }
    }
}

/// Adds the pieces of all forms of a secret.
fn add(pieces: &mut Pieces, secret: &str) {
    let mut add = |plain: &Plain, keep: Keep, length: usize| {
        let kept = plain.folded(|c| keep.keeps(c), fold);
        if kept.chars.len() >= length {
            pieces.entry((keep, length)).or_default().extend(kept.chars.windows(length).map(hash));
        }
    };
    for level in Plain::levels(secret) {
        let characters = level.chars.len();
        if characters == 0 {
            continue;
        }
        let length = (characters / 2).clamp(SHORTEST_PIECE, PIECE).min(characters);
        for keep in Keep::EACH {
            add(&level, keep, length);
        }
        let text = Zeroizing::new(level.chars.iter().collect::<String>());
        for shift in 0..3 {
            add(&Plain::of(&in_base64(&text, shift)), Keep::Alphanumeric, length * 4 / 3);
        }
        add(&Plain::of(&in_hex(&text)), Keep::Alphanumeric, length * 2);
    }
}

/// What base64, of either alphabet, makes of the secret wherever `shift` bytes, and any multiple of three, stand before
/// it.
fn in_base64(secret: &str, shift: usize) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new(vec![0; shift]);
    bytes.extend(secret.as_bytes());
    let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(&*bytes));
    // Characters at both ends that depend on the neighbours as well.
    let (start, end) = ((shift * 8).div_ceil(6), bytes.len() * 8 / 6);
    Zeroizing::new(encoded.get(start..end).unwrap_or_default().to_owned())
}

fn in_hex(secret: &str) -> Zeroizing<String> {
    let digits = secret.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    Zeroizing::new(digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect())
}

/// Upper and lower case are one, as are the two that a form has for a space.
fn fold(c: char) -> char {
    if c == '+' { ' ' } else { c.to_lowercase().next().unwrap_or(c) }
}

fn hash(piece: &[char]) -> u64 {
    piece
        .iter()
        .fold(0, |hash: u64, c| hash.wrapping_add(u64::from(*c)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23))
}
