//! How callers learn of the end of their requests: first all counts and permits are right, then they are told.

use super::Driver;
use crate::{
    admission::Permit,
    link::{
        entry::Entry,
        reply::{Completion, Outcome},
    },
};
use std::task::Waker;
use tokio::time::Instant;

impl<S> Driver<S> {
    /// Has an answer ready for whoever waits for it, until [`hand_over`](Self::hand_over).
    #[expect(clippy::inline_always, reason = "what it is given is large, and is moved once more with each call")]
    #[inline(always)]
    pub(super) fn tell(&mut self, entry: Entry, outcome: Outcome, large: bool) {
        let Entry { cell, deadline, .. } = entry;
        if let Some(cell) = cell {
            let deadline = deadline.unwrap_or_else(Instant::now);
            self.answers.push((cell, Completion { outcome, large, deadline }));
        }
    }

    /// Gives back the permits of what is through, and only then tells the callers: their next commands find room.
    pub(super) fn hand_over(&mut self) {
        self.queue.left(std::mem::take(&mut self.through));
        for (cell, answer) in self.answers.drain(..) {
            if let Some(waker) = cell.fill(answer) {
                self.wakers.push(waker);
            }
            self.outstanding.spent.push_back(cell);
        }
    }

    pub(super) fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// Ends a request that the connection's end has overtaken.
    pub(super) fn give_up(&mut self, entry: Entry) {
        let is_question = entry.expect.is_question();
        // What the TLS layer has taken may have gone.
        let outcome = if entry.begins < self.written && !is_question {
            Outcome::Lost(self.reason, self.node.clone())
        } else {
            let place = self.place_of(&entry);
            if is_question { Outcome::HeldBack(place) } else { Outcome::Unsent(place) }
        };
        self.tell(entry, outcome, false);
    }

    /// The permit of a command that will go over another link, which keeps it: otherwise others might take it first.
    fn place_of(&mut self, entry: &Entry) -> Option<Permit> {
        if !entry.permitted || entry.cell.is_none() {
            return None;
        }
        self.through.permits = self.through.permits.checked_sub(1)?;
        Some(Permit::acquired(&self.admission))
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        let mut entries = std::mem::take(&mut self.outstanding.entries);
        entries.extend(self.queue.end(self.reason));
        for entry in &entries {
            self.through.add(entry);
        }
        // The cells of those that end when they are written are here.
        let quiet = std::mem::take(&mut self.quiet);
        let usual = Instant::now() + self.patience;
        for mut entry in entries.into_iter().chain(quiet) {
            entry.deadline.get_or_insert(usual);
            self.give_up(entry);
        }
        self.hand_over();
        self.keeper.notify_one();
        self.wake();
    }
}
