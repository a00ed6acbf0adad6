//! What a call needs: where commands go, how many may be under way, and for how long.

use super::{
    iteration::SignedCursors,
    order::{Memory, Next},
    request::Request,
    waiting::Sent,
};
use crate::{
    admission::{Admission, Overload},
    cluster::{
        node::Node,
        nodes::unserved,
        router::Cluster,
        routing::{Found, Routing},
    },
    error::Error,
    link::{Access, Link},
    observe::metrics::Operations,
    pool::{self, Availability, Leases, Pool},
    timer::Timers,
    token::Tokens,
};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

/// Shared by all calls of a connection manager's, which owns what is behind it.
pub(crate) struct Core {
    pub(crate) routing: Found,
    pub(crate) tokens: Tokens,
    pub(crate) admission: Arc<Admission>,
    pub(crate) overload: Overload,
    /// Held while somebody takes several permits one by one.
    pub(crate) gathering: Mutex<()>,
    pub(crate) availability: Arc<Availability>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) timers: Timers,
    /// How long a command may take in all.
    pub(crate) command_timeout: Duration,
    /// How long a link is left without a sign of life.
    pub(crate) ping_interval: Duration,
    /// Whether what only reads may be sent again.
    pub(crate) retry_reads: bool,
    /// Where durations go.
    pub(crate) operations: Operations,
    /// Whether cursors tell which server they are of.
    pub(crate) signed_cursors: SignedCursors,
}

/// The way of a request.
#[derive(Clone, Default)]
pub(super) enum Way {
    /// To the owner of its slot; one without a slot goes to any node.
    #[default]
    Owner,
    /// To the node that a redirect names, behind `ASKING` if it says so; to the owner, if that one cannot be reached.
    Redirected { to: Arc<Node>, asking: bool },
    /// It is the part that this node has of something for several nodes. Whoever has taken it apart decides what is to
    /// be done when the node does not run it, or cannot be reached and has lost its slots.
    Part { to: Arc<Node>, asking: bool },
}

impl Way {
    /// Whether it goes behind `ASKING`.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self, Self::Redirected { asking: true, .. } | Self::Part { asking: true, .. })
    }
}

impl Core {
    /// Queues a request on a link if one is up, with the command timeout from now.
    ///
    /// `memory` is that of the handle that sends it.
    #[inline]
    pub(crate) fn try_send<R: Request>(&self, request: &R, memory: &mut Memory) -> Option<Sent> {
        let routing = self.routing.get()?;
        if self.admission.has_queue() || !self.admission.try_acquire() {
            return None;
        }
        let sent = match routing {
            Routing::Single(node) => self.offer_now(node.pool(), request, None, memory, false),
            Routing::Cluster(cluster) => self.offer_to_owner(cluster, request, None, memory),
        };
        if sent.is_none() {
            self.admission.release(1);
        }
        sent
    }

    /// Queues a request that has its permit on a link, if one takes it now.
    pub(super) fn route<R: Request>(
        &self,
        request: &R,
        deadline: Instant,
        memory: &mut Memory,
        way: &Way,
    ) -> Option<Sent> {
        match (way, self.routing.get()?) {
            (Way::Redirected { to, asking } | Way::Part { to, asking }, _) => {
                self.offer(to.pool(), request, Some(deadline), memory, *asking)
            }
            (Way::Owner, Routing::Single(node)) => self.offer(node.pool(), request, Some(deadline), memory, false),
            (Way::Owner, Routing::Cluster(cluster)) => self.offer_to_owner(cluster, request, Some(deadline), memory),
        }
    }

    /// Queues a request on a link to the node that owns its slot; one without a slot goes to any node.
    // Apart, so that a single endpoint pays nothing for it.
    #[inline(never)]
    fn offer_to_owner<R: Request>(
        &self,
        cluster: &Cluster,
        request: &R,
        deadline: Option<Instant>,
        memory: &mut Memory,
    ) -> Option<Sent> {
        match request.slot() {
            Some(slot) => self.offer(cluster.map().get(slot)?.pool(), request, deadline, memory, false),
            None => self.offer(cluster.any_node_for(request.leaning())?.pool(), request, deadline, memory, false),
        }
    }

    fn offer<R: Request>(
        &self,
        pool: &Pool,
        request: &R,
        deadline: Option<Instant>,
        memory: &mut Memory,
        asking: bool,
    ) -> Option<Sent> {
        self.offer_now(pool, request, deadline, memory, asking)
    }

