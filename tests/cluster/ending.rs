//! Whenever it ends, nothing of it is left: no task, no connection.

use super::*;
use common::{SECOND, eventually, load::Load, move_many, tasks, within};
use std::time::Instant;

/// Waits until no front has a connection, and no more tasks live than `before`.
async fn nothing_is_left(emulator: &Emulator, before: usize) {
    let mut fronts = emulator.redis_fronts();
    fronts.push(emulator.redis_front().clone());
    eventually("connections and tasks have ended", 10 * SECOND, async || {
        (fronts.iter().all(|front| front.connection_count() == 0) && tasks() <= before).then_some(())
    })
    .await;
}

/// How many tasks there are, once their number has stayed the same for a while: those of the emulator alone, if nothing
/// else is under way.
async fn steady_tasks() -> usize {
    let (mut count, mut since) = (tasks(), Instant::now());
    eventually("the number of tasks stays the same", 10 * SECOND, async || {
        if tasks() != count {
            (count, since) = (tasks(), Instant::now());
        }
        (since.elapsed() > SECOND / 2).then_some(count)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_is_given_up_at_any_moment() {
    let emulator = clusters::three(HOUR).await;
    drop(connect(&emulator, |config| config).await);
    let before = steady_tasks().await;
    for delay in (0..120).step_by(4) {
        let connecting = connect(&emulator, |config| config);
        drop(tokio::time::timeout(Duration::from_millis(delay), connecting).await);
    }
    nothing_is_left(&emulator, before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_shut_down_or_dropped_in_the_middle_of_a_failover() {
    // On this runtime: a node that comes back has its tasks on the one that brings it back.
    let builder = Emulator::builder().token_lifetime(2 * SECOND).cluster(3).replicas(1);
    let emulator = common::start(builder.node_timeout(Duration::from_millis(500))).await;
    let cluster = emulator.cluster().unwrap().clone();
    let before = steady_tasks().await;
    for (round, delay) in [0, 300, 900, 1500].into_iter().enumerate() {
        let redis = connect(&emulator, |config| config.command_timeout(2 * SECOND)).await;
        let load = Load::start(&redis, 16);
        let primary = cluster.nodes().await.unwrap().iter().find(|node| !node.slots.is_empty()).unwrap().index;
        if round % 2 == 0 {
            cluster.kill(primary).await.unwrap();
        } else {
            cluster.freeze(primary).await.unwrap();
        }
        // The moment in the failover at which it ends.
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let began = Instant::now();
        if round < 2 {
            within("shutdown ends", 10 * SECOND, redis.manager().shutdown()).await;
            assert!(began.elapsed() < 4 * SECOND, "{:?}", began.elapsed());
            // Their other ends learn of it a moment later.
            let closed = async || (tasks_of_connections(&cluster, primary) == 0).then_some(());
            eventually("all connections are closed", SECOND, closed).await;
        }
        load.stop().await;
        drop(redis);
        cluster.promoted(primary).await.unwrap();
        if round % 2 == 0 {
            cluster.restart(primary).await.unwrap();
        } else {
            cluster.thaw(primary).await.unwrap();
        }
        nothing_is_left(&emulator, before).await;
    }
}

/// Connections to all nodes but this one, which may not have noticed yet.
fn tasks_of_connections(cluster: &Cluster, but: usize) -> usize {
    let nodes = (0..6).filter(|node| *node != but);
    nodes.map(|node| cluster.front(node).unwrap().connection_count()).sum()
}

/// A node that is being let go, with something unanswered, does not hold up the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_drains_does_not_hold_up_the_end() {
    let emulator = clusters::three(HOUR).await;
    let cluster = emulator.cluster().unwrap().clone();
    let redis = connect(&emulator, |config| config.command_timeout(60 * SECOND).shutdown_timeout(SECOND)).await;
    nodes_up(&redis, 3).await;
    let key = traffic::keys_of(&cluster, 0, 1).await.remove(0);
    // It is never answered.
    let front = cluster.front(0).unwrap();
    front.connections().iter().for_each(entra_redis::emulator::FrontConnection::freeze);
    let mut con = redis.clone();
    let stuck = tokio::spawn(async move { redis::cmd("SET").arg(key).arg(1).exec_async(&mut con).await });
    eventually("it is in flight", 5 * SECOND, async || (redis.manager().stats().commands.in_flight > 0).then_some(()))
        .await;
    move_many(&cluster, 0..=5460, 1).await;
    let began = Instant::now();
    within("shutdown ends", 5 * SECOND, redis.manager().shutdown()).await;
    assert!(began.elapsed() < 3 * SECOND, "{:?}", began.elapsed());
    within("the command ends", SECOND, stuck).await.unwrap().unwrap_err();
}
