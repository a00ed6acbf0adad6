//! What needs a connection alone, called on the handle that all share: commands that block, and transactions step by
//! step. On a single endpoint and on a cluster, while tokens rotate, slots move and nodes die.

mod alone;
mod blocking;
mod cluster;
mod crowds;
mod examples;
mod migration;
mod transactions;
mod waits;

use common::{Azure, by_ratio, emulator};
use entra_redis::{Config, EntraRedis};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// A real redis-server, tokens of this lifetime that are renewed at half of it, and a handle.
async fn start(lifetime: Duration, set: impl FnOnce(Config) -> Config) -> (Azure, EntraRedis) {
    let azure = common::start(emulator(lifetime)).await;
    let redis = azure.up(set(azure.config().token_manager(by_ratio(0.5))), 2).await;
    (azure, redis)
}

/// Waits until so many connections are blocked in the server.
async fn blocked(redis: &EntraRedis, count: usize) {
    common::eventually("so many are blocked", 10 * common::SECOND, async || {
        let clients: String = redis::cmd("INFO").arg("clients").query_async(&mut redis.clone()).await.ok()?;
        clients.contains(&format!("blocked_clients:{count}\r\n")).then_some(())
    })
    .await;
}
