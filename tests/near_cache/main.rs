//! The near cache serves from memory what Redis says has not changed, and nothing else: not after an invalidation, not
//! after a lost connection, a moved slot or a rotation, and not longer than `max_staleness` when nothing is heard.
#![cfg(feature = "near-cache")]

mod bounds;
mod cluster;
mod figures;
mod history;
mod invalidation;
mod reads;
#[cfg(feature = "metrics")]
mod service;
mod staleness;
mod untracked;

use common::{SECOND, eventually, server::Admin};
use entra_redis::{CacheOptions, CachedRedis, EntraRedis};

/// A cache on this handle, all of whose nodes tell of changes.
async fn cached(redis: &EntraRedis, options: CacheOptions) -> CachedRedis {
    let cached = redis.cached(options);
    tracking(&cached).await;
    cached
}

/// Waits until all nodes tell of changes.
async fn tracking(cached: &CachedRedis) {
    eventually("all nodes tell of changes", 10 * SECOND, async || cached.stats().is_tracking().then_some(())).await;
}

/// Waits until a read is answered from memory; what it read.
async fn settled(cached: &mut CachedRedis, cmd: &redis::Cmd) -> redis::Value {
    eventually("a read comes from memory", 10 * SECOND, async || {
        let before = cached.stats().hits;
        let value = cmd.query_async(cached).await.expect("a read");
        (cached.stats().hits > before).then_some(value)
    })
    .await
}

/// The connections on which the server tells of changes.
async fn tracking_connections(admin: &mut Admin) -> Vec<u64> {
    let list: String = admin.ask("CLIENT LIST").await;
    let field = |line: &str, name: &str| line.split(' ').find_map(|field| Some(field.strip_prefix(name)?.to_owned()));
    let tracked = list.lines().filter(|line| field(line, "flags=").is_some_and(|flags| flags.contains('t')));
    tracked.map(|line| field(line, "id=").unwrap().parse().unwrap()).collect()
}
