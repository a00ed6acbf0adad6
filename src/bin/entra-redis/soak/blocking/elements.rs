//! The elements of one queue, each of which is pushed once and is to be taken once.

use std::{collections::BTreeMap, time::Instant};

/// So many are remembered that are nowhere any more.
const REMEMBERED: usize = 20_000;

/// Who has taken an element.
type Consumer = usize;

#[derive(Clone, Copy, Debug, Default)]
struct Element {
    /// When Redis had acknowledged that it was pushed; if it has not, it may never come.
    pushed: Option<Instant>,
    taken_by: Option<Consumer>,
    /// When it was taken, and when it had gone from everywhere.
    taken: Option<Instant>,
    settled: Option<Instant>,
}

/// What is not settled yet; of all others that have been given a number, nothing must be heard any more.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    open: BTreeMap<u64, Element>,
    next: u64,
    /// Those that were settled last.
    settled: BTreeMap<u64, Element>,
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
            element.pushed = Some(Instant::now());
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
            Some(element) if element.taken_by.is_none() => {
                (element.taken_by, element.taken) = (Some(consumer), Some(Instant::now()));
                true
            }
            _ => false,
        }
    }

    /// The same of one that has been taken before, if the server may have lost what it had acknowledged at certain
    /// moments, among them that it was taken, or that it was removed then.
    pub(crate) fn take_after_loss(
        &mut self,
        number: u64,
        consumer: Consumer,
        may_be_lost: impl Fn(Instant) -> bool,
    ) -> bool {
        if self.take(number, consumer) {
            return true;
        }
        let before = self.open.get(&number).or_else(|| self.settled.get(&number)).copied();
        let moments = before.into_iter().flat_map(|element| element.taken.into_iter().chain(element.settled));
        let is_right = moments.into_iter().any(may_be_lost);
        if let (true, Some(element)) = (is_right, before) {
            let again = Element { taken_by: Some(consumer), taken: Some(Instant::now()), settled: None, ..element };
            self.open.insert(number, again);
        }
        is_right
    }

    /// Whether one that a consumer has taken may have gone from its list for that reason.
    pub(crate) fn may_have_gone(&self, number: u64, may_be_lost: impl Fn(Instant) -> bool) -> bool {
        let element = self.open.get(&number).or_else(|| self.settled.get(&number));
        element.and_then(|element| element.taken).is_some_and(may_be_lost)
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
        if let Some(mut element) = self.open.remove(&number) {
            element.settled = Some(Instant::now());
            self.settled.insert(number, element);
            if self.settled.len() > REMEMBERED {
                self.settled.pop_first();
            }
        }
    }

    /// Those that were certainly pushed, and that nobody has got; when that was.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (u64, Instant)> {
        let missing = |element: &Element| element.pushed.filter(|_| element.taken_by.is_none());
        self.open.iter().filter_map(move |(number, element)| Some((*number, missing(element)?)))
    }
}
