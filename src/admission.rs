//! How many commands are under way, how many may be, and how they ended.

use crate::{
    error::{Error, ErrorKind, Stage},
    sync::{Arc, AtomicU64, AtomicUsize, Notify},
};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

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

/// The commands of all handles, since `connect`. What `XREAD` with `BLOCK` and `$` asks first counts as commands of its
/// own, each as often as it is asked: one that gets no connection in time is among the failed ones, also if the `XREAD`
/// waits on.
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

/// Shared by all calls and all links.
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
        // In one step: a count that is raised and then lowered again would have others refused meanwhile.
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
            // One is woken for each permit; more would find none.
            for _ in 0..count.min(self.waiting_for_room.load(SeqCst)) {
                self.room.notify_one();
            }
        }
    }

    /// Whether somebody waits for room already, whose turn is before that of whoever comes now.
    pub(crate) fn has_queue(&self) -> bool {
        self.waiting_for_room.load(SeqCst) > 0
    }

    /// Takes a permit for one command, as soon as there is one; those who came first get theirs first.
    pub(crate) async fn acquire(&self) {
        // Nobody counts as waiting while there is room: `has_queue` would have others refused.
        if !self.has_queue() && self.try_acquire() {
            return;
        }
        let waiter = Waiter::new(&self.waiting_for_room);
        let mut is_next = !waiter.is_behind_others;
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Enabled before the try, so that no release between the two is missed.
            room.as_mut().enable();
            if is_next && self.try_acquire() {
                break;
            }
            room.await;
            is_next = true;
        }
        // No longer counted before the look at who waits: whoever came while this one was counted has not tried, and is
        // woken here; whoever comes later tries by itself.
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

    pub(crate) fn note_lost(&self) {
        self.lost.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a command that failed with `error`; one that was not sent until its deadline has waited in vain.
    pub(crate) fn note_failure(&self, error: &Error) {
        let counter = match error.kind() {
            ErrorKind::Timeout(Stage::Command) => {
                if !error.may_have_run() {
                    self.unserved.fetch_add(1, Relaxed);
                }
                &self.timed_out
            }
            ErrorKind::Overloaded => &self.overloaded,
            ErrorKind::Closed => &self.closed,
            // Their connection is gone, and they were not sent.
            ErrorKind::Interrupted | ErrorKind::Connect => &self.lost,
            // Nothing else keeps a command from being sent: there is no valid token.
            _ => &self.unauthenticated,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn overloaded(&self) -> Error {
        let text = format!("{} commands are in flight already (`max_in_flight`); this one was not sent", self.most);
        Error::new(ErrorKind::Overloaded, text)
    }

    pub(crate) fn too_many(&self, count: usize) -> Error {
        let text = format!(
            "it has parts for {count} slots or nodes, and no more than {} commands may be in flight (`max_in_flight`); it \
             was not sent",
            self.most
        );
        Error::new(ErrorKind::Overloaded, text).with_transient(false)
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

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Permit")
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(admission) = self.0.take() {
            admission.release(1);
        }
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
mod tests;
