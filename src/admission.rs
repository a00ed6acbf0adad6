//! How many commands are under way, how many may be, and how they ended.

use crate::{
    error::{Error, ErrorKind},
    sync::{Arc, AtomicU64, AtomicUsize, Notify},
};
use std::{
    fmt,
    sync::atomic::Ordering::{Relaxed, SeqCst},
};

/// What happens to a command that comes while `max_in_flight` others have no answer yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overload {
    /// It fails at once, with [`ErrorKind::Overloaded`].
    #[default]
    Refuse,
    /// It waits for room, up to its deadline.
    Wait,
}

/// The commands of all handles, since `connect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandStats {
    /// Commands and pipelines that were handed to a connection, each as often as it was sent.
    pub sent: u64,
    /// Those without an answer yet, what nobody waits for any more included.
    pub in_flight: usize,
    /// Those that wait for a connection to come up, or for room among `max_in_flight`.
    pub waiting: usize,
    /// Those that were sent once more, because they had certainly not run (or, with `retry_reads`, change nothing).
    pub retried: u64,
    /// Those that never got a connection, or room, within `command_timeout`; part of `failed.timed_out`.
    pub unserved: u64,
    /// Those that failed on this side. What Redis answers is an answer, errors included.
    pub failed: FailedCommands,
}

/// Commands that failed on this side, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedCommands {
    /// No reply, or no connection to send them on, within `command_timeout`.
    pub timed_out: u64,
    /// Their connection broke with them on their way.
    pub lost: u64,
    /// There was no valid token.
    pub unauthenticated: u64,
    /// There were `max_in_flight` others.
    pub overloaded: u64,
    /// They came after `shutdown`.
    pub closed: u64,
    /// They are none that a shared connection can carry.
    pub refused: u64,
}

impl FailedCommands {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Self { timed_out, lost, unauthenticated, overloaded, closed, refused } = self;
        timed_out + lost + unauthenticated + overloaded + closed + refused
    }
}

/// Somebody who waits for room, until dropped.
struct Waiter<'a> {
    waiting: &'a AtomicUsize,
    is_behind_others: bool,
}

impl<'a> Waiter<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        Self { waiting, is_behind_others: waiting.fetch_add(1, SeqCst) > 0 }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, SeqCst);
    }
}

/// Shared by the pool and its links.
pub(crate) struct Admission {
    most: usize,
    in_flight: AtomicUsize,
    /// Rung once for each permit that becomes free while somebody waits for one.
    room: Notify,
    waiting_for_room: AtomicUsize,
    waiting: AtomicUsize,
    sent: AtomicU64,
    retried: AtomicU64,
    unserved: AtomicU64,
    timed_out: AtomicU64,
    lost: AtomicU64,
    unauthenticated: AtomicU64,
    overloaded: AtomicU64,
    closed: AtomicU64,
    refused: AtomicU64,
}

impl Admission {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            in_flight: AtomicUsize::new(0),
            room: Notify::new(),
            waiting_for_room: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            unserved: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            unauthenticated: AtomicU64::new(0),
            overloaded: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Takes a permit for one command; false if there is none. It is given back by [`release`](Self::release).
    pub(crate) fn try_acquire(&self) -> bool {
        // Not added and taken back: that would look like a departure to those who wait for one.
        let next = |in_flight| (in_flight < self.most).then_some(in_flight + 1);
        self.in_flight.fetch_update(SeqCst, SeqCst, next).is_ok()
    }

    /// Takes permits for all of `count` commands, or for none of them.
    pub(crate) fn try_acquire_many(&self, count: usize) -> bool {
        let next = |in_flight: usize| in_flight.checked_add(count).filter(|next| *next <= self.most);
        self.in_flight.fetch_update(SeqCst, SeqCst, next).is_ok()
    }

    /// Whether so many may ever be under way.
    pub(crate) fn has_room_for(&self, count: usize) -> bool {
        count <= self.most
    }

