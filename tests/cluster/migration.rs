//! Slots that move under load, and slots that stand half-way: nothing fails, nothing runs twice, no read is wrong.

use super::*;
use common::{Azure, SECOND, within};
use entra_redis::emulator::Migration;
use redis::{AsyncCommands, RedisResult, Script, cmd, pipe};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};
use tokio::task::JoinSet;

/// One round of everything that a service does with the keys of one tag; `turn` counts from 1.
async fn everything(redis: &mut EntraRedis, tag: &str, turn: u64) -> RedisResult<()> {
    let key = |name: &str| format!("{{{tag}}}{name}");
    assert_eq!(redis.incr::<_, _, u64>(key("count"), 1).await?, turn, "INCR of {tag}");
    let value = format!("{tag}:{turn}");
    let _: () = redis.set(key("value"), &value).await?;
    assert_eq!(redis.get::<_, String>(key("value")).await?, value, "GET of {tag}");
    let _: () = redis.mset(&[(key("a"), turn), (key("b"), turn)]).await?;
    assert_eq!(redis.mget::<_, (u64, u64)>(&[key("a"), key("b")]).await?, (turn, turn), "MGET of {tag}");
    let (set, piped, read): ((), u64, u64) =
        pipe().set(key("piped"), turn).incr(key("pipes"), 1).get(key("piped")).query_async(redis).await?;
    assert_eq!((set, piped, read), ((), turn, turn), "pipeline of {tag}");
    let (x, y): (u64, u64) = pipe().atomic().incr(key("x"), 1).incr(key("y"), 1).query_async(redis).await?;
    assert_eq!((x, y), (turn, turn), "transaction of {tag}");
    let script = Script::new("return redis.call('INCR', KEYS[1])");
    assert_eq!(script.key(key("script")).invoke_async::<u64>(redis).await?, turn, "script of {tag}");
    Ok(())
}

/// Runs all of it, in many tasks, until `stop`; how many rounds were made.
fn load(redis: &EntraRedis, tasks: usize, stop: &Arc<AtomicBool>) -> (JoinSet<RedisResult<()>>, Arc<AtomicU64>) {
    let rounds = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let (mut redis, stop, rounds) = (redis.clone(), Arc::clone(stop), Arc::clone(&rounds));
        running.spawn(async move {
            for turn in 1.. {
                if stop.load(SeqCst) {
                    break;
                }
                everything(&mut redis, &format!("task {task}"), turn).await?;
                rounds.fetch_add(1, SeqCst);
            }
            Ok(())
        });
    }
    (running, rounds)
}

