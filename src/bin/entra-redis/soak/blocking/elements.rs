//! The elements of one queue, each of which is pushed once and is to be taken once.

use std::collections::BTreeMap;

/// Who has taken an element.
type Consumer = usize;

#[derive(Clone, Copy, Debug, Default)]
struct Element {
    /// Whether Redis has acknowledged that it was pushed; if not, it may never come.
    is_pushed: bool,
    taken_by: Option<Consumer>,
    /// Whether the server may have lost it, or what happened to it, since.
    is_excused: bool,
}

/// What is not settled yet; of all others that have been given a number, nothing must be heard any more.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    open: BTreeMap<u64, Element>,
    next: u64,
    /// What comes again of those before is the work of a server that has forgotten that they were taken.
    excused_before: u64,
}

impl Elements {
    /// The number of an element that is about to be pushed.
    pub(crate) fn pushing(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, Element::default());
        number
    }

    /// Redis has it. It may have been taken meanwhile.
    pub(crate) fn pushed(&mut self, number: u64) {
        if let Some(element) = self.open.get_mut(&number) {
            element.is_pushed = true;
        }
    }

    /// It was certainly not pushed: it must not be heard of.
    pub(crate) fn not_pushed(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// A consumer gets an element; whether that is right, which it is once.
    #[must_use]
    pub(crate) fn take(&mut self, number: u64, consumer: Consumer) -> bool {
        match self.open.get_mut(&number) {
            Some(element) if element.taken_by.is_none() || element.is_excused => {
                element.taken_by = Some(consumer);
                true
            }
            Some(_) => false,
            None => number < self.excused_before,
        }
    }

    /// A consumer finds an element in its own list, where it may lie since it got it: its removal was not confirmed.
    /// Whether that is right.
    #[must_use]
    pub(crate) fn find(&mut self, number: u64, consumer: Consumer) -> bool {
        let is_known = self.open.get(&number).is_some_and(|element| element.taken_by == Some(consumer));
        is_known || self.take(number, consumer)
    }

    /// Whether somebody has it, or had.
    pub(crate) fn is_taken(&self, number: u64) -> bool {
        self.open.get(&number).is_none_or(|element| element.taken_by.is_some())
    }

    /// The element is nowhere any more.
    pub(crate) fn settle(&mut self, number: u64) {
        self.open.remove(&number);
    }

    /// A server was started anew, or has gone: what it had may be lost, or be there again.
    pub(crate) fn perhaps_lost(&mut self) {
        self.open.values_mut().for_each(|element| element.is_excused = true);
        self.excused_before = self.next;
    }

    /// Those that were certainly pushed, and that nobody has got.
    pub(crate) fn missing(&self) -> impl Iterator<Item = u64> {
        let is_missing = |element: &Element| element.is_pushed && element.taken_by.is_none() && !element.is_excused;
        self.open.iter().filter(move |(_, element)| is_missing(element)).map(|(number, _)| *number)
    }
}
