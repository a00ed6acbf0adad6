//! A text without its escapes, and where in it each character stands.

use std::ops::Range;
use zeroize::Zeroizing;

/// The characters that a text stands for, and the bytes of the text that each of them is written with.
pub(super) struct Plain {
    pub(super) chars: Zeroizing<Vec<char>>,
    pub(super) at: Vec<Range<usize>>,
}

/// What an escape stands for.
enum Meaning {
    Char(char),
    /// A byte of a character in UTF-8.
    Byte(u8),
    Nothing,
}

/// Escapes may be escaped in turn, as a URL in JSON in a log line is; nobody writes them deeper than this.
const DEPTH: usize = 4;

impl Plain {
    pub(super) fn of(text: &str) -> Self {
        let chars = Zeroizing::new(text.chars().collect());
        let at = text.char_indices().map(|(start, c)| start..start + c.len_utf8()).collect();
        Self { chars, at }
    }

    /// The text as it is, without its escapes, without those that are left then, and so on.
    pub(super) fn levels(text: &str) -> Vec<Self> {
        let mut levels = vec![Self::of(text)];
        while let Some(next) = levels.last().filter(|_| levels.len() <= DEPTH).and_then(Self::decoded) {
            levels.push(next);
        }
        levels
    }

    /// The text, and the bytes of what was given that each of its own bytes is written with.
    pub(super) fn text(&self) -> (Zeroizing<String>, Vec<Range<usize>>) {
        let text = Zeroizing::new(self.chars.iter().collect::<String>());
        let bytes = self.chars.iter().zip(&self.at).flat_map(|(c, at)| std::iter::repeat_n(at.clone(), c.len_utf8()));
        (text, bytes.collect())
    }

    /// The same of the characters that `keep` keeps, as `fold` has them.
    pub(super) fn folded(&self, keep: impl Fn(char) -> bool, fold: impl Fn(char) -> char) -> Self {
        let mut kept = Self::empty(self.chars.len());
        for (c, at) in self.chars.iter().zip(&self.at).filter(|(c, _)| keep(**c)) {
            kept.push(fold(*c), at.clone());
        }
        kept
    }

    /// Without its escapes, of JSON, URLs, HTML, programming languages and terminals; none if it has none.
    fn decoded(&self) -> Option<Self> {
        let mut decoded = Self::empty(self.chars.len());
        let mut bytes: Vec<(u8, Range<usize>)> = Vec::new();
        let mut position = 0;
        let mut found = false;
        while let Some(c) = self.chars.get(position) {
            let escape = escape(&self.chars[position..]);
            found |= escape.is_some();
            let (meaning, length) = escape.unwrap_or((Meaning::Char(*c), 1));
            let at = self.at[position].start..self.at[position + length - 1].end;
            position += length;
            match meaning {
                Meaning::Byte(byte) => bytes.push((byte, at)),
                Meaning::Char(c) => {
                    decoded.push_bytes(&std::mem::take(&mut bytes));
                    decoded.push(c, at);
                }
                Meaning::Nothing => {}
            }
        }
        decoded.push_bytes(&bytes);
        found.then_some(decoded)
    }

    fn empty(capacity: usize) -> Self {
        Self { chars: Zeroizing::new(Vec::with_capacity(capacity)), at: Vec::with_capacity(capacity) }
    }

    fn push(&mut self, c: char, at: Range<usize>) {
        self.chars.push(c);
        self.at.push(at);
    }

    /// The characters of these bytes: of UTF-8, else of Latin-1.
    fn push_bytes(&mut self, bytes: &[(u8, Range<usize>)]) {
        let plain = Zeroizing::new(bytes.iter().map(|(byte, _)| *byte).collect::<Vec<_>>());
        let mut position = 0;
        for chunk in plain.utf8_chunks() {
            for c in chunk.valid().chars() {
                let end = position + c.len_utf8();
                self.push(c, bytes[position].1.start..bytes[end - 1].1.end);
                position = end;
            }
            for byte in chunk.invalid() {
                self.push(char::from(*byte), bytes[position].1.clone());
                position += 1;
            }
        }
    }
}