    /// As [`offer`](Self::offer), where it is called for nearly every request.
    #[expect(clippy::inline_always, reason = "passing on what it is given takes 25 instructions")]
    #[inline(always)]
    fn offer_now<R: Request>(
        &self,
        pool: &Pool,
        request: &R,
        deadline: Option<Instant>,
        memory: &mut Memory,
        asking: bool,
    ) -> Option<Sent> {
        if self.availability.is_closed() {
            return None;
        }
        let links = pool.snapshot();
        let links = links.as_slice();
        let offer = |link: &Arc<Link>, access| Some(Sent::new(link, request.queue(link, access, deadline, asking)?));
        if !memory.unanswered.is_empty() {
            match memory.next(pool, links) {
                Next::Anywhere => {}
                Next::Behind(link) => return offer(&link, Access::Open),
                Next::Later => return None,
            }
        }
        pool::choose(links, memory.expects_large, offer)
    }

    /// Opens no more links, whatever happens.
    pub(crate) fn end_keepers(&self) {
        match self.routing.get() {
            Some(Routing::Single(node)) => node.end_keeper(),
            Some(Routing::Cluster(cluster)) => cluster.nodes.close(),
            None => {}
        }
    }

    /// The nodes that there are, those included that are gone and have something in flight yet.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        match self.routing.get() {
            Some(Routing::Single(node)) => vec![Arc::clone(node)],
            Some(Routing::Cluster(cluster)) => cluster.nodes.with_leaving(),
            None => Vec::new(),
        }
    }

    /// Whether all commands go to one node; not as long as nobody knows.
    #[inline]
    pub(crate) fn is_single_endpoint(&self) -> bool {
        matches!(self.routing.get(), Some(Routing::Single(_)))
    }

    /// The cluster that commands go to, if it is one.
    pub(crate) fn cluster(&self) -> Option<&Arc<Cluster>> {
        match self.routing.get() {
            Some(Routing::Cluster(cluster)) => Some(cluster),
            Some(Routing::Single(_)) | None => None,
        }
    }

    /// The link of this number, if it is still in use; and its node.
    pub(super) fn link(&self, id: u64) -> Option<(Arc<Node>, Arc<Link>)> {
        self.find(|node| node.pool().link(id).map(|link| (Arc::clone(node), link)))
    }

    /// The link of this number, if its connection has not ended, in use or not; and its node.
    pub(super) fn any_link(&self, id: u64) -> Option<(Arc<Node>, Arc<Link>)> {
        self.find(|node| node.pool().any_link(id).map(|link| (Arc::clone(node), link)))
    }

    /// The link of this number, which has carried the request, if its connection has not ended; and its node.
    pub(super) fn carrier<R: Request>(&self, request: &R, id: u64) -> Option<(Arc<Node>, Arc<Link>)> {
        // Nearly always it leads to the slot's owner; the list of all nodes is copied to be looked through.
        let owner = || {
            let slot = request.slot().or_else(|| request.leaning())?;
            let owner = Arc::clone(self.cluster()?.map().get(slot)?);
            let link = owner.pool().any_link(id)?;
            Some((owner, link))
        };
        owner().or_else(|| self.any_link(id))
    }

    fn find<T>(&self, find: impl Fn(&Arc<Node>) -> Option<T>) -> Option<T> {
        match self.routing.get()? {
            Routing::Single(node) => find(node),
            Routing::Cluster(cluster) => cluster.nodes.with_leaving().iter().find_map(find),
        }
    }

    /// Whether commands are refused: after `shutdown`, or because nobody opens links any more; so it is from the moment
    /// on at which the runtime of `connect` stops its timers, before everything else of it has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.availability.is_closed()
            || self.timers.have_ended()
            || matches!(self.routing.get(), Some(Routing::Single(node)) if node.pool().has_ended())
    }

    /// Why no link to where the request goes has come up.
    pub(super) fn last_error<R: Request>(&self, request: &R) -> Option<Error> {
        match self.routing.get() {
            None => self.routing.last_error(),
            Some(Routing::Single(node)) => node.pool().last_error(),
            Some(Routing::Cluster(cluster)) => {
                let node = match request.slot() {
                    Some(slot) => cluster.map().get(slot).map(Arc::clone),
                    None => cluster.any_node(),
                };
                node.map_or_else(|| Some(unserved()), |node| node.pool().last_error())
            }
        }
    }
}
