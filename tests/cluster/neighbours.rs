//! What the other nodes' commands notice of a primary that is dead or frozen: nothing.

use super::{
    traffic::{Done, Traffic, assert_unharmed},
    *,
};
use common::SECOND;
use std::time::Instant;

/// How long the traffic is watched before the primary goes, and while it is away.
const WATCHED: Duration = Duration::from_secs(2);

/// That of the commands that began within the time.
fn p99(done: &[Done], from: Instant, to: Instant) -> Duration {
    let mut took: Vec<_> = done.iter().filter(|done| (from..to).contains(&done.began)).map(Done::took).collect();
    assert!(took.len() > 200, "{} commands tell nothing", took.len());
    took.sort();
    took[took.len() * 99 / 100]
}

/// The primary has no successor: so it is away for as long as is watched.
async fn undisturbed(away: &str, go: impl AsyncFnOnce(&Cluster)) {
    let builder = Emulator::builder().token_lifetime(HOUR).cluster(3);
    let (_emulator, cluster, redis) = start(builder, |config| config.command_timeout(SECOND)).await;
    nodes_up(&redis, 3).await;
    let theirs = Traffic::on_node(&redis, &cluster, 0, 8).await;
    let others = Traffic::on_node(&redis, &cluster, 1, 8).await;
    others.progress().await;
    let began = Instant::now();
    tokio::time::sleep(WATCHED).await;
    let gone = Instant::now();
    go(&cluster).await;
    tokio::time::sleep(WATCHED + SECOND).await;
    let end = Instant::now();
    let (theirs, others) = (theirs.stop().await, others.stop().await);
    assert_unharmed(&others);
    assert!(theirs.iter().any(|done| done.error.is_some()), "the primary was not away: the test proves nothing");
    let (before, during) = (p99(&others, began, gone), p99(&others, gone, end));
    eprintln!("{away}: p99 of the others {before:?} before, {during:?} during");
    // What a busy machine adds is a matter of milliseconds; to wait for the primary would be one of a second.
    assert!(during < 3 * before + Duration::from_millis(20), "{before:?} before, {during:?} during");
    let slow = |done: &&Done| done.began >= gone && done.took() > SECOND / 2;
    assert_eq!(others.iter().filter(slow).count(), 0, "commands to another node were slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_primary_slows_nobody_else_down() {
    undisturbed("dead", async |cluster| cluster.kill(0).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_primary_slows_nobody_else_down() {
    undisturbed("frozen", async |cluster| cluster.front(0).unwrap().freeze()).await;
}
