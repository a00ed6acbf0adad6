//! A million operations while connections are cut, tokens rotate and slots move. Of each key one task writes numbers
//! that grow, so that of every read it can be told whether it was right: no read gives less than one that ended before
//! it began, none less than what was written `max_staleness` before, and a writer reads what it has written.

use crate::cached;
use common::{SECOND, by_ratio, emulator};
use entra_redis::{
    CacheOptions, CachedRedis, EntraRedis,
    emulator::{Cluster, RedisFront},
};
use redis::AsyncCommands;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const MILLION: u64 = 1_000_000;
const MAX_STALENESS: Duration = Duration::from_secs(1);
const KEYS: usize = 16;
const READERS: usize = 12;
const WRITERS: usize = 4;
/// What a writer leaves between two writes.
const WRITES_APART: Duration = Duration::from_millis(4);
const TOKENS: Duration = Duration::from_secs(2);

/// Each write makes several readers ask the server. With so many reads for one of them most come from memory, as in a
/// cache that is of use, and a million take some seconds and not minutes, whatever the machine does beside.
const READS_FOR_A_WRITE: u64 = 40;

/// What is known of one key.
#[derive(Default)]
struct Key {
    /// The largest number that a read has given.
    seen: AtomicU64,
    /// Writes that have ended, and when.
    written: Mutex<VecDeque<(Instant, u64)>>,
}

impl Key {
    /// The least that a read may give that begins now.
    fn floor(&self) -> u64 {
        let seen = self.seen.load(SeqCst);
        let now = Instant::now();
        let mut written = self.written.lock().unwrap();
        // The front one is the last that every read must know of.
        while written.get(1).is_some_and(|(ended, _)| *ended + MAX_STALENESS < now) {
            written.pop_front();
        }
        let known = written.front().filter(|(ended, _)| *ended + MAX_STALENESS < now);
        seen.max(known.map_or(0, |(_, number)| *number))
    }

    fn has_given(&self, number: u64) {
        self.seen.fetch_max(number, SeqCst);
    }
}

struct Run {
    names: Vec<String>,
    keys: Vec<Key>,
    reads: AtomicU64,
    writes: AtomicU64,
    failed: AtomicU64,
    is_over: AtomicBool,
}

impl Run {
    async fn read(self: Arc<Self>, mut cached: CachedRedis, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        for turn in 1_u64.. {
            if self.is_over.load(SeqCst) {
                break;
            }
            // Readers that never wait leave no time for the writers.
            if turn.is_multiple_of(200) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let at = random.usize(..KEYS);
            let (name, key) = (&self.names[at], &self.keys[at]);
            let floor = key.floor();
            let read = match random.u8(..10) {
                // Another form of the same value.
                0 => cached.mget::<_, (Option<u64>,)>(&[name]).await.map(|(number,)| number),
                // It goes past the memory.
                1 if turn.is_multiple_of(3) => {
                    redis::pipe().get(name).query_async::<(Option<u64>,)>(&mut cached).await.map(|(number,)| number)
                }
                _ => cached.get::<_, Option<u64>>(name).await,
            };
            match read {
                Ok(number) => {
                    let number = number.unwrap_or(0);
                    assert!(number >= floor, "{name}: {number} after {floor}");
                    key.has_given(number);
                }
                Err(_) => _ = self.failed.fetch_add(1, SeqCst),
            }
            self.reads.fetch_add(1, SeqCst);
        }
    }

