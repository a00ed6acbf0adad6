//! The same on a cluster: whoever waits goes after the keys.

use common::{Azure, HOUR, SECOND, by_ratio, cmd, direct, eventually, owner, rotations, unassign, within};
use entra_redis::{EntraRedis, emulator::Cluster};
use redis::{AsyncCommands, RedisResult, Value};
use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};
use tokio::task::{JoinHandle, JoinSet};

/// The slot of the keys `{foo}…`.
pub const FOO: u16 = 12182;

/// Three primaries, each with a replica that takes its place half a second after its end.
pub async fn with_replicas(lifetime: Duration) -> (Azure, Cluster, EntraRedis) {
    let azure = common::clusters::with_replicas(lifetime).await;
    let cluster = azure.cluster().expect("a cluster was asked for").clone();
    let config = azure.config().token_manager(by_ratio(0.5)).topology_refresh_interval(SECOND);
    let redis = azure.connect(config).await;
    (azure, cluster, redis)
}

/// Waits until so many are blocked at this node.
pub async fn blocked_at(cluster: &Cluster, node: usize, count: usize) {
    let mut con = direct(cluster, node).await;
    eventually("so many are blocked at the node", 20 * SECOND, async || {
        let clients: String = cmd("INFO clients").query_async(&mut con).await.ok()?;
        clients.contains(&format!("blocked_clients:{count}\r\n")).then_some(())
    })
    .await;
}

pub fn waiting(redis: &EntraRedis, line: &str) -> JoinHandle<RedisResult<Value>> {
    let (mut redis, cmd) = (redis.clone(), cmd(line));
    tokio::spawn(async move { cmd.query_async(&mut redis).await })
}