/// The escape that these characters begin with, and its length.
fn escape(chars: &[char]) -> Option<(Meaning, usize)> {
    match chars {
        ['%', high, low, ..] => Some((Meaning::Byte(byte(*high, *low)?), 3)),
        ['\\', 'x', high, low, ..] => Some((Meaning::Byte(byte(*high, *low)?), 4)),
        ['\\', 'u', '{', rest @ ..] => {
            let length = rest.iter().take(7).position(|c| *c == '}')?;
            Some((Meaning::Char(char::from_u32(number(&rest[..length], 16)?)?), length + 4))
        }
        ['\\', 'u', rest @ ..] => utf16(rest),
        ['\\', c, ..] => Some((Meaning::Char(backslashed(*c)?), 2)),
        ['&', rest @ ..] => {
            let length = rest.iter().take(10).position(|c| *c == ';')?;
            Some((Meaning::Char(entity(&rest[..length])?), length + 2))
        }
        [ESCAPE, rest @ ..] => Some((Meaning::Nothing, terminal_sequence(rest.iter().copied())? + 1)),
        _ => None,
    }
}

/// What the sequences begin with that a terminal takes for commands.
pub(crate) const ESCAPE: char = '\u{1b}';

/// How many characters behind [`ESCAPE`] belong to its sequence; none if it has no end.
pub(crate) fn terminal_sequence(mut rest: impl Iterator<Item = char> + Clone) -> Option<usize> {
    const BELL: char = '\u{7}';
    match rest.next()? {
        // Colours, cursor: up to a letter.
        '[' => Some(rest.position(|c| !matches!(c, ' '..='?'))? + 2),
        // Titles: up to a bell, or to another escape with a backslash.
        ']' => {
            let length = rest.clone().position(|c| matches!(c, BELL | ESCAPE))?;
            let end = rest.skip(length).take(2).eq([ESCAPE, '\\']);
            Some(length + 2 + usize::from(end))
        }
        // Character sets.
        ' '..='/' => Some(rest.position(|c| !matches!(c, ' '..='/'))? + 2),
        '0'..='~' => Some(1),
        _ => None,
    }
}

/// What follows `\u`: four digits, or eight with another `\u` between them.
fn utf16(rest: &[char]) -> Option<(Meaning, usize)> {
    let unit = |digits: Option<&[char]>| number(digits?, 16).and_then(|unit| u16::try_from(unit).ok());
    let first = unit(rest.get(..4))?;
    let second = rest.get(4..).and_then(|more| more.strip_prefix(&['\\', 'u'])).and_then(|more| unit(more.get(..4)));
    let pair: Vec<u16> = [Some(first), second].into_iter().flatten().collect();
    let c = char::decode_utf16(pair).next()?.ok()?;
    Some((Meaning::Char(c), if c.len_utf16() == 2 { 12 } else { 6 }))
}

fn backslashed(c: char) -> Option<char> {
    Some(match c {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        'f' => '\u{c}',
        '0' => '\0',
        '"' | '\'' | '\\' | '/' | '\n' => c,
        _ => return None,
    })
}

fn entity(name: &[char]) -> Option<char> {
    match name {
        ['#', 'x' | 'X', digits @ ..] => char::from_u32(number(digits, 16)?),
        ['#', digits @ ..] => char::from_u32(number(digits, 10)?),
        ['a', 'm', 'p'] => Some('&'),
        ['l', 't'] => Some('<'),
        ['g', 't'] => Some('>'),
        ['q', 'u', 'o', 't'] => Some('"'),
        ['a', 'p', 'o', 's'] => Some('\''),
        _ => None,
    }
}

fn byte(high: char, low: char) -> Option<u8> {
    number(&[high, low], 16).and_then(|byte| u8::try_from(byte).ok())
}

fn number(digits: &[char], radix: u32) -> Option<u32> {
    let nonempty = (!digits.is_empty()).then_some(0_u32);
    digits.iter().fold(nonempty, |sum, digit| sum?.checked_mul(radix)?.checked_add(digit.to_digit(radix)?))
}