async fn three_hundred_slots(emulator: Azure) {
    let set = |config: Config| config.command_timeout(20 * SECOND);
    let (_emulator, cluster, redis) = handle_to(emulator, set).await;
    let stop = Arc::default();
    let (mut running, rounds) = load(&redis, 32, &stop);
    let target = owner(&cluster, 0).await;
    // Of each of the two others, with most of the keys of some tasks.
    let slots = |task: usize| cmd("CLUSTER").arg("KEYSLOT").arg(format!("{{task {task}}}")).clone();
    let mut moved = Vec::new();
    for task in 0..32 {
        let slot: u16 = slots(task).query_async(&mut redis.clone()).await.unwrap();
        if owner(&cluster, slot).await != target {
            moved.push(slot);
        }
    }
    for slot in &moved {
        cluster.move_slots(*slot..=*slot, target).await.unwrap();
    }
    let from = (0..16_384 - 300).find(|slot| moved.iter().all(|moved| !(*slot..slot + 300).contains(moved))).unwrap();
    let there = if owner(&cluster, from).await == target { (target + 1) % 3 } else { target };
    cluster.move_slots(from..=from + 299, there).await.unwrap();
    stop.store(true, SeqCst);
    while let Some(ended) = running.join_next().await {
        ended.unwrap().unwrap();
    }
    assert!(rounds.load(SeqCst) > 100 && moved.len() > 10, "{rounds:?} rounds, {} slots with keys", moved.len());
    idle(&redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_are_resharded_under_load() {
    three_hundred_slots(clusters::three(HOUR).await).await;
}

/// Azure does not know `ASKING`: commands on keys that have moved wait until their slot has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_are_resharded_under_load_without_asking() {
    three_hundred_slots(strict().await).await;
}

/// Three primaries that know what Azure's know.
async fn strict() -> Azure {
    common::start(Emulator::builder().token_lifetime(HOUR).cluster(3).amr_strict()).await
}

/// A slot half-way: `{foo}a` has moved, `{foo}b` has not.
pub(super) async fn half_way(emulator: Azure) -> (Azure, Cluster, EntraRedis, Migration) {
    let (emulator, cluster, mut redis) = handle_to(emulator, |config| config).await;
    let _: () = redis.mset(&[("{foo}a", 1), ("{foo}b", 2)]).await.unwrap();
    let to = (owner(&cluster, FOO).await + 1) % 3;
    let migration = cluster.begin_migration(FOO..=FOO, to).await.unwrap();
    assert!(migration.move_key("{foo}a").await.unwrap());
    (emulator, cluster, redis, migration)
}

#[tokio::test]
async fn keys_are_found_on_both_sides_of_a_slot_that_moves() {
    let (_emulator, _cluster, mut redis, migration) = half_way(clusters::three(HOUR).await).await;
    assert_eq!(redis.incr::<_, _, i64>("{foo}a", 10).await.unwrap(), 11);
    assert_eq!(redis.incr::<_, _, i64>("{foo}b", 10).await.unwrap(), 12);
    // New keys are made at the target.
    assert_eq!(redis.incr::<_, _, i64>("{foo}c", 3).await.unwrap(), 3);
    let script = Script::new("return redis.call('INCR', KEYS[1])");
    assert_eq!(script.key("{foo}a").invoke_async::<i64>(&mut redis).await.unwrap(), 12);
    let (a, again): (i64, i64) =
        pipe().atomic().incr("{foo}a", 1).incr("{foo}a", 1).query_async(&mut redis).await.unwrap();
    assert_eq!((a, again), (13, 14));
    migration.finish().await.unwrap();
    assert_eq!(redis.mget::<_, [i64; 3]>(&["{foo}a", "{foo}b", "{foo}c"]).await.unwrap(), [14, 12, 3]);
    assert_eq!(redis.manager().stats().nodes.len(), 3);
}

#[tokio::test]
async fn a_pipeline_over_a_slot_that_moves_keeps_its_order() {
    let (_emulator, _cluster, mut redis, migration) = half_way(clusters::three(HOUR).await).await;
    let mut pipeline = pipe();
    for number in 0..50 {
        pipeline.set("{foo}a", number).ignore().get("{foo}a").set("{foo}b", number).ignore().get("{foo}b");
        pipeline.set(format!("other {number}"), number).ignore().get(format!("other {number}"));
    }
    let values: Vec<i64> = pipeline.query_async(&mut redis).await.unwrap();
    assert_eq!(values, (0..50).flat_map(|number| [number; 3]).collect::<Vec<_>>());
    migration.finish().await.unwrap();
    assert_eq!(redis.mget::<_, [i64; 2]>(&["{foo}a", "{foo}b"]).await.unwrap(), [49, 49]);
}

/// What needs both keys waits until the slot is whole, and then runs once.
#[tokio::test]
async fn what_needs_both_sides_waits_until_the_slot_is_whole() {
    let (_emulator, _cluster, redis, migration) = half_way(clusters::three(HOUR).await).await;
    let mut waiting = JoinSet::new();
    let mut start = |work: futures_util::future::BoxFuture<'static, Vec<i64>>| waiting.spawn(work);
    let handle = || redis.clone();
    let mut redis = handle();
    start(Box::pin(async move { redis.mget(&["{foo}a", "{foo}b"]).await.unwrap() }));
    let mut redis = handle();
    start(Box::pin(async move {
        let script = Script::new("return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}");
        script.key("{foo}a").key("{foo}b").invoke_async(&mut redis).await.unwrap()
    }));
    let mut redis = handle();
    start(Box::pin(async move { pipe().atomic().get("{foo}a").get("{foo}b").query_async(&mut redis).await.unwrap() }));
    let mut redis = handle();
    start(Box::pin(async move {
        let (both, a, elsewhere): (Vec<i64>, i64, Option<i64>) =
            pipe().mget(&["{foo}a", "{foo}b"]).get("{foo}a").get("elsewhere").query_async(&mut redis).await.unwrap();
        assert_eq!((a, elsewhere), (1, None));
        both
    }));
    let before = handle().manager().stats().commands.retried;
    common::eventually("all have tried several times", 10 * SECOND, async || {
        (handle().manager().stats().commands.retried > before + 12).then_some(())
    })
    .await;
    assert!(waiting.try_join_next().is_none(), "the slot is not whole");
    migration.finish().await.unwrap();
    while let Some(values) = within("the slot is whole", 5 * SECOND, waiting.join_next()).await {
        assert_eq!(values.unwrap(), [1, 2]);
    }
}

#[tokio::test]
async fn a_node_that_knows_no_asking_is_waited_for() {
    let (_emulator, cluster, redis, migration) = half_way(strict().await).await;
    let count = |mut redis: EntraRedis| async move { redis.incr::<_, _, i64>("{foo}a", 1).await };
    let waiting: Vec<_> = (0..5).map(|_| tokio::spawn(count(redis.clone()))).collect();
    assert_eq!(redis.clone().incr::<_, _, i64>("{foo}b", 1).await.unwrap(), 3, "it has not moved");
    let asked = |cluster: &Cluster| (0..3).map(|node| cluster.front(node).unwrap().stats().commands).sum::<u64>();
    let (before, began) = (asked(&cluster), tokio::time::Instant::now());
    tokio::time::sleep(SECOND).await;
    // With growing delays, not as fast as the nodes answer.
    let commands = asked(&cluster) - before;
    assert!(commands < 400, "{commands} commands within {:?}", began.elapsed());
    migration.finish().await.unwrap();
    let mut counts = Vec::new();
    for waiting in waiting {
        counts.push(waiting.await.unwrap().unwrap());
    }
    counts.sort_unstable();
    assert_eq!(counts, [2, 3, 4, 5, 6]);
}
