//! What a call needs: where commands go, how many may be under way, and for how long.

use super::{
    order::{Memory, Next},
    request::Request,
    waiting::Sent,
};
use crate::{
    admission::{Admission, Overload},
    cluster::node::Node,
    error::Error,
    link::{Access, Link},
    observe::metrics::Operations,
    pool::{self, Availability},
    timer::Timers,
    token::Tokens,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Shared by all calls of a connection manager's, which owns what is behind it.
pub(crate) struct Core {
    pub(crate) node: Arc<Node>,
    pub(crate) tokens: Tokens,
    pub(crate) admission: Arc<Admission>,
    pub(crate) overload: Overload,
    pub(crate) availability: Arc<Availability>,
    pub(crate) timers: Timers,
    /// How long a command may take in all.
    pub(crate) command_timeout: Duration,
    /// Whether what only reads may be sent again.
    pub(crate) retry_reads: bool,
    /// Where durations go.
    pub(crate) operations: Operations,
}

impl Core {
    /// Queues a request on a link if one is up, with the command timeout from now.
    ///
    /// `memory` is that of the handle that sends it.
    pub(crate) fn try_send<R: Request>(&self, request: &R, memory: &mut Memory) -> Option<Sent> {
        if self.admission.has_queue() || !self.admission.try_acquire() {
            return None;
        }
        let sent = self.route(request, None, memory);
        if sent.is_none() {
            self.admission.release(1);
        }
        sent
    }

    /// Queues a request that has its permit on a link, if one takes it now.
    pub(super) fn route<R: Request>(
        &self,
        request: &R,
        deadline: Option<Instant>,
        memory: &mut Memory,
    ) -> Option<Sent> {
        if self.availability.is_closed() {
            return None;
        }
        let links = self.node.pool().snapshot();
        let offer = |link: &Arc<Link>, access| Some(Sent::new(link, request.queue(link, access, deadline)?));
        if let Some(unanswered) = &memory.unanswered {
            match unanswered.next(&links) {
                Next::Anywhere => memory.unanswered = None,
                Next::Behind(link) => return offer(&link, Access::Open),
                Next::Later => return None,
            }
        }
        pool::choose(&links, memory.expects_large, offer)
    }

    /// The link of this number, if it is still in use.
    pub(super) fn link(&self, id: u64) -> Option<Arc<Link>> {
        self.node.pool().link(id)
    }

    /// The link of this number, if its connection has not ended, in use or not.
    pub(super) fn any_link(&self, id: u64) -> Option<Arc<Link>> {
        self.node.any_link(id)
    }

    /// Has the keeper look at its links.
    pub(super) fn wake_keeper(&self) {
        self.node.pool().wake_keeper();
    }

    /// Whether commands are refused: after `shutdown`, or because nobody opens links any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.availability.is_closed() || self.node.pool().has_ended()
    }

    /// Why no link has come up.
    pub(super) fn last_error(&self) -> Option<Error> {
        self.node.pool().last_error()
    }
}
