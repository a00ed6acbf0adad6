//! Replies in either protocol, with everything that is on the wire.

use std::fmt;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reply {
    /// The byte that its type goes by.
    pub(super) kind: u8,
    pub(super) text: Vec<u8>,
    pub(super) items: Vec<Reply>,
}

impl Reply {
    /// The reply at `at`, and where it ends; none if it is not complete yet.
    pub(super) fn parse(bytes: &[u8], at: usize) -> Option<(Self, usize)> {
        let kind = *bytes.get(at)?;
        let line = bytes[at + 1..].iter().position(|byte| *byte == b'\r')?;
        let head = bytes[at + 1..at + 1 + line].to_vec();
        let next = at + line + 3;
        if next > bytes.len() {
            return None;
        }
        let leaf = |text| Self { kind, text, items: Vec::new() };
        let len = || str::from_utf8(&head).unwrap().parse::<i64>().unwrap();
        match kind {
            b'$' | b'=' if len() >= 0 => {
                let end = next + usize::try_from(len()).unwrap();
                (end + 2 <= bytes.len()).then(|| (leaf(bytes[next..end].to_vec()), end + 2))
            }
            b'*' | b'~' | b'%' | b'>' if len() >= 0 => {
                let mut items = Vec::new();
                let mut at = next;
                for _ in 0..len() * if kind == b'%' { 2 } else { 1 } {
                    let (item, next) = Self::parse(bytes, at)?;
                    items.push(item);
                    at = next;
                }
                Some((Self { kind, text: Vec::new(), items }, at))
            }
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'$' | b'*' => Some((leaf(head), next)),
            kind => panic!("a reply of the type {:?}", char::from(kind)),
        }
    }

    pub(super) fn is_error(&self) -> bool {
        self.kind == b'-'
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// The texts of its items.
    pub(super) fn texts(&self) -> Vec<String> {
        self.items.iter().map(Self::text).collect()
    }

    pub(super) fn number(&self) -> Option<i64> {
        (self.kind == b':').then(|| self.text().parse().unwrap())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", char::from(self.kind), self.text.escape_ascii())?;
        if matches!(self.kind, b'*' | b'~' | b'%' | b'>') {
            f.debug_list().entries(&self.items).finish()
        } else {
            Ok(())
        }
    }
}
