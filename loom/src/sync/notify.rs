//! `tokio::sync::Notify`, as far as it is used: each of its steps is one step here, under one lock.
//!
//! - [`notify_one`](Notify::notify_one) wakes who was enabled or polled first; if there is nobody, it leaves one permit
//!   for the next one who is. A second permit is not kept.
//! - [`notify_waiters`](Notify::notify_waiters) wakes everybody who has called [`notified`](Notify::notified), and
//!   leaves nothing.
//! - A [`Notified`] that is dropped after `notify_one` has chosen it, and before it has learned of that, hands this on.

use loom::sync::{Mutex, MutexGuard};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, Waker},
};

pub(crate) struct Notify(Mutex<State>);

struct State {
    has_permit: bool,
    /// How often all have been woken.
    calls: usize,
    /// Who waits, in the order in which they came, by numbers, and those who have been chosen and do not know it.
    waiters: VecDeque<(usize, Option<Waker>)>,
    chosen: Vec<usize>,
    next: usize,
}

impl Notify {
    pub(crate) fn new() -> Self {
        let (waiters, chosen) = (VecDeque::new(), Vec::new());
        Self(Mutex::new(State { has_permit: false, calls: 0, waiters, chosen, next: 0 }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { notify: self, calls: self.state().calls, stage: Stage::New }
    }

    pub(crate) fn notify_one(&self) {
        let waker = self.state().choose();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn notify_waiters(&self) {
        let mut state = self.state();
        state.calls += 1;
        let waiters = std::mem::take(&mut state.waiters);
        drop(state);
        waiters.into_iter().filter_map(|(_, waker)| waker).for_each(Waker::wake);
    }
}

impl State {
    fn choose(&mut self) -> Option<Waker> {
        let Some((number, waker)) = self.waiters.pop_front() else {
            self.has_permit = true;
            return None;
        };
        self.chosen.push(number);
        waker
    }
}

enum Stage {
    New,
    Waiting(usize),
    Done,
}

pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    /// How often all had been woken when it was made.
    calls: usize,
    stage: Stage,
}

impl Notified<'_> {
    pub(crate) fn enable(self: Pin<&mut Self>) -> bool {
        self.look(None)
    }

    /// Whether it is through; if not, it waits, and `waker` will be woken.
    fn look(mut self: Pin<&mut Self>, waker: Option<&Waker>) -> bool {
        let mut state = self.notify.state();
        let is_through = match self.stage {
            Stage::Done => true,
            Stage::New => self.calls != state.calls || std::mem::take(&mut state.has_permit),
            Stage::Waiting(number) => {
                let chosen = state.chosen.iter().position(|chosen| *chosen == number);
                chosen.map(|at| state.chosen.swap_remove(at)).is_some() || self.calls != state.calls
            }
        };
        if is_through {
            drop(state);
            self.stage = Stage::Done;
            return true;
        }
        if let Stage::Waiting(number) = self.stage {
            let waiter = state.waiters.iter_mut().find(|(waiter, _)| *waiter == number);
            if let (Some((_, kept)), Some(waker)) = (waiter, waker) {
                *kept = Some(waker.clone());
            }
        } else {
            let number = state.next;
            state.next += 1;
            state.waiters.push_back((number, waker.cloned()));
            drop(state);
            self.stage = Stage::Waiting(number);
        }
        false
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.look(Some(cx.waker())) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Stage::Waiting(number) = self.stage else {
            return;
        };
        let mut state = self.notify.state();
        state.waiters.retain(|(waiter, _)| *waiter != number);
        let chosen = state.chosen.iter().position(|chosen| *chosen == number);
        let waker = chosen.and_then(|at| {
            state.chosen.swap_remove(at);
            state.choose()
        });
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
