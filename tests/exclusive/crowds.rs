//! Many consumers and many producers at once, while tokens rotate: every element is delivered, and none twice.

use super::{On, blocked, start, start_on};
use common::{Azure, SECOND, by_ratio, cmd, eventually};
use entra_redis::{Config, EntraRedis, LinkPurpose, emulator::RedisFront};
use redis::{AsyncCommands, RedisResult, Value};
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const CONSUMERS: u64 = 200;
const PRODUCERS: u64 = 200;

/// By stream, the ids and the fields of its entries.
type Entries = HashMap<String, Vec<(String, Vec<String>)>>;

/// Elements that somebody has got.
#[derive(Clone, Default)]
struct Got(Arc<Mutex<(HashSet<String>, Vec<String>)>>);

impl Got {
    fn note(&self, element: String) {
        let (once, twice) = &mut *self.0.lock().unwrap();
        if let Some(element) = once.replace(element) {
            twice.push(element);
        }
    }

    fn count(&self) -> u64 {
        self.0.lock().unwrap().0.len() as u64
    }

    fn twice(&self) -> Vec<String> {
        self.0.lock().unwrap().1.clone()
    }
}

/// Producers that add until `stop`, each its own elements; how many were added.
fn produce(
    redis: &EntraRedis,
    stop: &Arc<AtomicBool>,
    line: impl Fn(&str, String) -> String,
) -> (JoinSet<()>, Arc<AtomicU64>) {
    let mut producers = JoinSet::new();
    let added = Arc::new(AtomicU64::new(0));
    let line = &line;
    for producer in 0..PRODUCERS {
        let (mut redis, stop, added) = (redis.clone(), Arc::clone(stop), Arc::clone(&added));
        let tag = TAGS[usize::try_from(producer).unwrap() % TAGS.len()];
        let lines: Vec<_> = (0..2_000).map(|turn| line(tag, format!("{producer}:{turn}"))).collect();
        producers.spawn(async move {
            for line in lines {
                if stop.load(SeqCst) {
                    return;
                }
                let _: Value = cmd(&line).query_async(&mut redis).await.expect("a push succeeds");
                added.fetch_add(1, SeqCst);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    (producers, added)
}

/// Waits for so many rotations with everything under way, and with no more connections than there may be; then that all
/// that was added has come once.
async fn through_rotations(
    azure: &Azure,
    redis: &EntraRedis,
    got: &Got,
    produced: (JoinSet<()>, Arc<AtomicU64>),
    stop: &Arc<AtomicBool>,
) {
    let (producers, added) = produced;
    let before = redis.manager().counters().rotations;
    eventually("five rotations", 60 * SECOND, async || {
        let stats = redis.manager().stats();
        let leased = stats.links.iter().filter(|link| link.purpose == LinkPurpose::Leased).count();
        assert!(leased <= 200, "{leased} connections that somebody has alone");
        // One that all share may stand in for another one, on each node.
        let others = stats.links.len() - leased + azure.redis_fronts().len();
        let there: usize = azure.redis_fronts().iter().map(RedisFront::connection_count).sum();
        assert!(there <= 200 + others, "{there} connections, {others} of them for all");
        (redis.manager().counters().rotations >= before + 5).then_some(())
    })
    .await;
    stop.store(true, SeqCst);
    producers.join_all().await;
    let added = added.load(SeqCst);
    eventually("all elements have come", 20 * SECOND, async || (got.count() >= added).then_some(())).await;
    // Nobody has anything left to take.
    assert_eq!((got.count(), got.twice()), (added, Vec::new()));
    eprintln!("{added} elements through {} rotations", redis.manager().counters().rotations);
}

/// Keys in slots of three nodes, each with a second one beside it.
const TAGS: [&str; 4] = ["{a}", "{b}", "{c}", "{d}"];

/// A connection for each consumer, and a new token four times in the life of one.
fn crowded(config: Config) -> Config {
    config.max_leased(200).token_manager(by_ratio(0.25))
}

async fn queues(on: On) {
    let (azure, redis) = start_on(on, 6 * SECOND, crowded).await;
    let (got, stop) = (Got::default(), Arc::new(AtomicBool::new(false)));
    let mut consumers: JoinSet<RedisResult<()>> = JoinSet::new();
    for consumer in 0..CONSUMERS {
        let (mut redis, got) = (redis.clone(), got.clone());
        let tag = TAGS[usize::try_from(consumer).unwrap() / 2 % TAGS.len()];
        let (queue, done) = (format!("{tag}queue"), format!("{tag}done"));
        consumers.spawn(async move {
            loop {
                let element: String = if consumer % 2 == 0 {
                    redis.blpop::<_, (String, String)>(&queue, 0.0).await?.1
                } else {
                    redis.blmove(&queue, &done, redis::Direction::Left, redis::Direction::Right, 0.0).await?
                };
                got.note(element);
            }
        });
    }
    blocked(&redis, 200).await;
    let produced = produce(&redis, &stop, |tag, element| format!("RPUSH {tag}queue {element}"));
    through_rotations(&azure, &redis, &got, produced, &stop).await;
    if let Some(ended) = consumers.try_join_next() {
        panic!("a consumer has failed: {:?}", ended.unwrap());
    }
    assert_eq!(redis.manager().stats().commands.failed.total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_consumers_and_producers_lose_and_double_nothing_through_five_rotations() {
    queues(On::Endpoint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_consumers_and_producers_lose_and_double_nothing_on_a_cluster() {
    queues(On::Cluster).await;
}

async fn groups(on: On) {
    let (azure, redis) = start_on(on, 6 * SECOND, crowded).await;
    for tag in TAGS {
        let create = cmd(&format!("XGROUP CREATE {tag}stream group $ MKSTREAM"));
        let _: () = create.query_async(&mut redis.clone()).await.unwrap();
    }
    let (got, stop) = (Got::default(), Arc::new(AtomicBool::new(false)));
    let mut consumers: JoinSet<RedisResult<()>> = JoinSet::new();
    for consumer in 0..CONSUMERS {
        let (mut redis, got) = (redis.clone(), got.clone());
        let tag = TAGS[usize::try_from(consumer).unwrap() % TAGS.len()];
        let read = cmd(&format!("XREADGROUP GROUP group c{consumer} COUNT 1 BLOCK 0 STREAMS {tag}stream >"));
        consumers.spawn(async move {
            loop {
                let reply: Entries = read.query_async(&mut redis).await?;
                for (id, fields) in reply.into_values().flatten() {
                    got.note(fields[1].clone());
                    let _: u64 = cmd(&format!("XACK {tag}stream group {id}")).query_async(&mut redis).await?;
                }
            }
        });
    }
    blocked(&redis, 200).await;
    let produced = produce(&redis, &stop, |tag, element| format!("XADD {tag}stream * e {element}"));
    through_rotations(&azure, &redis, &got, produced, &stop).await;
    if let Some(ended) = consumers.try_join_next() {
        panic!("a consumer has failed: {:?}", ended.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_groups_lose_and_double_nothing_through_five_rotations() {
    groups(On::Endpoint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumer_groups_lose_and_double_nothing_on_a_cluster() {
    groups(On::Cluster).await;
}

/// Durations of `GET`s with and without consumers that block beside them, for people: no time decides anything here.
/// They are shown by `cargo test --all-features --release --test exclusive gets_beside -- --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gets_beside_those_that_block_travel_on_other_connections() {
    let (_azure, redis) = start(super::HOUR, |config| config).await;
    let p99 = async || {
        let mut con = redis.clone();
        let mut took = Vec::new();
        for _ in 0..2_000 {
            let began = Instant::now();
            let _: Option<String> = con.get("key").await.unwrap();
            took.push(began.elapsed());
        }
        took.sort_unstable();
        took[took.len() * 99 / 100]
    };
    let alone = p99().await;
    let mut waiting: JoinSet<_> = (0..100)
        .map(|number| {
            let mut redis = redis.clone();
            async move { redis.blpop::<_, Value>(format!("k{number}"), 0.0).await }
        })
        .collect();
    blocked(&redis, 100).await;
    let beside = p99().await;
    eprintln!("p99 of GET: {alone:?} alone, {beside:?} beside 100 that block");
    // All of these were answered while all of those were blocked.
    blocked(&redis, 100).await;
    assert!(waiting.try_join_next().is_none(), "one has ended");
}

/// Whoever gives a connection back and wants one again at once comes after those who wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_a_few_connections_have_them_in_turn() {
    let azure = common::start(common::emulator(Duration::from_secs(3600))).await;
    let redis = azure.connect(azure.config().max_leased(2).command_timeout(10 * SECOND)).await;
    let (stop, mut users) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    let turns: Arc<[AtomicU64; 12]> = Arc::default();
    for user in 0..turns.len() {
        let (redis, stop, turns) = (redis.clone(), Arc::clone(&stop), Arc::clone(&turns));
        users.spawn(async move {
            while !stop.load(SeqCst) {
                let mut con = redis.dedicated().await.expect("each has its turn");
                let _: Value = cmd("PING").query_async(&mut con).await.unwrap();
                turns[user].fetch_add(1, SeqCst);
            }
        });
    }
    let times = || turns.iter().map(|times| times.load(SeqCst));
    eventually("each has had many turns", 30 * SECOND, async || times().all(|times| times >= 100).then_some(())).await;
    stop.store(true, SeqCst);
    users.join_all().await;
    let (least, most) = (times().min().unwrap(), times().max().unwrap());
    assert!(most <= 2 * least + 2, "{turns:?}");
}
