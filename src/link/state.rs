//! Whether a link takes commands, and how many it is busy with.

use crate::lock::lock;
use std::sync::{
    Mutex,
    atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst},
};
use tokio::sync::Notify;

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Takes commands.
    Open,
    /// An `AUTH` is under way: takes commands only when nothing else does.
    Aside,
    /// Takes no commands any more, and why.
    Down(&'static str),
}

const OPEN: u8 = 0;
const ASIDE: u8 = 1;
const DOWN: u8 = 2;

/// Commands enter by counting themselves in and then looking whether they may; a change of condition first changes it and
/// then looks at the count. Sequential consistency makes one of the two see the other: after a change, a count of zero
/// means that nobody is on the way to the socket.
pub(super) struct State {
    condition: AtomicU8,
    in_flight: AtomicUsize,
    reason: Mutex<&'static str>,
    left: Notify,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            condition: AtomicU8::new(OPEN),
            in_flight: AtomicUsize::new(0),
            reason: Mutex::new("open"),
            left: Notify::new(),
        }
    }

    pub(super) fn condition(&self) -> Condition {
        match self.condition.load(SeqCst) {
            OPEN => Condition::Open,
            ASIDE => Condition::Aside,
            _ => Condition::Down(*lock(&self.reason)),
        }
    }

    /// Down is for ever, and keeps its first reason.
    pub(super) fn set(&self, condition: Condition) {
        if let Condition::Down(why) = condition {
            let mut reason = lock(&self.reason);
            if self.condition.load(SeqCst) != DOWN {
                *reason = why;
                self.condition.store(DOWN, SeqCst);
            }
        }
    }

    /// Changes `from` to `to`, unless the condition is another one by now.
    pub(super) fn swap(&self, from: Condition, to: Condition) {
        _ = self.condition.compare_exchange(code(from), code(to), SeqCst, SeqCst);
    }

    pub(super) fn enter(&self, condition: Condition) -> bool {
        self.in_flight.fetch_add(1, SeqCst);
        let admitted = self.condition.load(SeqCst) == code(condition);
        if !admitted {
            self.leave();
        }
        admitted
    }

    pub(super) fn leave(&self) {
        if self.in_flight.fetch_sub(1, SeqCst) == 1 && self.condition.load(SeqCst) != OPEN {
            self.left.notify_waiters();
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    pub(super) async fn drained(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            // Enabled before the look at the count, so that no departure falls between the two.
            left.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            left.await;
        }
    }
}

fn code(condition: Condition) -> u8 {
    match condition {
        Condition::Open => OPEN,
        Condition::Aside => ASIDE,
        Condition::Down(_) => DOWN,
    }
}
