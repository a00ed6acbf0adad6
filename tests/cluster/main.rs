//! A real Redis Cluster behind the emulator, as Azure Managed Redis has one with the OSS cluster policy: whatever works
//! on a single endpoint works there, and stays right while slots, nodes and tokens change.

mod all_nodes;
mod coverage;
mod discovery;
mod ending;
mod failover;
mod ipv6;
mod iteration;
mod loss;
mod membership;
mod migration;
mod neighbours;
mod order;
mod partial;
mod redirects;
mod rotation;
mod routing;
mod scan;
mod script_cache;
mod scripts;
mod security;
mod simulation;
mod traffic;

use common::{HOUR, clusters, owner};
use entra_redis::{
    Config, EntraRedis,
    emulator::{Cluster, Emulator, EmulatorBuilder},
};
use redis::FromRedisValue;
use std::time::Duration;

/// A cluster, and a handle to it.
async fn start(builder: EmulatorBuilder, set: impl FnOnce(Config) -> Config) -> (common::Azure, Cluster, EntraRedis) {
    handle_to(common::start(builder).await, set).await
}

/// Three primaries with tokens of this lifetime, and a handle to them.
async fn three_of(lifetime: Duration, set: impl FnOnce(Config) -> Config) -> (common::Azure, Cluster, EntraRedis) {
    handle_to(clusters::three(lifetime).await, set).await
}

async fn handle_to(
    emulator: common::Azure,
    set: impl FnOnce(Config) -> Config,
) -> (common::Azure, Cluster, EntraRedis) {
    let cluster = emulator.cluster().expect("a cluster was asked for").clone();
    let redis = connect(&emulator, set).await;
    (emulator, cluster, redis)
}

async fn connect(emulator: &Emulator, set: impl FnOnce(Config) -> Config) -> EntraRedis {
    let config = emulator.config().token_manager(common::by_ratio(0.5));
    EntraRedis::connect(emulator.host(), emulator.port(), set(config)).await.expect("the cluster takes connections")
}

/// Three primaries, tokens that live for an hour.
async fn three() -> (common::Azure, Cluster, EntraRedis) {
    three_of(HOUR, |config| config).await
}

/// What a node's server answers to whoever comes to it past its front; the words are parted by single spaces.
async fn behind<T: FromRedisValue>(cluster: &Cluster, node: usize, line: &str) -> T {
    let mut con = common::direct(cluster, node).await;
    common::cmd(line).query_async(&mut con).await.unwrap_or_else(|error| panic!("{line} at node {node}: {error}"))
}

/// Waits until so many nodes serve slots, and all have both their links.
async fn nodes_up(redis: &EntraRedis, count: usize) {
    common::eventually("all nodes are up", 10 * common::SECOND, async || {
        let stats = redis.manager().stats();
        let is_up = stats.nodes.len() == count && stats.nodes.iter().all(|node| node.open_links == 2);
        is_up.then_some(())
    })
    .await;
}

/// The slot of the keys `{foo}…`.
const FOO: u16 = 12182;

/// Nothing is under way any more.
async fn idle(redis: &EntraRedis) {
    common::eventually("all permits are back", 10 * common::SECOND, async || {
        (redis.manager().stats().commands.in_flight == 0).then_some(())
    })
    .await;
}

/// Writes a key of a node's; whoever else owned its slot until now says so.
async fn touch(redis: &EntraRedis, cluster: &Cluster, node: usize) {
    let key = traffic::keys_of(cluster, node, 1).await.remove(0);
    redis::cmd("SET").arg(key).arg(1).exec_async(&mut redis.clone()).await.expect("the new owner takes it");
}
