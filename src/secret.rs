//! A string that never shows itself, in whole or in part.

mod decode;
mod marks;
mod names;
mod redact;
mod unknown;

use marks::Marks;
use std::fmt;
use zeroize::Zeroizing;

pub(crate) use decode::{ESCAPE, terminal_sequence};
pub(crate) use unknown::{jwts_in, scrub_jwts, scrub_unknown};

/// What stands in the place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// What a server or a tool says is cut off after this, and neither looked at nor shown further.
const LONGEST_TEXT: usize = 16 << 10;

/// A token, secret, key or password: redacted in `Debug`, without `Display`, wiped from memory on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself, for the place that has to send it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every part of this secret blanked, however it is written: for what a server says that was sent it.
    ///
    /// No piece of six characters is left (of a secret of less than twelve, of half of its length, but of four at
    /// least), in whatever case, and with whatever line breaks and punctuation in between; as it is, in escapes, in
    /// base64 or in hex.
    pub(crate) fn scrub(&self, text: &str) -> String {
        Self::scrub_all([self], text)
    }

    /// The same of several secrets.
    pub(crate) fn scrub_all<'a>(secrets: impl IntoIterator<Item = &'a Self>, text: &str) -> String {
        let mut marks = Marks::new(bounded(text));
        redact::mark(&mut marks, secrets.into_iter().map(Self::expose));
        marks.show()
    }
}

fn bounded(text: &str) -> &str {
    let mut end = LONGEST_TEXT.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([redacted])")
    }
}

impl<T: Into<String>> From<T> for Secret {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

#[cfg(test)]
mod tests;
