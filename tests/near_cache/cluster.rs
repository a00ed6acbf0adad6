//! On a real cluster: each node tells of its keys, and a slot that moves takes what was kept of it along.

use crate::{cached, settled};
use common::{HOUR, SECOND, cmd, direct, eventually, owner};
use entra_redis::{
    CacheOptions, CachedRedis, Config, EntraRedis,
    emulator::{Cluster, Emulator},
};
use redis::AsyncCommands;
use std::time::{Duration, Instant};

/// The slot of the keys `{foo}…`.
const FOO: u16 = 12182;

async fn three() -> (common::Azure, Cluster, EntraRedis) {
    three_with(|config| config).await
}

async fn three_with(set: impl FnOnce(Config) -> Config) -> (common::Azure, Cluster, EntraRedis) {
    let azure = common::clusters::three(HOUR).await;
    let cluster = azure.cluster().unwrap().clone();
    let redis = azure.connect(set(azure.config())).await;
    (azure, cluster, redis)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_all_nodes_are_kept_and_invalidated() {
    let (azure, _cluster, redis) = three().await;
    let mut cached = cached(&redis, CacheOptions::new().max_staleness(60 * SECOND)).await;
    assert_eq!(cached.stats().tracking.len(), 3);
    let mut other = azure.connect(azure.config()).await;
    for turn in 1..4_u64 {
        for key in 0..60 {
            let _: () = other.set(format!("key:{key}"), turn).await.unwrap();
        }
        let keys: Vec<_> = (0..60).map(|key| format!("key:{key}")).collect();
        eventually("the changes are seen", SECOND, async || {
            (cached.mget::<_, Vec<Option<u64>>>(&keys).await.unwrap() == vec![Some(turn); 60]).then_some(())
        })
        .await;
        let before = cached.stats().hits;
        assert_eq!(cached.mget::<_, Vec<u64>>(&keys).await.unwrap(), vec![turn; 60]);
        assert_eq!(cached.stats().hits - before, 60);
    }
}

/// Nobody uses this client's other connections, so that none of its commands is told `MOVED`: what it knows of the
/// slot's move it has found out by itself, in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_serves_nothing_old_for_longer_than_it_may() {
    let (azure, cluster, redis) = three_with(|config| config.topology_refresh_interval(HOUR)).await;
    let limit = SECOND;
    let mut cached = cached(&redis, CacheOptions::new().max_staleness(limit)).await;
    let mut other = azure.connect(azure.config()).await;
    for round in 0..3_u64 {
        let (there, missing) = ("{foo}there", format!("{{foo}}missing:{round}"));
        let _: () = other.set(there, round).await.unwrap();
        eventually("the change is seen", 2 * SECOND, async || {
            (cached.get::<_, String>(there).await.unwrap() == round.to_string()).then_some(())
        })
        .await;
        settled(&mut cached, &cmd(&format!("GET {missing}"))).await;
        let to = (owner(&cluster, FOO).await + 1) % 3;
        let migration = cluster.begin_migration(FOO..=FOO, to).await.unwrap();
        // On its way, what is not there is made at the target, of which the source tells nobody.
        let _: () = other.set(&missing, "made").await.unwrap();
        let changed = Instant::now();
        let knows = async |cached: &mut CachedRedis| cached.get::<_, Option<String>>(&missing).await.unwrap().is_some();
        nothing_old(&mut cached, changed, limit, knows).await;
        migration.finish().await.unwrap();
        let _: () = other.set(there, "moved").await.unwrap();
        let changed = Instant::now();
        let knows = async |cached: &mut CachedRedis| cached.get::<_, String>(there).await.unwrap() == "moved";
        nothing_old(&mut cached, changed, limit, knows).await;
    }
}

/// The source has not told of the key that it does not have any more: only its own word on its slots says it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_given_to_another_node_is_found_out() {
    let (azure, cluster, redis) = three_with(|config| config.topology_refresh_interval(HOUR)).await;
    let limit = SECOND;
    let mut cached = cached(&redis, CacheOptions::new().max_staleness(limit)).await;
    let mut other = azure.connect(azure.config()).await;
    let _: () = other.set("{foo}", "old").await.unwrap();
    settled(&mut cached, &cmd("GET {foo}")).await;
    let from = owner(&cluster, FOO).await;
    let to = (from + 1) % 3;
    for (node, line) in [(from, "DELSLOTS"), (to, "DELSLOTS"), ((to + 1) % 3, "DELSLOTS"), (to, "ADDSLOTS")] {
        let mut admin = direct(&cluster, node).await;
        let _: () = redis::cmd("CLUSTER").arg(line).arg(FOO).query_async(&mut admin).await.unwrap();
    }
    let _: () = other.set("{foo}", "new").await.unwrap();
    let changed = Instant::now();
    let knows = async |cached: &mut CachedRedis| {
        cached.get::<_, Option<String>>("{foo}").await.is_ok_and(|value| value.as_deref() == Some("new"))
    };
    nothing_old(&mut cached, changed, limit, knows).await;
}

/// Reads until one `knows` of a change; fails if one does not that begins so long after it.
async fn nothing_old(
    cached: &mut CachedRedis,
    changed: Instant,
    limit: Duration,
    knows: impl AsyncFn(&mut CachedRedis) -> bool,
) {
    loop {
        let began = changed.elapsed();
        if knows(cached).await {
            return;
        }
        assert!(began < limit, "what changed {began:?} ago is not known");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_drops_what_the_old_primary_covered() {
    let azure = common::start(Emulator::builder().token_lifetime(HOUR).cluster(3).replicas(1)).await;
    let cluster = azure.cluster().unwrap().clone();
    let redis = azure.connect(azure.config()).await;
    let limit = SECOND;
    let mut cached = cached(&redis, CacheOptions::new().max_staleness(limit)).await;
    let mut other = azure.connect(azure.config()).await;
    let _: () = other.set("{foo}", 1).await.unwrap();
    settled(&mut cached, &cmd("GET {foo}")).await;
    let primary = owner(&cluster, FOO).await;
    cluster.fail_over(primary).await.unwrap();
    let _: () = other.set("{foo}", 2).await.unwrap();
    let changed = Instant::now();
    let knows = async |cached: &mut CachedRedis| cached.get::<_, u64>("{foo}").await.unwrap() == 2;
    nothing_old(&mut cached, changed, limit, knows).await;
    settled(&mut cached, &cmd("GET {foo}")).await;
}