    pub(crate) fn release(&self, count: usize) {
        if count > 0 {
            self.in_flight.fetch_sub(count, SeqCst);
            // One for each permit: the others would find it taken.
            for _ in 0..count.min(self.waiting_for_room.load(SeqCst)) {
                self.room.notify_one();
            }
        }
    }

    /// Whether others have waited for room before: who comes now stands behind them.
    pub(crate) fn has_queue(&self) -> bool {
        self.waiting_for_room.load(SeqCst) > 0
    }

    /// Takes a permit for one command, as soon as there is one; those who came first get theirs first.
    pub(crate) async fn acquire(&self) {
        let waiter = Waiter::new(&self.waiting_for_room);
        let mut is_next = !waiter.is_behind_others;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Enabled before the try, so that no departure falls between the two.
            room.as_mut().enable();
            if is_next && self.try_acquire() {
                break;
            }
            room.await;
            is_next = true;
        }
        // Before the look at who waits: whoever comes later tries for itself, and is not taken for one behind this one.
        drop(waiter);
        if self.in_flight.load(SeqCst) < self.most && self.has_queue() {
            self.room.notify_one();
        }
    }

    pub(crate) fn note_sent(&self, count: usize) {
        self.sent.fetch_add(count as u64, Relaxed);
    }

    pub(crate) fn note_retry(&self) {
        self.retried.fetch_add(1, Relaxed);
    }

    /// Counts a command among those that wait, until the answer is dropped.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(self)
    }

    /// Counts a command that waited in vain.
    pub(crate) fn note_unserved(&self) {
        self.unserved.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_lost(&self) {
        self.lost.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a command that failed with `error`.
    pub(crate) fn note_failure(&self, error: &Error) {
        let counter = match error.kind() {
            ErrorKind::Timeout(crate::error::Stage::Command) => &self.timed_out,
            ErrorKind::Overloaded => &self.overloaded,
            ErrorKind::Closed => &self.closed,
            // Nothing else keeps a command from being sent: there is no valid token.
            _ => &self.unauthenticated,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn overloaded(&self) -> Error {
        let text = format!("{} commands are in flight already (`max_in_flight`); this one was not sent", self.most);
        Error::new(ErrorKind::Overloaded, text)
    }

    pub(crate) fn stats(&self) -> CommandStats {
        CommandStats {
            sent: self.sent.load(Relaxed),
            in_flight: self.in_flight.load(SeqCst),
            waiting: self.waiting.load(Relaxed),
            retried: self.retried.load(Relaxed),
            unserved: self.unserved.load(Relaxed),
            failed: FailedCommands {
                timed_out: self.timed_out.load(Relaxed),
                lost: self.lost.load(Relaxed),
                unauthenticated: self.unauthenticated.load(Relaxed),
                overloaded: self.overloaded.load(Relaxed),
                closed: self.closed.load(Relaxed),
                refused: self.refused.load(Relaxed),
            },
        }
    }
}

/// A command's permit, given back when dropped.
pub(crate) struct Permit(Option<Arc<Admission>>);

impl Permit {
    /// The one that [`Admission::try_acquire`] has taken.
    pub(crate) fn acquired(admission: &Arc<Admission>) -> Self {
        Self(Some(Arc::clone(admission)))
    }

    /// Somebody else gives it back from now on.
    pub(crate) fn hand_on(mut self) {
        self.0 = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(admission) = self.0.take() {
            admission.release(1);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

/// A command that waits for a connection or for room.
pub(crate) struct Waiting<'a>(&'a Admission);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        pin::Pin,
        task::{Context, Waker},
    };

    #[test]
    fn no_more_get_a_permit_than_may() {
        let admission = Admission::new(2);
        assert!(
            admission.try_acquire() && admission.try_acquire() && !admission.try_acquire() && !admission.try_acquire()
        );
        assert_eq!(admission.stats().in_flight, 2);
        admission.release(1);
        assert!(admission.try_acquire() && !admission.try_acquire());
    }

    /// Polls once; whether it is through.
    fn poll(future: &mut Pin<Box<impl Future<Output = ()>>>) -> bool {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn who_waits_for_a_place_is_through_once_it_has_one() {
        let admission = Admission::new(1);
        assert!(admission.try_acquire());
        let mut first = Box::pin(admission.acquire());
        assert!(!poll(&mut first) && !poll(&mut first) && admission.has_queue());
        assert_eq!(admission.stats().in_flight, 1);
        admission.release(1);
        assert!(admission.has_queue() && admission.stats().in_flight == 0, "it takes the permit itself");
        assert!(poll(&mut first));
        assert!(admission.stats().in_flight == 1 && !admission.try_acquire() && !admission.has_queue());
    }

    #[test]
    fn those_who_came_first_get_their_places_first() {
        let admission = Admission::new(1);
        assert!(admission.try_acquire());
        let [mut first, mut second] = [admission.acquire(), admission.acquire()].map(Box::pin);
        assert!(!poll(&mut first) && !poll(&mut second));
        admission.release(1);
        assert!(!poll(&mut second) && poll(&mut first) && !poll(&mut second));
        // Who gives up leaves its turn to the next one, also after the bell has rung for it.
        let mut third = Box::pin(admission.acquire());
        assert!(!poll(&mut third));
        admission.release(1);
        drop(second);
        assert!(poll(&mut third));
    }

    /// Two places, one ring: whoever takes the first one sees to it that somebody takes the second.
    #[test]
    fn a_place_that_is_left_over_goes_to_the_next_one() {
        let admission = Admission::new(2);
        assert!(admission.try_acquire() && admission.try_acquire());
        let [mut first, mut second] = [admission.acquire(), admission.acquire()].map(Box::pin);
        assert!(!poll(&mut first));
        admission.release(2);
        assert!(!poll(&mut second), "it stands behind the first one");
        assert!(poll(&mut first) && poll(&mut second));
        assert_eq!(admission.stats().in_flight, 2);
    }

    /// On two threads, so that one may come at any moment of the other's coming and going.
    #[test]
    fn nobody_waits_beside_a_free_place() {
        const ROUNDS: usize = 30_000;
        let admission = Admission::new(2);
        let (arrived, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all_at = |counter: &AtomicUsize, round: usize| {
            counter.fetch_add(1, SeqCst);
            for turn in 1.. {
                if counter.load(SeqCst) >= 2 * (round + 1) {
                    return;
                }
                // The other one may have no processor to run on.
                if turn % 1000 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
            }
        };
        let work = || {
            let mut served = 0;
            for round in 0..ROUNDS {
                all_at(&arrived, round);
                let mut permit = Box::pin(admission.acquire());
                let mut through = poll(&mut permit);
                all_at(&left, round);
                // Whoever was in front is through by now, and has rung for those behind.
                through = through || poll(&mut permit);
                served += usize::from(through);
                if through {
                    admission.release(1);
                }
            }
            served
        };
        let served = std::thread::scope(|scope| {
            let other = scope.spawn(work);
            work() + other.join().unwrap()
        });
        assert_eq!(served, 2 * ROUNDS);
    }

    #[test]
    fn a_place_is_given_back_once_unless_somebody_else_does_it() {
        let admission = Admission::new(3);
        assert!(admission.try_acquire() && admission.try_acquire());
        let (kept, handed_on) = (Permit::acquired(&admission), Permit::acquired(&admission));
        handed_on.hand_on();
        assert_eq!(admission.stats().in_flight, 2);
        drop(kept);
        assert_eq!(admission.stats().in_flight, 1);
    }

    #[test]
    fn failures_are_counted_by_kind() {
        let admission = Admission::new(1);
        for kind in
            [ErrorKind::Timeout(crate::error::Stage::Command), ErrorKind::Overloaded, ErrorKind::CredentialRejected]
        {
            admission.note_failure(&Error::new(kind, "x"));
        }
        admission.note_failure(&Error::closed());
        let failed = admission.stats().failed;
        assert_eq!((failed.timed_out, failed.overloaded, failed.unauthenticated, failed.closed), (1, 1, 1, 1));
        assert_eq!(failed.total(), 4);
    }
}
