//! A command's arguments, read as what they should be.

/// A reply, or the text of an error.
pub(super) type Outcome = Result<crate::emulator::resp::Reply, String>;

pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
pub(super) const SYNTAX: &str = "ERR syntax error";

/// The arguments after the command's name. How many there are has been checked against the command's arity.
#[derive(Clone, Copy)]
pub(super) struct Args<'a>(pub(super) &'a [Vec<u8>]);

impl<'a> Args<'a> {
    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    /// The argument at `index`; an absent one is empty, and none that the arity demands is absent.
    pub(super) fn at(self, index: usize) -> &'a [u8] {
        self.0.get(index).map_or(&[], Vec::as_slice)
    }

    pub(super) fn from(self, index: usize) -> Self {
        Self(self.0.get(index..).unwrap_or_default())
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().map(Vec::as_slice)
    }

    /// Pairs of arguments; an odd one at the end makes none.
    pub(super) fn pairs(self) -> Option<impl Iterator<Item = (&'a [u8], &'a [u8])>> {
        let pairs = self.0.chunks_exact(2);
        pairs.remainder().is_empty().then(|| pairs.map(|pair| (pair[0].as_slice(), pair[1].as_slice())))
    }

    pub(super) fn integer(self, index: usize) -> Result<i64, String> {
        integer(self.at(index)).ok_or_else(|| NOT_AN_INTEGER.to_owned())
    }

    pub(super) fn option(self, index: usize) -> String {
        String::from_utf8_lossy(self.at(index)).to_ascii_uppercase()
    }
}

pub(super) fn integer(text: &[u8]) -> Option<i64> {
    str::from_utf8(text).ok()?.parse().ok()
}

pub(super) fn float(text: &[u8]) -> Option<f64> {
    str::from_utf8(text).ok()?.parse().ok().filter(|number: &f64| !number.is_nan())
}

/// The part of a sequence of `len` items between two indices that may count from the end, as Redis cuts it.
pub(super) fn span(len: usize, start: i64, stop: i64) -> std::ops::Range<usize> {
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let absolute = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let start = absolute(start).clamp(0, len);
    let stop = absolute(stop).saturating_add(1).clamp(start, len);
    // Both are between 0 and a length.
    usize::try_from(start).unwrap_or(0)..usize::try_from(stop).unwrap_or(0)
}
