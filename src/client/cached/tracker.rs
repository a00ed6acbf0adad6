//! One node, as far as it tells of changes: the connection that it does so over, and what that covers.

use crate::{
    cluster::node::Node,
    link::{Link, PushReceiver},
    lock::lock,
    near_cache::{Coverage, Store},
    observe::stats::TrackingStats,
};
use redis::{PushKind, Value};
use std::{
    borrow::Cow,
    sync::{Arc, Mutex, OnceLock, Weak},
};
use tokio::{sync::Notify, task::AbortHandle};

/// A node that tells of changes, or is to.
pub(super) struct Tracker {
    pub(super) node: Arc<Node>,
    session: Mutex<Option<Session>>,
    status: Mutex<Status>,
    /// Rung when something was flushed, or the connection has ended.
    pub(super) news: Notify,
    task: OnceLock<AbortHandle>,
}

/// A connection over which a node tells of changes.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) link: Arc<Link>,
    pub(super) coverage: Arc<Coverage>,
}

/// Why a node does not tell of changes.
pub(super) type Reason = Cow<'static, str>;

#[derive(Default)]
struct Status {
    on: bool,
    reason: Option<Reason>,
}

impl Tracker {
    pub(super) fn new(node: Arc<Node>) -> Arc<Self> {
        Arc::new(Self {
            node,
            session: Mutex::default(),
            status: Mutex::default(),
            news: Notify::new(),
            task: OnceLock::new(),
        })
    }

    /// The task that opens its connections.
    pub(super) fn set_task(&self, task: AbortHandle) {
        _ = self.task.set(task);
    }

    pub(super) fn end_task(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
        self.end();
    }

    /// The connection to read over what is to be kept.
    pub(super) fn session(&self) -> Option<Session> {
        lock(&self.session).clone()
    }

    /// What is read over this link is covered from now on.
    pub(super) fn begin(&self, link: &Arc<Link>, coverage: Arc<Coverage>) {
        *lock(&self.session) = Some(Session { link: Arc::clone(link), coverage });
    }

    /// Nothing that has been covered is served any more; false if nothing was.
    pub(super) fn end(&self) -> bool {
        let session = lock(&self.session).take();
        if let Some(session) = &session {
            session.coverage.lose();
        }
        session.is_some()
    }

    /// Nothing that has been read until now is served any more; what is read from now on is.
    pub(super) fn flush(&self) {
        if let Some(session) = &mut *lock(&self.session) {
            session.coverage = session.coverage.succeed();
        }
        self.news.notify_one();
    }

    /// Notes whether the node tells of changes, and why not; false if that has been noted before.
    pub(super) fn set_status(&self, on: bool, reason: Option<Reason>) -> bool {
        let mut status = lock(&self.status);
        let is_new = status.on != on || status.reason != reason;
        *status = Status { on, reason };
        is_new
    }

    pub(super) fn stats(&self) -> TrackingStats {
        let Status { on, reason } = &*lock(&self.status);
        TrackingStats { node: self.node.name().to_string(), on: *on, reason: reason.clone() }
    }
}

/// Gets what a node tells over a link.
pub(super) struct Invalidations {
    store: Weak<Store>,
    tracker: Weak<Tracker>,
}

impl Invalidations {
    /// Weak, because the link holds it: it keeps neither of them.
    pub(super) fn new(store: &Arc<Store>, tracker: &Arc<Tracker>) -> Arc<Self> {
        Arc::new(Self { store: Arc::downgrade(store), tracker: Arc::downgrade(tracker) })
    }
}

impl PushReceiver for Invalidations {
    fn receive(&self, kind: PushKind, data: Vec<Value>) {
        let (Some(store), Some(tracker)) = (self.store.upgrade(), self.tracker.upgrade()) else {
            return;
        };
        if kind != PushKind::Invalidate {
            return;
        }
        let mut is_understood = !data.is_empty();
        for told in data {
            match told {
                Value::Array(keys) => {
                    for key in keys {
                        match key {
                            Value::BulkString(key) => store.invalidate(&key),
                            _ => is_understood = false,
                        }
                    }
                }
                // All keys: FLUSHALL, FLUSHDB.
                _ => is_understood = false,
            }
        }
        if !is_understood {
            store.note_flush();
            tracker.flush();
        }
    }

    fn end(&self) {
        if let Some(tracker) = self.tracker.upgrade() {
            // Counted here, once: nothing of it is served from this moment on.
            if tracker.end()
                && let Some(store) = self.store.upgrade()
            {
                store.note_flush();
            }
            tracker.news.notify_one();
        }
    }
}
