//! A handle whose reads come from memory while the server says that they have not changed.

mod options;
mod read;
mod sign;
mod tracker;
mod tracking;
mod write;

use super::EntraRedis;
use crate::{
    cluster::{node::Node, slot::Slot},
    exec::lease::Place,
    lock::lock,
    near_cache::{Read, Store},
    observe::{
        caches::{Caches, Figures},
        stats::CacheStats,
    },
};
use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};
use std::{
    fmt,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tracker::{Session, Tracker};

pub use options::CacheOptions;

/// A handle whose reads come from memory while Redis says that they have not changed; from [`EntraRedis::cached`].
///
/// It is used as [`EntraRedis`] is, clones share one memory, and it counts as a handle: the last one dropped ends every
/// task and connection.
///
/// # What is kept
///
/// Replies of commands that depend on the value of one key and on nothing else: `GET`, `HGET`, `HGETALL`, `EXISTS` (of
/// one key), `HMGET`, `HEXISTS`, `HLEN`, `HKEYS`, `HVALS`, `STRLEN`, `GETRANGE`, `GETBIT`, `BITCOUNT`, `LLEN`,
/// `LRANGE`, `LINDEX`, `SCARD`, `SMEMBERS`, `SISMEMBER`, `SMISMEMBER`, `ZCARD`, `ZSCORE`, `ZRANGE`, `TYPE`; and `MGET`,
/// as a `GET` of each key (and so not atomic). That a key does not exist is kept, too; errors are not. Everything else,
/// all pipelines included, goes to the server. What is kept of the keys that it reads is dropped when it is answered,
/// because that may be older than the answer.
///
/// A read that is not in memory goes over a connection to the key's node on which Redis tells of changes (`CLIENT
/// TRACKING`, RESP3), once, however many tasks ask for it at the same time. Of an `MGET`, each key that is read there
/// counts as one command among [`max_in_flight`](crate::Config::max_in_flight), because other tasks may wait for its
/// value alone. A key that expires is not kept longer than
/// it lives on the server, and nothing longer than [`CacheOptions::ttl`].
///
/// # How old a value may be
///
/// A change by somebody else is known as soon as its invalidation has come. Invalidations and replies come over one
/// connection, in order, so that a value which was read before a change is not kept after it, and what a key is read as
/// never goes back. Everything that a connection covered is dropped at once when it is lost, when slots have left its
/// node, and when Redis says that all keys have changed. If nothing is heard, nothing is served that may have changed
/// longer ago than [`CacheOptions::max_staleness`]. The time in which the machine is suspended counts.
///
/// That what a key is read as never goes back holds for all reads by way of this handle and its clones that name the
/// key. Those of other handles, [`uncached`](Self::uncached) among them, and of commands that name no key (`SCAN`,
/// `KEYS`, `DBSIZE`) may be ahead of it until the invalidation has come.
///
/// A handle reads what it writes: the keys of its own commands are dropped before they are sent and once they are
/// answered. The keys of a script are those that it declares; a script without keys, even one that only reads,
/// `FLUSHALL` and `FLUSHDB` drop all.
///
/// # When Redis does not tell
///
/// With RESP2, on a server that does not know or allow `CLIENT TRACKING`, and while its connection is down, reads go to
/// the server as those of [`EntraRedis`] do. [`stats`](Self::stats) says which node that is and why, and so does
/// [`Event::CacheUntracked`](crate::Event::CacheUntracked).
///
/// # Errors
///
/// Those of [`EntraRedis`]. A read that finds no reply on its node's connection within half the `command_timeout` is
/// sent again over another one, within the same timeout.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use entra_redis::{CacheOptions, EntraRedis, emulator::Emulator};
/// # let azure = Emulator::builder().start().await?;
/// # let redis = EntraRedis::connect(azure.host(), azure.port(), azure.config()).await?;
/// use redis::AsyncCommands;
///
/// let mut cached = redis.cached(CacheOptions::new());
/// let _: () = cached.set("greeting", "hello").await?;
/// assert_eq!(cached.get::<_, String>("greeting").await?, "hello");
/// println!("{:.0} % from memory", cached.stats().hit_ratio() * 100.0);
/// # Ok(())
/// # }
/// ```
pub struct CachedRedis {
    redis: EntraRedis,
    cache: Arc<Cache>,
    /// Which part of the counters is its own.
    part: usize,
}

/// What the handles share; the tasks do not hold it, so that they end with the last handle.
struct Cache {
    shared: Arc<Shared>,
    caches: Arc<Caches>,
    next_part: AtomicUsize,
}

/// What handles and tasks share.
struct Shared {
    store: Arc<Store>,
    trackers: Mutex<Vec<Arc<Tracker>>>,
}

impl Shared {
    /// Nothing that this node has told of until now is served any more.
    fn flush(&self, tracker: &Tracker) {
        self.store.note_flush();
        tracker.flush();
    }

    /// The same of all nodes.
    fn flush_all(&self) {
        lock(&self.trackers).iter().for_each(|tracker| self.flush(tracker));
    }

    fn remove(&self, tracker: &Arc<Tracker>) {
        lock(&self.trackers).retain(|other| !Arc::ptr_eq(other, tracker));
    }
}

impl Figures for Cache {
    fn stats(&self) -> CacheStats {
        let mut stats = self.shared.store.stats();
        stats.tracking = lock(&self.shared.trackers).iter().map(|tracker| tracker.stats()).collect();
        stats
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let trackers = std::mem::take(&mut *lock(&self.shared.trackers));
        for tracker in trackers {
            tracker.end_task();
        }
        self.caches.retire(&self.stats());
    }
}

impl CachedRedis {
    pub(super) fn new(redis: EntraRedis, options: CacheOptions) -> Self {
        let core = redis.manager.core();
        let shared = Arc::new(Shared { store: Store::new(options.into_limits()), trackers: Mutex::default() });
        let caches = Arc::clone(&redis.manager.sources.caches);
        let cache = Arc::new(Cache { shared, caches, next_part: AtomicUsize::new(1) });
        let figures: Weak<Cache> = Arc::downgrade(&cache);
        cache.caches.add(figures);
        let nodes = core.nodes();
        let cached = Self { redis, cache, part: 0 };
        for node in &nodes {
            _ = cached.tracker(node);
        }
        cached
    }

    /// The handle without the cache.
    #[must_use]
    pub fn uncached(&self) -> &EntraRedis {
        &self.redis
    }

    /// What the cache does right now.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    fn store(&self) -> &Arc<Store> {
        &self.cache.shared.store
    }

    /// The tracker of a node, which begins with this if there is none; none after `shutdown`, or if nothing is kept.
    fn tracker(&self, node: &Arc<Node>) -> Option<Arc<Tracker>> {
        let shared = &self.cache.shared;
        let mut trackers = lock(&shared.trackers);
        let known = trackers.iter().find(|tracker| Arc::ptr_eq(&tracker.node, node));
        if let Some(tracker) = known {
            return Some(Arc::clone(tracker));
        }
        if self.store().limits().keep_nothing() || self.redis.manager.core().is_closed() || node.pool().has_ended() {
            return None;
        }
        let tracker = Tracker::new(Arc::clone(node));
        trackers.push(Arc::clone(&tracker));
        let manager = &self.redis.manager;
        let task = tracking::run(Arc::clone(manager), Arc::clone(shared), Arc::clone(&tracker));
        tracker.set_task(manager.keepers.spawn_on(task, manager.core().timers.runtime()).abort_handle());
        Some(tracker)
    }

    /// The connection over which the key is read, if what comes over it may be kept and is likely to come.
    fn session(&self, key: &[u8]) -> Option<(Arc<Tracker>, Session)> {
        let core = self.redis.manager.core();
        let slot = core.cluster().map(|_| Slot::of(key));
        let node = core.node_of(&Place::Owner(slot))?;
        let tracker = self.tracker(&node)?;
        let session = tracker.session()?;
        if let Some(slot) = slot {
            // Before the read is sent, so that the next sign of life finds out if the node has lost the slot.
            session.coverage.note_slot(slot.index());
        }
        let is_well = !session.link.is_silent() && self.store().holds(&session.coverage);
        is_well.then_some((tracker, session))
    }
}

impl Clone for CachedRedis {
    fn clone(&self) -> Self {
        let part = self.cache.next_part.fetch_add(1, Relaxed);
        Self { redis: self.redis.clone(), cache: Arc::clone(&self.cache), part }
    }
}

impl ConnectionLike for CachedRedis {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match Read::of(cmd) {
            Read::Kept(query) => Box::pin(read::Reading::new(self, cmd, query)),
            Read::Several => Box::pin(self.read_several(cmd)),
            Read::Other => self.pass(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.pass_several(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.redis.get_db()
    }
}

impl fmt::Debug for CachedRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No keys and no values.
        f.debug_struct("CachedRedis").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
