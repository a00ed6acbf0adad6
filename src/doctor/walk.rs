//! The steps as they are found, told in their order.

use super::report::{Finding, Name, Report, Step};
use std::cell::RefCell;

/// Steps may be found in any order, some of them at the same time.
pub(super) struct Walk<'a>(RefCell<Inner<'a>>);

struct Inner<'a> {
    found: Vec<Option<Step>>,
    /// How many have been told.
    told: usize,
    tell: &'a mut dyn FnMut(&Step),
}

impl<'a> Walk<'a> {
    pub(super) fn new(tell: &'a mut dyn FnMut(&Step)) -> Self {
        Self(RefCell::new(Inner { found: vec![None; Name::ALL.len()], told: 0, tell }))
    }

    /// Notes what was found, and tells what is next.
    pub(super) fn settle(&self, name: Name, finding: Finding) {
        let mut inner = self.0.borrow_mut();
        if let Some((at, (_, title))) = Name::ALL.iter().enumerate().find(|(_, (known, _))| *known == name) {
            inner.found[at] = Some(finding.called(title));
        }
        inner.tell_known();
    }

    /// Of steps that nothing was found of, `why`.
    pub(super) fn give_up(&self, why: &str) {
        let mut inner = self.0.borrow_mut();
        for (step, (_, title)) in inner.found.iter_mut().zip(Name::ALL) {
            step.get_or_insert_with(|| Finding::not_reached(why).called(title));
        }
        inner.tell_known();
    }

    /// The steps; of those that nothing was found of, `why`.
    pub(super) fn end(self, why: &str) -> Report {
        self.give_up(why);
        Report::new(self.0.into_inner().found.into_iter().flatten().collect())
    }
}

impl Inner<'_> {
    fn tell_known(&mut self) {
        while let Some(Some(step)) = self.found.get(self.told) {
            (self.tell)(step);
            self.told += 1;
        }
    }
}
