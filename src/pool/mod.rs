//! The links that commands travel on: which there are, and which one takes the next command.

mod keeper;
mod slot;

use crate::{
    Error, ErrorKind,
    error::Stage,
    link::{Admission, Condition, LARGE, Link, Queued, Reply, Request},
    load::{Load, Overload},
    lock::lock,
    token::Tokens,
};
use arc_swap::ArcSwap;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering::SeqCst},
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

pub(crate) use keeper::{Keeper, KeeperOptions};

/// Commands in flight on one link before the next one is used.
///
/// Fill, then spill: the more commands share a link, the larger its batches, and the less each costs.
const SPILL_AT: usize = 2048;

/// The links in use. Commands read a snapshot, without a lock; only the keeper changes it.
pub(crate) struct Pool {
    links: ArcSwap<Vec<Arc<Link>>>,
    tokens: Tokens,
    closed: AtomicBool,
    /// Rung when commands that wait for a link should look again.
    changed: Notify,
    /// Rung when the keeper should look again.
    keeper: Arc<Notify>,
    last_error: Mutex<Option<Error>>,
    load: Arc<Load>,
    overload: Overload,
}

impl Pool {
    pub(crate) fn new(tokens: Tokens, load: Arc<Load>, overload: Overload) -> Self {
        Self {
            links: ArcSwap::default(),
            tokens,
            closed: AtomicBool::new(false),
            changed: Notify::new(),
            keeper: Arc::new(Notify::new()),
            last_error: Mutex::new(None),
            load,
            overload,
        }
    }

    /// Queues a request on a link if one is up, with the command timeout from now.
    ///
    /// Somebody whose last request was `bulky` is expected to send another such: it goes where it is in nobody's way.
    pub(crate) fn try_send<R: Request>(&self, request: &R, bulky: bool) -> Option<Sent> {
        if !self.load.enter() {
            return None;
        }
        let sent = self.route(request, None, bulky);
        if sent.is_none() {
            self.load.left(1);
        }
        sent
    }

    /// Queues a request on a link. It waits, if it has to, until one is up, and `deadline` at most.
    #[cold]
    pub(crate) async fn send<R: Request>(&self, request: &R, deadline: Instant, bulky: bool) -> Result<Sent, Error> {
        let _waiting = self.load.wait();
        loop {
            let room = self.load.room().notified();
            tokio::pin!(room);
            // Enabled before the try, so that no departure falls between the two.
            room.as_mut().enable();
            if self.load.enter() {
                return self.wait_for_link(Place(&self.load), request, deadline, bulky).await;
            }
            if self.is_closed() {
                return Err(Error::closed());
            }
            if self.overload == Overload::Refuse {
                return Err(self.load.overloaded());
            }
            if timeout_at(deadline, room).await.is_err() {
                self.load.note_unserved();
                let text =
                    "too many commands were in flight (`max_in_flight`) until this one's deadline; it was not sent";
                return Err(Error::new(ErrorKind::Timeout(Stage::Command), text));
            }
        }
    }

    fn route<R: Request>(&self, request: &R, deadline: Option<Instant>, bulky: bool) -> Option<Sent> {
        if self.closed.load(SeqCst) {
            return None;
        }
        let links = self.links.load();
        let queue = |link: &Arc<Link>, admission| Some(Sent::new(link, request.queue(link, admission, deadline)?));
        let preferred = if bulky {
            // The back half, so that the front stays free for small replies.
            least_busy(&links[links.len() / 2..], Link::is_open).and_then(|link| queue(link, Admission::Open))
        } else {
            let has_room = |link: &&Arc<Link>| link.is_open() && link.in_flight() < SPILL_AT && !link.is_congested();
            links.iter().filter(has_room).find_map(|link| queue(link, Admission::Open))
        };
        preferred
            .or_else(|| queue(least_busy(&links, Link::is_open)?, Admission::Open))
            // Better behind an AUTH than not at all.
            .or_else(|| queue(least_busy(&links, Link::is_aside)?, Admission::Aside))
    }

    /// Queues a request that has its place in the load, once a link is up.
    async fn wait_for_link<R: Request>(
        &self,
        place: Place<'_>,
        request: &R,
        deadline: Instant,
        bulky: bool,
    ) -> Result<Sent, Error> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if self.is_closed() {
                return Err(Error::closed());
            }
            if let Some(sent) = self.route(request, Some(deadline), bulky) {
                place.pass_on();
                return Ok(sent);
            }
            if let Some(error) = self.tokens.dead() {
                return Err(error);
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Err(self.no_link());
            }
        }
    }

    /// The link of this number, if it is still in use.
    pub(crate) fn link(&self, id: u64) -> Option<Arc<Link>> {
        self.links.load().iter().find(|link| link.id() == id).map(Arc::clone)
    }

    fn no_link(&self) -> Error {
        self.load.note_unserved();
        let error = Error::new(
            ErrorKind::Timeout(Stage::Command),
            "no connection to Redis came up within the command's deadline",
        );
        match self.last_error() {
            Some(source) => {
                Error::new(error.kind(), format!("{error}; the last attempt: {source}")).with_source(source)
            }
            None => error,
        }
    }

    pub(crate) fn load(&self) -> &Load {
        &self.load
    }

    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.links.load().to_vec()
    }

    /// Links that take commands.
    pub(crate) fn open_links(&self) -> usize {
        let links = self.links.load();
        links.iter().filter(|link| !matches!(link.condition(), Condition::Down(_))).count()
    }

    /// The keeper's snapshot for the commands to read.
    pub(crate) fn publish(&self, links: Vec<Arc<Link>>) {
        self.links.store(Arc::new(links));
        self.changed.notify_waiters();
    }

    /// Lets the commands that wait for a link look again.
    fn wake_commands(&self) {
        self.changed.notify_waiters();
    }

    pub(crate) fn wake_keeper(&self) {
        self.keeper.notify_one();
    }

    pub(crate) fn last_error(&self) -> Option<Error> {
        lock(&self.last_error).clone()
    }

    fn note_error(&self, error: Option<Error>) {
        *lock(&self.last_error) = error;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    /// Refuses commands from now on; those that wait for a link are refused too.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.changed.notify_waiters();
        self.load.room().notify_waiters();
    }

    /// Lets go of the links; their connections close.
    pub(crate) fn clear(&self) {
        self.links.store(Arc::default());
    }
}

/// A place in the load, given back when dropped.
struct Place<'a>(&'a Load);

impl Place<'_> {
    /// The link gives it back from now on.
    fn pass_on(self) {
        std::mem::forget(self);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.left(1);
    }
}

/// A request on its way.
pub(crate) struct Sent {
    pub(crate) reply: Reply,
    /// The number of the link that carries it.
    pub(crate) link: u64,
    /// Whether it has many bytes.
    pub(crate) large: bool,
}

impl Sent {
    fn new(link: &Link, (reply, bytes): Queued) -> Self {
        Self { reply, link: link.id(), large: bytes > LARGE }
    }
}

fn least_busy(links: &[Arc<Link>], takes_commands: fn(&Link) -> bool) -> Option<&Arc<Link>> {
    links.iter().filter(|link| takes_commands(link)).min_by_key(|link| link.in_flight())
}