    /// Writes the keys `from`, `from + step`, …; each other time by way of the cache.
    async fn write(self: Arc<Self>, mut plain: EntraRedis, mut cached: CachedRedis, from: usize, step: usize) {
        let mut numbers = [0_u64; KEYS];
        let mut turn = 0_u64;
        while !self.is_over.load(SeqCst) {
            if self.reads.load(SeqCst) < self.writes.load(SeqCst) * READS_FOR_A_WRITE {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
            for at in (from..KEYS).step_by(step) {
                turn += 1;
                numbers[at] += 1;
                let (name, key, number) = (&self.names[at], &self.keys[at], numbers[at]);
                let by_cache = turn.is_multiple_of(2);
                let written = if by_cache {
                    cached.set::<_, _, ()>(name, number).await
                } else {
                    plain.set::<_, _, ()>(name, number).await
                };
                self.writes.fetch_add(1, SeqCst);
                if written.is_err() {
                    // It may have run. The next one must not be overtaken by it.
                    self.failed.fetch_add(1, SeqCst);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
                if by_cache && let Ok(read) = cached.get::<_, u64>(name).await {
                    assert_eq!(read, number, "{name} as its writer reads it");
                    key.has_given(read);
                }
                key.written.lock().unwrap().push_back((Instant::now(), number));
                // Of what changes all the time nothing is read from memory.
                tokio::time::sleep(WRITES_APART).await;
            }
        }
    }
}

/// Runs so many operations, while `disturb` goes on; how that went.
async fn history(redis: &EntraRedis, operations: u64, disturb: impl Future<Output = ()>, also: impl Fn() -> bool) {
    let options = CacheOptions::new().max_staleness(MAX_STALENESS);
    let cached = cached(redis, options).await;
    let run = Arc::new(Run {
        names: (0..KEYS).map(|key| format!("key:{key}")).collect(),
        keys: (0..KEYS).map(|_| Key::default()).collect(),
        reads: AtomicU64::new(0),
        writes: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let mut tasks = JoinSet::new();
    for reader in 0..READERS {
        tasks.spawn(Arc::clone(&run).read(cached.clone(), reader as u64));
    }
    for writer in 0..WRITERS {
        tasks.spawn(Arc::clone(&run).write(redis.clone(), cached.clone(), writer, WRITERS));
    }
    let done = || run.reads.load(SeqCst) + run.writes.load(SeqCst);
    // As many as it takes until something has happened to the connections, too.
    let is_enough = || {
        let stats = cached.stats();
        done() >= operations && stats.invalidations > 1_000 && stats.flushes > 5 && also()
    };
    let enough = async {
        while !is_enough() {
            tokio::select! {
                () = tokio::time::sleep(SECOND / 20) => {}
                ended = tasks.join_next() => return Some(ended.unwrap()),
            }
        }
        None
    };
    let ended = tokio::select! {
        ended = common::within("so many operations", 400 * SECOND, enough) => ended,
        () = disturb => unreachable!("it goes on"),
    };
    run.is_over.store(true, SeqCst);
    if let Some(ended) = ended {
        ended.expect("every read was right");
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("every read was right");
    }
    let stats = cached.stats();
    let failed = run.failed.load(SeqCst);
    eprintln!("{} reads, {} writes, {failed} failed; {stats:?}", run.reads.load(SeqCst), run.writes.load(SeqCst));
    assert!(failed < operations / 100, "{failed} of {operations} failed");
    // A cache that hardly ever serves would show nothing.
    assert!(stats.hit_ratio() > 0.3, "{stats:?}");
}

/// Cuts a connection, whichever.
fn cut_one(front: &RedisFront) {
    let connections = front.connections();
    if let Some(connection) = fastrand::choice(&connections) {
        connection.cut();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_goes_back_while_connections_are_cut_and_tokens_rotate() {
    let azure = common::start(emulator(TOKENS)).await;
    let config = azure.config().token_manager(by_ratio(0.5)).retry_reads(true);
    let redis = azure.up(config, 2).await;
    let disturb = async {
        loop {
            // For as long as it takes to track again, all reads go to the server.
            tokio::time::sleep(SECOND / 2).await;
            cut_one(azure.redis_front());
        }
    };
    let rotations = redis.manager().counters().rotations;
    history(&redis, MILLION, disturb, || redis.manager().counters().rotations > rotations + 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_goes_back_while_connections_are_cut_tokens_rotate_and_slots_move() {
    let azure = common::clusters::three(TOKENS).await;
    let cluster: Cluster = azure.cluster().unwrap().clone();
    let redis = azure.connect(azure.config().token_manager(by_ratio(0.5)).retry_reads(true)).await;
    let moved = AtomicU64::new(0);
    let disturb = async {
        loop {
            tokio::time::sleep(SECOND / 4).await;
            cut_one(&cluster.front(fastrand::usize(..3)).unwrap());
            let key = format!("key:{}", fastrand::usize(..KEYS));
            let slot: u16 =
                redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query_async(&mut redis.clone()).await.unwrap_or(0);
            if cluster.move_slots(slot..=slot, fastrand::usize(..3)).await.is_ok() {
                moved.fetch_add(1, SeqCst);
            }
        }
    };
    let rotations = redis.manager().counters().rotations;
    let also = || moved.load(SeqCst) > 2 && redis.manager().counters().rotations > rotations + 2;
    history(&redis, MILLION, disturb, also).await;
}
