//! What needs a connection alone, called on the handle that all share: commands that block, and transactions step by
//! step. On a single endpoint and on a cluster, while tokens rotate, slots move and nodes die.

mod alone;
mod blocking;
mod cluster;
mod crowds;
mod examples;
mod handed_on;
mod lazy;
mod migration;
mod times;
mod transactions;
mod waits;

use common::{Azure, HOUR, by_ratio, emulator};
use entra_redis::{Config, EntraRedis, emulator::Emulator};
use redis::{FromRedisValue, Value};
use std::time::Duration;

/// A real redis-server, tokens of this lifetime that are renewed at half of it, and a handle.
async fn start(lifetime: Duration, set: impl FnOnce(Config) -> Config) -> (Azure, EntraRedis) {
    let azure = common::start(emulator(lifetime)).await;
    let redis = azure.up(set(azure.config().token_manager(by_ratio(0.5))), 2).await;
    (azure, redis)
}

/// Where a test runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Endpoint,
    /// Three primaries.
    Cluster,
}

/// As [`start`], or the same on a cluster.
async fn start_on(on: On, lifetime: Duration, set: impl FnOnce(Config) -> Config) -> (Azure, EntraRedis) {
    if on == On::Endpoint {
        return start(lifetime, set).await;
    }
    let azure = common::start(Emulator::builder().token_lifetime(lifetime).cluster(3)).await;
    let redis = azure.connect(set(azure.config().token_manager(by_ratio(0.5)))).await;
    (azure, redis)
}

/// Waits until so many connections are blocked in the server, or in all nodes together.
async fn blocked(redis: &EntraRedis, count: u64) {
    common::eventually("so many are blocked", 20 * common::SECOND, async || {
        let clients: Value = redis::cmd("INFO").arg("clients").query_async(&mut redis.clone()).await.ok()?;
        let texts: Vec<String> = match clients {
            Value::Map(nodes) => {
                nodes.into_iter().map(|(_, text)| String::from_redis_value(text)).collect::<Result<_, _>>()
            }
            text => String::from_redis_value(text).map(|text| vec![text]),
        }
        .ok()?;
        let blocked = |text: &String| {
            let line = text.lines().find_map(|line| line.strip_prefix("blocked_clients:")).expect("it is in INFO");
            line.parse::<u64>().expect("a number")
        };
        (texts.iter().map(blocked).sum::<u64>() == count).then_some(())
    })
    .await;
}
