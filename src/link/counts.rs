//! What is under way on a link, in numbers.

use super::entry::Through;
use crate::sync::{AtomicU64, AtomicUsize};
use std::sync::atomic::Ordering::SeqCst;

/// Requests are counted in under the queue's lock; everybody reads these without it.
pub(super) struct Counts {
    /// Commands queued since the connection began, without those that were given back.
    queued: AtomicU64,
    /// Commands without a complete reply, those that nobody waits for any more included.
    commands: AtomicUsize,
    /// The same of the link's own requests, such as `AUTH` and `PING`.
    own: AtomicUsize,
    /// Those among them that nothing else may be under way with, which are `AUTH`s.
    auths: AtomicUsize,
    /// Commands queued before the newest of these.
    before_auth: AtomicU64,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            queued: AtomicU64::new(0),
            commands: AtomicUsize::new(0),
            own: AtomicUsize::new(0),
            auths: AtomicUsize::new(0),
            before_auth: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(super) fn queue_command(&self) {
        // In this order, so that nobody takes a command that is just being queued for an answered one.
        self.commands.fetch_add(1, SeqCst);
        self.queued.fetch_add(1, SeqCst);
    }

    /// One of the link's own requests; an `AUTH` goes `alone`.
    pub(super) fn queue_own(&self, alone: bool) {
        self.own.fetch_add(1, SeqCst);
        if alone {
            self.before_auth.store(self.commands_queued(), SeqCst);
            self.auths.fetch_add(1, SeqCst);
        }
    }

    #[inline]
    pub(super) fn left(&self, through: &Through) {
        if through.own > 0 {
            self.own.fetch_sub(through.own, SeqCst);
            self.auths.fetch_sub(through.auths, SeqCst);
        }
        if through.commands > 0 {
            self.commands.fetch_sub(through.commands, SeqCst);
        }
    }

    /// So many commands are given back, as if they had never been queued: those before them are still waited for.
    pub(super) fn give_back(&self, commands: usize) {
        self.queued.fetch_sub(commands as u64, SeqCst);
    }

    pub(super) fn commands_queued(&self) -> u64 {
        self.queued.load(SeqCst)
    }

    /// Whether the first `count` commands are answered: commands are answered in their order.
    pub(super) fn has_answered(&self, count: u64) -> bool {
        // Looked at in this order, a command that is queued meanwhile makes the answer "no", never a wrong "yes".
        let queued = self.commands_queued();
        let unanswered = self.commands.load(SeqCst) as u64;
        // Some of the first `count` may have been given back, and never come to be answered.
        unanswered == 0 || queued.saturating_sub(unanswered) >= count
    }

    /// Whether an `AUTH` is unanswered.
    pub(super) fn has_auth(&self) -> bool {
        self.auths.load(SeqCst) > 0
    }

    /// Whether an `AUTH` is unanswered, and no command before the newest one is.
    pub(super) fn awaits_auth(&self) -> bool {
        self.has_auth() && self.has_answered(self.before_auth.load(SeqCst))
    }

    pub(super) fn commands(&self) -> usize {
        self.commands.load(SeqCst)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.commands.load(SeqCst) + self.own.load(SeqCst)
    }
}
