//! Primaries that hand over, die, freeze and come back.

use super::{
    traffic::{Traffic, assert_unharmed, keys_of, slowest},
    *,
};
use common::{SECOND, eventually, load::Load, within};
use redis::AsyncCommands;
use std::time::Instant;

/// Three primaries with a replica each, of which one is promoted half a second after its primary is gone.
async fn with_replicas(set: impl FnOnce(Config) -> Config) -> (common::Azure, Cluster, EntraRedis) {
    handle_to(clusters::with_replicas(HOUR).await, set).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_fails_for_a_planned_failover() {
    let (_emulator, cluster, redis) = with_replicas(|config| config).await;
    nodes_up(&redis, 3).await;
    let load = Load::start(&redis, 64);
    for primary in [0, 1] {
        let commands = load.commands();
        let heir = cluster.fail_over(primary).await.unwrap();
        assert_eq!(heir, primary + 3);
        eventually("the load goes on", 10 * SECOND, async || (load.commands() > commands + 1_000).then_some(())).await;
    }
    let report = load.stop().await;
    report.assert_unharmed();
    eprintln!("planned failovers: {} commands, the slowest took {:?}", report.commands, report.slowest);
    // What were primaries are forgotten, though they live on as replicas.
    eventually("the old primaries are forgotten", 10 * SECOND, async || {
        let old = cluster.front(0).unwrap().connection_count() + cluster.front(1).unwrap().connection_count();
        (redis.manager().stats().nodes.len() == 3 && old == 0).then_some(())
    })
    .await;
    assert!(redis.manager().health().to_string() == "healthy", "{}", redis.manager().health());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_primary_is_succeeded_while_the_others_notice_nothing() {
    let (_emulator, cluster, redis) = with_replicas(|config| config).await;
    nodes_up(&redis, 3).await;
    let theirs = Traffic::on_node(&redis, &cluster, 0, 8).await;
    let others = Traffic::on_node(&redis, &cluster, 1, 8).await;
    theirs.progress().await;
    others.progress().await;
    let waiting_key = keys_of(&cluster, 0, 1).await.remove(0);

    let killed = Instant::now();
    cluster.kill(0).await.unwrap();
    // One that begins while nobody serves its slot.
    let mut con = redis.clone();
    let waiter = tokio::spawn(async move { con.set::<_, _, ()>(waiting_key + ":not-lost", 1).await });
    let heir = cluster.promoted(0).await.unwrap();
    let promoted = Instant::now();
    assert_eq!(heir, 3);
    let recovered = theirs.success_since(promoted, 10 * SECOND).await;
    let (gap, window) = (recovered - promoted, recovered - killed);
    eprintln!("promoted after {:?}, served again {gap:?} later", promoted - killed);
    assert!(gap < 2 * SECOND, "served {gap:?} after the promotion");
    waiter.await.unwrap().expect("a command that waits is served by the successor");
    theirs.progress().await;
    let (theirs, others) = (theirs.stop().await, others.stop().await);
    assert_unharmed(&others);
    assert!(slowest(&others) < SECOND, "a command to another node took {:?}", slowest(&others));
    for done in theirs.iter().filter(|done| done.error.is_some()) {
        assert!(done.ended >= killed && done.began <= recovered, "outside of the window of {window:?}");
        // Only what was on its way may have run; all the others have waited.
        let error = done.error.as_ref().unwrap();
        assert!(error.is_connection_dropped(), "{error}");
    }
    nodes_up(&redis, 3).await;
    cluster.restart(0).await.unwrap();
    assert_eq!(cluster.fail_over(3).await.unwrap(), 0);
    within("it serves again", 5 * SECOND, Traffic::on_node(&redis, &cluster, 0, 2).await.progress()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_primary_is_succeeded_too() {
    let (_emulator, cluster, redis) = with_replicas(|config| config).await;
    nodes_up(&redis, 3).await;
    let theirs = Traffic::on_node(&redis, &cluster, 1, 8).await;
    let others = Traffic::on_node(&redis, &cluster, 2, 8).await;
    theirs.progress().await;
    let frozen = Instant::now();
    cluster.freeze(1).await.unwrap();
    assert_eq!(cluster.promoted(1).await.unwrap(), 4);
    let promoted = Instant::now();
    let mut con = redis.clone();
    let key = keys_of(&cluster, 4, 1).await.remove(0);
    eventually("a new command is served", 10 * SECOND, async || {
        tokio::time::timeout(SECOND / 4, con.set::<_, _, ()>(&key, 1)).await.ok()?.ok()
    })
    .await;
    eprintln!("frozen: promoted after {:?}, served again {:?} later", promoted - frozen, promoted.elapsed());
    assert!(promoted.elapsed() < 3 * SECOND, "served {:?} after the promotion", promoted.elapsed());
    theirs.success_since(Instant::now(), 10 * SECOND).await;
    let others = others.stop().await;
    assert_unharmed(&others);
    assert!(slowest(&others) < SECOND, "a command to another node took {:?}", slowest(&others));
    cluster.thaw(1).await.unwrap();
    theirs.progress().await;
    nodes_up(&redis, 3).await;
}

/// A handle with an unanswered command on a node that says nothing is not kept from the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_node_without_a_successor_keeps_nobody_from_the_others() {
    let (_emulator, cluster, redis) = three_of(HOUR, |config| config.command_timeout(2 * SECOND)).await;
    nodes_up(&redis, 3).await;
    let [there, here] = [1, 0].map(|node| keys_of(&cluster, node, 1));
    let (there, here) = (there.await.remove(0), here.await.remove(0));
    cluster.front(1).unwrap().freeze();
    let mut con = redis.clone();
    for _ in 0..3 {
        let error = con.set::<_, _, ()>(&there, 1).await.unwrap_err();
        assert!(error.is_timeout(), "{error}");
        let began = Instant::now();
        let _: () = con.set(&here, 1).await.unwrap();
        assert!(began.elapsed() < SECOND / 2, "{:?}", began.elapsed());
    }
    eventually("health names the node", 10 * SECOND, async || {
        let health = redis.manager().health();
        (health.is_ready() && health.to_string().contains(&cluster.address(1).unwrap().to_string())).then_some(())
    })
    .await;
    cluster.front(1).unwrap().thaw();
    eventually("the node serves again", 10 * SECOND, async || con.set::<_, _, ()>(&there, 1).await.ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_die_and_come_back() {
    let (_emulator, cluster, redis) = three_of(HOUR, |config| config.command_timeout(20 * SECOND)).await;
    nodes_up(&redis, 3).await;
    let fronts: Vec<_> = (0..3).map(|node| cluster.front(node).unwrap()).collect();
    for front in &fronts {
        front.refuse_connections(true);
        front.cut_all();
    }
    eventually("nothing is up", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
    assert!(!redis.manager().health().is_ready());
    // They wait for their nodes.
    let waiters = (0..30).map(|number| {
        let mut con = redis.clone();
        tokio::spawn(async move { con.set::<_, _, ()>(format!("key:{number}"), number).await })
    });
    let waiters: Vec<_> = waiters.collect();
    tokio::time::sleep(2 * SECOND).await;
    for front in &fronts {
        front.refuse_connections(false);
    }
    let back = Instant::now();
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
    eprintln!("all nodes back: everything served {:?} later", back.elapsed());
    assert!(back.elapsed() < 4 * SECOND, "{:?}", back.elapsed());
    nodes_up(&redis, 3).await;
}
