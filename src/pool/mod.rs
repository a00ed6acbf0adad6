//! The links that commands travel on: which there are, and which one takes the next command.

mod keeper;
mod slot;

use crate::{
    Error, ErrorKind,
    error::Stage,
    link::{Condition, Lease, Link},
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
const SPILL_AT: usize = 512;

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
}

impl Pool {
    pub(crate) fn new(tokens: Tokens) -> Self {
        Self {
            links: ArcSwap::default(),
            tokens,
            closed: AtomicBool::new(false),
            changed: Notify::new(),
            keeper: Arc::new(Notify::new()),
            last_error: Mutex::new(None),
        }
    }

    /// A place for one command. It waits, if it has to, until a link is up, and `deadline` at most.
    pub(crate) async fn lease(&self, deadline: Instant) -> Result<Lease, Error> {
        match self.try_lease() {
            Some(lease) => Ok(lease),
            None => self.wait_for_lease(deadline).await,
        }
    }

    fn try_lease(&self) -> Option<Lease> {
        if self.closed.load(SeqCst) {
            return None;
        }
        let links = self.links.load();
        links
            .iter()
            .filter(|link| link.in_flight() < SPILL_AT)
            .find_map(|link| link.lease(Condition::Open))
            .or_else(|| least_busy(&links, Condition::Open))
            // Better behind an AUTH than not at all.
            .or_else(|| least_busy(&links, Condition::Aside))
    }

    #[cold]
    async fn wait_for_lease(&self, deadline: Instant) -> Result<Lease, Error> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if self.is_closed() {
                return Err(Error::closed());
            }
            if let Some(lease) = self.try_lease() {
                return Ok(lease);
            }
            if let Some(error) = self.tokens.dead() {
                return Err(error);
            }
            if timeout_at(deadline, changed).await.is_err() {
                return Err(self.no_link());
            }
        }
    }

    fn no_link(&self) -> Error {
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

    pub(crate) fn links(&self) -> Vec<Arc<Link>> {
        self.links.load().to_vec()
    }

    /// Links that take commands.
    pub(crate) fn open_links(&self) -> usize {
        let links = self.links.load();
        links.iter().filter(|link| !matches!(link.condition(), Condition::Down(_))).count()
    }

    /// The keeper's snapshot for the commands to read.
    fn publish(&self, links: Vec<Arc<Link>>) {
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
    }

    /// Lets go of the links; their connections close.
    pub(crate) fn clear(&self) {
        self.links.store(Arc::default());
    }
}

fn least_busy(links: &[Arc<Link>], condition: Condition) -> Option<Lease> {
    let candidates = links.iter().filter(|link| link.condition() == condition);
    candidates.min_by_key(|link| link.in_flight())?.lease(condition)
}
