//! Reads from memory, of values that only grow: none goes back, and none is older than it may be.

mod versions;

use super::{
    counts::Figure,
    plan::{Plan, RETRY_DELAY},
    servers::{Loss, Servers, cover},
};
use entra_redis::{CacheOptions, CachedRedis, EntraRedis};
use redis::AsyncCommands;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};
use versions::Versions;

const KEYS: usize = 16;
const READERS: usize = 8;
const WRITERS: usize = 4;

/// For so long a change may be unknown when no connection tells of it.
const MAX_STALENESS: Duration = Duration::from_secs(1);

/// A reader that reads from memory waits for nobody. After so many reads it makes a pause, so that others get on.
const READS: usize = 100;
const READ_PAUSE: Duration = Duration::from_millis(5);

/// Between two writes of one task.
const WRITE_PAUSE: Duration = Duration::from_millis(10);

struct Load {
    plan: Arc<Plan>,
    names: Vec<String>,
    keys: Vec<Mutex<Versions>>,
    servers: Servers,
}

impl Load {
    fn key(&self, at: usize) -> MutexGuard<'_, Versions> {
        self.keys[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads one key, and judges what comes; `known` is what must be known of it besides.
    async fn read(&self, cached: &mut CachedRedis, at: usize, known: u64, by_mget: bool) -> bool {
        let name = &self.names[at];
        let floor = self.key(at).floor(Instant::now()).max(known);
        let read = if by_mget {
            cached.mget::<_, (Option<u64>,)>(&[name]).await.map(|(value,)| value)
        } else {
            cached.get::<_, Option<u64>>(name).await
        };
        let Ok(value) = self.plan.tally.noted(read) else {
            return false;
        };
        let value = value.unwrap_or(0);
        let is_right = self.key(at).read(Instant::now(), value, floor);
        let explains = |losses: &[Loss]| self.key(at).may_be_set_back(value, |moment| cover(losses, moment));
        let what = || format!("{name}: {value}, when {floor} was known");
        if !is_right && !self.servers.excuse(name, explains, what).await {
            self.plan.counts.fault(Figure::StaleReads, 1, what);
        }
        true
    }

    async fn reads(self: Arc<Self>, mut cached: CachedRedis) {
        let mut turn = 0_usize;
        while !self.plan.is_over() {
            turn += 1;
            let succeeded = self.read(&mut cached, fastrand::usize(..KEYS), 0, turn.is_multiple_of(10)).await;
            if !succeeded {
                sleep(RETRY_DELAY).await;
            } else if turn.is_multiple_of(READS) {
                sleep(READ_PAUSE).await;
            }
        }
    }

    /// Raises values, every other time by way of the cache, whose handle then reads what it has written. A write that
    /// comes late raises it as well: no value goes back on the server.
    async fn writes(self: Arc<Self>, mut cached: CachedRedis) {
        let mut redis = cached.uncached().clone();
        let mut by_cache = false;
        while !self.plan.is_over() {
            by_cache = !by_cache;
            let at = fastrand::usize(..KEYS);
            let name = &self.names[at];
            let written = if by_cache { cached.incr(name, 1).await } else { redis.incr(name, 1).await };
            let Ok(value) = self.plan.tally.noted::<u64>(written) else {
                sleep(RETRY_DELAY).await;
                continue;
            };
            self.key(at).written(Instant::now(), value);
            if by_cache {
                self.read(&mut cached, at, value, false).await;
            }
            sleep(WRITE_PAUSE).await;
        }
    }
}

/// Until the end of the run; whether all keys could be read in the end.
pub(super) async fn run(plan: Arc<Plan>, redis: EntraRedis, servers: Servers) -> bool {
    let mut cached = redis.cached(CacheOptions::new().max_staleness(MAX_STALENESS));
    let load = Arc::new(Load {
        names: (0..KEYS).map(|key| format!("soak:{:x}:cached:{key}", plan.run)).collect(),
        keys: (0..KEYS).map(|_| Mutex::new(Versions::new(MAX_STALENESS))).collect(),
        servers,
        plan: Arc::clone(&plan),
    });
    for name in &load.names {
        // One that comes late changes nothing.
        let mut set = redis::cmd("SET");
        set.arg(name).arg(0).arg("NX").arg("EX").arg(plan.expiry_seconds);
        let begin = || {
            let (set, mut redis) = (&set, redis.clone());
            async move { set.exec_async(&mut redis).await }
        };
        if plan.at_last(begin).await.is_none() {
            return false;
        }
    }
    let mut tasks = JoinSet::new();
    for _ in 0..READERS {
        tasks.spawn(Arc::clone(&load).reads(cached.clone()));
    }
    for _ in 0..WRITERS {
        tasks.spawn(Arc::clone(&load).writes(cached.clone()));
    }
    while !tasks.is_empty() {
        tokio::select! {
            _ = tasks.join_next() => {}
            () = sleep(Duration::from_millis(200)) => {}
        }
        note(&plan, &cached);
    }
    let limit = plan.recovers_until();
    for at in 0..KEYS {
        while !load.read(&mut cached, at, 0, false).await {
            if limit.has_passed() {
                return false;
            }
            sleep(RETRY_DELAY).await;
        }
    }
    note(&plan, &cached);
    true
}

/// Brings the figures up to date.
fn note(plan: &Plan, cached: &CachedRedis) {
    let stats = cached.stats();
    plan.counts.set(Figure::CachedReads, stats.hits + stats.misses);
    plan.counts.set(Figure::CacheHits, stats.hits);
}