pub async fn served(waiting: JoinHandle<RedisResult<Value>>, value: &str) {
    let reply = within("it is served", 10 * SECOND, waiting).await.unwrap().unwrap();
    let reply = format!("{reply:?}");
    assert!(reply.contains(value), "{reply}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_goes_after_a_slot_that_moves() {
    let (_azure, cluster, redis) = with_replicas(HOUR).await;
    let mut con = redis.clone();
    let popping = waiting(&redis, "BLPOP {foo}queue 0");
    let reading = waiting(&redis, "XREAD BLOCK 0 STREAMS {foo}stream $");
    for _ in 0..2 {
        let from = owner(&cluster, FOO).await;
        blocked_at(&cluster, from, 2).await;
        let to = (from + 1) % 3;
        cluster.move_slots(FOO..=FOO, to).await.unwrap();
        blocked_at(&cluster, to, 2).await;
    }
    let _: () = con.rpush("{foo}queue", "after").await.unwrap();
    served(popping, "after").await;
    let _: Value = cmd("XADD {foo}stream 9-9 f v").query_async(&mut con).await.unwrap();
    served(reading, "9-9").await;
    assert_eq!(redis.manager().stats().commands.failed.total(), 0);
}

/// A slot that is half-way: its new node serves what is added there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_is_served_while_the_slot_is_on_its_way() {
    let (_azure, cluster, redis) = with_replicas(HOUR).await;
    let from = owner(&cluster, FOO).await;
    let migration = cluster.begin_migration(FOO..=FOO, (from + 1) % 3).await.unwrap();
    let popping = waiting(&redis, "BLPOP {foo}queue 0");
    blocked_at(&cluster, (from + 1) % 3, 1).await;
    let _: () = redis.clone().rpush("{foo}queue", "half-way").await.unwrap();
    served(popping, "half-way").await;
    migration.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_outlives_rotations_and_failovers() {
    let (_azure, cluster, redis) = with_replicas(3 * SECOND).await;
    let mut con = redis.clone();
    let node = owner(&cluster, FOO).await;
    let popping = waiting(&redis, "BLPOP {foo}queue 0");
    let frozen = waiting(&redis, "BLMOVE {foo}queue2 {foo}done LEFT RIGHT 0");
    blocked_at(&cluster, node, 2).await;
    rotations(&redis, 3, 30 * SECOND).await;
    // A failover that was asked for, and one because the primary has died.
    let heir = cluster.fail_over(node).await.unwrap();
    blocked_at(&cluster, heir, 2).await;
    cluster.kill(heir).await.unwrap();
    let heir = cluster.promoted(heir).await.unwrap();
    blocked_at(&cluster, heir, 2).await;
    rotations(&redis, 1, 10 * SECOND).await;
    let _: () = con.rpush("{foo}queue", "after").await.unwrap();
    served(popping, "after").await;
    let _: () = con.rpush("{foo}queue2", "moved").await.unwrap();
    served(frozen, "moved").await;
}

/// Its node says nothing any more, and another one has its slots: it does not wait for the end of its slice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_at_a_node_that_stands_still_goes_to_its_successor() {
    let (_azure, cluster, redis) = with_replicas(HOUR).await;
    let node = owner(&cluster, FOO).await;
    let popping = waiting(&redis, "BLPOP {foo}queue 0");
    blocked_at(&cluster, node, 1).await;
    cluster.freeze(node).await.unwrap();
    let heir = cluster.promoted(node).await.unwrap();
    blocked_at(&cluster, heir, 1).await;
    let _: () = redis.clone().rpush("{foo}queue", "after").await.unwrap();
    served(popping, "after").await;
    cluster.thaw(node).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_several_slots_are_refused() {
    let (_azure, _cluster, redis) = with_replicas(HOUR).await;
    let error = cmd("BLPOP a b c 1").query_async::<Value>(&mut redis.clone()).await.unwrap_err();
    assert_eq!(error.code(), Some("CROSSSLOT"), "{error}");
}

/// Transactions go after their keys, and what was on its way to a node that lost them has not been done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_count_right_while_their_slot_moves_and_its_node_hands_over() {
    let (_azure, cluster, redis) = with_replicas(3 * SECOND).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (redis, stop) = (redis.clone(), Arc::clone(&stop));
        tasks.spawn(async move {
            let (mut done, mut unknown) = (0_u64, 0_u64);
            while !stop.load(SeqCst) {
                let result: RedisResult<(Value,)> = redis
                    .transaction("{foo}count", async move |con, pipe| {
                        let count: Option<u64> = con.get("{foo}count").await?;
                        pipe.set("{foo}count", count.unwrap_or(0) + 1).query_async(con).await
                    })
                    .await;
                match result {
                    Ok(_) => done += 1,
                    Err(error) if error.to_string().contains("may have run") => unknown += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            (done, unknown)
        });
    }
    let count = async || redis.clone().get::<_, Option<u64>>("{foo}count").await.unwrap().unwrap_or(0);
    let progress = async || {
        let before = count().await;
        eventually("transactions go on", 20 * SECOND, async || (count().await > before + 100).then_some(())).await;
    };
    progress().await;
    for _ in 0..2 {
        let from = owner(&cluster, FOO).await;
        cluster.move_slots(FOO..=FOO, (from + 1) % 3).await.unwrap();
        progress().await;
    }
    cluster.fail_over(owner(&cluster, FOO).await).await.unwrap();
    progress().await;
    rotations(&redis, 1, 10 * SECOND).await;
    stop.store(true, SeqCst);
    let (done, unknown) = tasks.join_all().await.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let counted = count().await;
    eprintln!("{done} done, {unknown} that may be, {counted} counted");
    assert!((done..=done + unknown).contains(&counted), "{done} done, {unknown} that may be, {counted} counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_for_a_key_leads_to_its_node_and_says_where_it_has_gone() {
    let (_azure, cluster, redis) = with_replicas(HOUR).await;
    let mut con = redis.dedicated_for("{foo}key").await.unwrap();
    let _: () = con.set("{foo}key", "here").await.unwrap();
    let _: Value = cmd("WATCH {foo}key").query_async(&mut con).await.unwrap();
    let from = owner(&cluster, FOO).await;
    cluster.move_slots(FOO..=FOO, (from + 1) % 3).await.unwrap();
    let error = con.get::<_, String>("{foo}key").await.unwrap_err();
    assert_eq!(error.code(), Some("MOVED"), "{error}");
    drop(con);
    let read = async || redis.dedicated_for("{foo}key").await.ok()?.get::<_, String>("{foo}key").await.ok();
    assert_eq!(eventually("another one leads there", 10 * SECOND, read).await, "here");
    let error = redis.transaction(&["a", "b"], async |_, _| Ok(Some(()))).await.unwrap_err();
    assert_eq!(error.code(), Some("CROSSSLOT"), "{error}");
}

/// A slot that nobody serves is no reason for the others to wait: there are connections enough, and whoever waits for
/// that slot says what it waits for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_a_slot_that_nobody_serves_takes_nobodys_connection() {
    let azure = common::clusters::three(HOUR).await;
    let cluster = azure.cluster().expect("a cluster was asked for").clone();
    let redis = azure.connect(azure.config().max_leased(2).command_timeout(6 * SECOND)).await;
    let of = owner(&cluster, FOO).await;
    let nodes = cluster.nodes().await.unwrap();
    let mut others = nodes.iter().filter(|node| node.index != of).map(|node| {
        let is_its = |key: &String| node.slots.iter().any(|range| range.contains(&common::slot_of(key)));
        (0..1_000).map(|number| format!("key:{number}")).find(is_its).unwrap()
    });
    let (here, elsewhere) = (others.next().unwrap(), others.next().unwrap());
    unassign(&cluster, FOO..=FOO).await;
    eventually("the gap is known", 20 * SECOND, async || {
        // Whoever asks for it finds out.
        _ = tokio::time::timeout(SECOND / 5, redis.clone().get::<_, Value>("foo")).await;
        let serves = |node: &entra_redis::NodeStats| node.slots.iter().any(|range| range.contains(&FOO));
        (!redis.manager().stats().nodes.iter().any(serves)).then_some(())
    })
    .await;
    // As many as there may be, which nobody uses.
    drop((redis.dedicated_for(&elsewhere).await.unwrap(), redis.dedicated_for(&elsewhere).await.unwrap()));
    let mut lost = pin!(redis.dedicated_for("foo"));
    let waits = poll_fn(|cx| Poll::Ready(lost.as_mut().poll(cx).is_pending())).await;
    assert!(waits, "nobody serves it");
    let closed_for_it = within("one that is free is closed for it", 4 * SECOND, redis.dedicated_for(&here));
    closed_for_it.await.unwrap();
    let error = lost.await.unwrap_err();
    assert!(!error.to_string().contains("max_leased"), "{error}");
}
