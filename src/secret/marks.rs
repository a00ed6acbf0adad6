//! Which bytes of a text are not to be shown.

use super::REDACTED;
use std::ops::Range;

pub(super) struct Marks<'a> {
    text: &'a str,
    hidden: Vec<bool>,
}

impl<'a> Marks<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, hidden: vec![false; text.len()] }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Whole characters.
    pub(super) fn hide(&mut self, bytes: Range<usize>) {
        self.hidden[bytes].fill(true);
    }

    /// The text, with one word for each of the parts that are hidden.
    pub(super) fn show(&self) -> String {
        let mut shown = String::with_capacity(self.text.len());
        let mut before = false;
        for (position, c) in self.text.char_indices() {
            match (self.hidden[position], before) {
                (false, _) => shown.push(c),
                (true, false) => shown.push_str(REDACTED),
                (true, true) => {}
            }
            before = self.hidden[position];
        }
        shown
    }
}
