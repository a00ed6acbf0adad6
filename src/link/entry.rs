//! Requests between a link's queue and its driver.

use super::reply::{Expect, ReplyCell};
use crate::sync::Arc;
use std::collections::VecDeque;
use tokio::time::Instant;

/// One request on its way.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Entry {
    /// Where its bytes begin and end, counted from the connection's first.
    pub(super) begins: u64,
    pub(super) ends: u64,
    /// None is the command timeout, from when the driver takes the request: it looks at the clock once for all that it
    /// takes together.
    pub(super) deadline: Option<Instant>,
    pub(super) expect: Expect,
    /// None once its caller has been told how it ended.
    pub(super) cell: Option<Arc<ReplyCell>>,
    /// Ends with the writing of its last byte.
    pub(super) quiet: bool,
    /// It is a caller's command, none of the link's own requests.
    pub(super) counted: bool,
    /// Nothing else may be under way with it.
    pub(super) alone: bool,
    /// It has a permit, which it gives back.
    pub(super) permitted: bool,
}

/// Requests that are through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Through {
    /// The link's own requests, such as `AUTH` and `PING`.
    pub(super) own: usize,
    /// Those among them that nothing else may be under way with.
    pub(super) auths: usize,
    pub(super) commands: usize,
    /// Permits that the commands give back.
    pub(super) permits: usize,
}

impl Through {
    pub(super) fn add(&mut self, entry: &Entry) {
        if entry.counted {
            self.commands += 1;
            self.permits += usize::from(entry.permitted);
        } else {
            self.own += 1;
            self.auths += usize::from(entry.alone);
        }
    }
}

/// A request to be queued.
pub(super) struct NewRequest {
    /// None: the command timeout, from when the driver takes it.
    pub(super) deadline: Option<Instant>,
    pub(super) expect: Expect,
    pub(super) quiet: bool,
    /// Nothing else may be under way with it.
    pub(super) alone: bool,
}

/// What the driver found in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Nothing,
    Something,
    /// Something, which was left there for more to join it.
    Deferred,
}

/// What is on its way: written or about to be, and not answered.
#[derive(Default)]
pub(super) struct Outstanding {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: VecDeque<Entry>,
    /// Cells that have been filled, and that their callers may still be about to empty.
    pub(super) spent: VecDeque<Arc<ReplyCell>>,
    /// Those of them that are not empty, and that nobody else holds.
    pub(super) unread: Vec<Arc<ReplyCell>>,
}
