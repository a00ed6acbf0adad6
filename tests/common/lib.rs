//! What the tests share: a fixture, a real redis-server over TLS, load, waiting for conditions, a watch on the logs,
//! the examples as processes, servers that misbehave, and the tools that certificates and developers come with.
#![allow(
    missing_docs,
    missing_debug_implementations,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "it is for the tests of this repository, which fail by panics, and part of no API"
)]

pub mod child;
pub mod clusters;
pub mod counting;
pub mod distance;
pub mod endpoint;
pub mod fault;
mod fixture;
pub mod http;
pub mod load;
pub mod logs;
pub mod openssl;
pub mod ports;
pub mod proxy;
pub mod resp;
pub mod scripted;
pub mod server;
pub mod simulation;
pub mod tls;
#[cfg(unix)]
pub mod tools;

pub use fixture::{Azure, Fixture};

use entra_redis::{
    EntraRedis, RetryPolicy, TokenManagerConfig,
    emulator::{Cluster, Emulator, EmulatorBuilder},
};
use redis::{AsyncConnectionConfig, Cmd, aio::MultiplexedConnection};
use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

pub const SECOND: Duration = Duration::from_secs(1);
pub const HOUR: Duration = Duration::from_secs(3600);

/// Waits until `condition` yields something; fails the test after `limit`.
pub async fn eventually<T>(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Fails the test if `work` takes longer than `limit`.
pub async fn within<T>(what: &str, limit: Duration, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"))
}

/// The emulator on a real redis-server, with tokens of this lifetime.
pub fn emulator(lifetime: Duration) -> EmulatorBuilder {
    Emulator::builder().token_lifetime(lifetime).redis_server()
}

/// This emulator, and the watch on the logs.
pub async fn start(builder: EmulatorBuilder) -> Azure {
    Azure::start(builder).await
}

/// Renews at the ratio, without the three minutes that real tokens leave.
pub fn by_ratio(ratio: f64) -> TokenManagerConfig {
    TokenManagerConfig::new()
        .expiration_refresh_ratio(ratio)
        .lower_refresh_bound(Duration::ZERO)
        .retry_policy(RetryPolicy::new().delay(Duration::from_millis(50)))
}

/// Renews tokens that live for no longer than the three minutes twice a second, as often as this allows, and not once.
pub fn twice_a_second() -> TokenManagerConfig {
    TokenManagerConfig::new().min_refresh_interval(SECOND / 2)
}

/// Waits until `links` links are up.
pub async fn links_up(redis: &EntraRedis, links: usize) {
    eventually("all links are up", 10 * SECOND, async || {
        let stats = redis.manager().stats();
        (stats.links.iter().filter(|link| link.is_open()).count() == links).then_some(())
    })
    .await;
}

/// Waits until the token has rotated `times` more.
pub async fn rotations(redis: &EntraRedis, times: u64, limit: Duration) {
    let before = redis.manager().counters().rotations;
    eventually("rotations", limit, async || (redis.manager().counters().rotations >= before + times).then_some(()))
        .await;
}

/// Waits until every link is on the newest token.
pub async fn all_current(redis: &EntraRedis) {
    eventually("every link is on the newest token", 10 * SECOND, async || {
        let stats = redis.manager().stats();
        let newest = stats.token.filter(|token| token.in_use)?.generation;
        stats.links.iter().all(|link| link.is_open() && link.generation == newest).then_some(())
    })
    .await;
}

/// The slot of a key without a hash tag: CRC16 (XMODEM) modulo 16384.
pub fn slot_of(key: &str) -> u16 {
    let crc = key.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    });
    crc % 16_384
}

/// A connection to a node's server of its own, past the front, which waits as long as a busy machine takes.
pub async fn direct(cluster: &Cluster, node: usize) -> MultiplexedConnection {
    let address = cluster.redis_address(node).unwrap_or_else(|error| panic!("node {node}: {error}"));
    let client = redis::Client::open(format!("redis://{address}/")).unwrap();
    let patient = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(Some(20 * SECOND));
    client.get_multiplexed_async_connection_with_config(&patient).await.unwrap()
}

/// The node that serves a slot, as the cluster sees it.
pub async fn owner(cluster: &Cluster, slot: u16) -> usize {
    let nodes = cluster.nodes().await.unwrap();
    nodes.iter().find(|node| node.slots.iter().any(|range| range.contains(&slot))).expect("somebody serves it").index
}

/// Moves thousands of slots, some hundred at once.
pub async fn move_many(cluster: &Cluster, slots: RangeInclusive<u16>, to: usize) {
    for first in slots.clone().step_by(256) {
        let last = first.saturating_add(255).min(*slots.end());
        cluster.begin_migration(first..=last, to).await.unwrap().finish().await.unwrap();
    }
}

/// Takes slots from whoever serves them, and waits until all nodes of a cluster that lost no other ones know it.
pub async fn unassign(cluster: &Cluster, slots: RangeInclusive<u16>) {
    let nodes = cluster.nodes().await.unwrap();
    let left = format!("cluster_slots_assigned:{}\r\n", 16_384 - slots.len());
    eventually("all nodes know the gap", 20 * SECOND, async || {
        let mut all_know = true;
        for node in &nodes {
            let mut con = direct(cluster, node.index).await;
            if !cmd("CLUSTER INFO").query_async::<String>(&mut con).await.unwrap().contains(&left) {
                all_know = false;
                // The owner may have said that they are its own just before they were taken from it.
                let delete = format!("CLUSTER DELSLOTSRANGE {} {}", slots.start(), slots.end());
                _ = cmd(&delete).exec_async(&mut con).await;
            }
        }
        all_know.then_some(())
    })
    .await;
}

/// How many tasks the current runtime has.
pub fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// A command, whose words are parted by single spaces.
pub fn cmd(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    cmd
}
