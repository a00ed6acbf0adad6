//! What the other nodes' commands notice of a primary that is dead or frozen: nothing.

use super::{
    traffic::{Traffic, assert_unharmed, keys_of},
    *,
};
use common::SECOND;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Instant,
};
use tokio::task::JoinHandle;

/// How long the traffic is watched before the primary goes, and while it is away.
const WATCHED: Duration = Duration::from_secs(2);

/// When a command began, and how long it took.
type Took = (Instant, Duration);

/// The 99th percentile of the durations of commands that began within this time.
fn p99(took: &[Took], from: Instant, to: Instant) -> Duration {
    let mut took: Vec<_> = took.iter().filter(|(began, _)| (from..to).contains(began)).map(|(_, took)| *took).collect();
    assert!(took.len() > 100, "{} commands tell nothing", took.len());
    took.sort();
    took[took.len() * 99 / 100]
}

/// Sends the same commands to a node past its front, by a client that knows of no other node: how long a command takes
/// on this machine at the moment, whatever happens to other nodes.
async fn control(cluster: &Cluster, node: usize, stop: &Arc<AtomicBool>) -> JoinHandle<Vec<Took>> {
    // A hash tag has another key in the same slot.
    let key = format!("{{{}}}:control", keys_of(cluster, node, 1).await.remove(0));
    let client = redis::Client::open(format!("redis://{}/", cluster.redis_address(node).unwrap())).unwrap();
    // What the machine costs is measured, and is no error.
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let mut con = client.get_multiplexed_async_connection_with_config(&patient).await.unwrap();
    let stop = Arc::clone(stop);
    tokio::spawn(async move {
        let mut took = Vec::new();
        while !stop.load(SeqCst) {
            let began = Instant::now();
            redis::cmd("SET").arg(&key).arg(1).exec_async(&mut con).await.unwrap();
            took.push((began, began.elapsed()));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        took
    })
}

/// The primary has no successor: so it is away for as long as is watched.
async fn undisturbed(away: &str, go: impl AsyncFnOnce(&Cluster)) {
    let (_emulator, cluster, redis) = three_of(HOUR, |config| config.command_timeout(SECOND)).await;
    nodes_up(&redis, 3).await;
    let theirs = Traffic::on_node(&redis, &cluster, 0, 8).await;
    let others = Traffic::on_node(&redis, &cluster, 1, 8).await;
    others.progress().await;
    let stop = Arc::new(AtomicBool::new(false));
    let control = control(&cluster, 1, &stop).await;
    let began = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let gone = Instant::now();
    go(&cluster).await;
    tokio::time::sleep(WATCHED + SECOND).await;
    let end = Instant::now();
    stop.store(true, SeqCst);
    let (theirs, others, control) = (theirs.stop().await, others.stop().await, control.await.unwrap());
    assert_unharmed(&others);
    assert!(theirs.iter().any(|done| done.error.is_some()), "the primary was not away: the test proves nothing");
    let took: Vec<Took> = others.iter().map(|done| (done.began, done.took())).collect();
    let (before, during, machine) = (p99(&took, began, gone), p99(&took, gone, end), p99(&control, gone, end));
    eprintln!("{away}: p99 of the others {before:?} before, {during:?} during; of the machine {machine:?}");
    // What a busy machine adds is a matter of milliseconds; to wait for the primary would be one of a second.
    let most = 3 * before.max(machine) + Duration::from_millis(50);
    assert!(during < most, "{before:?} before, {during:?} during, not {most:?}");
    let slow = took.iter().filter(|(began, took)| *began >= gone && *took > SECOND / 2).count();
    assert_eq!(slow, 0, "commands to another node were slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_primary_slows_nobody_else_down() {
    undisturbed("dead", async |cluster| cluster.kill(0).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_primary_slows_nobody_else_down() {
    undisturbed("frozen", async |cluster| cluster.front(0).unwrap().freeze()).await;
}
