//! `health()` and `ready()`, through everything that a service may live to see.

use crate::{HOUR, start};
use common::{SECOND, eventually};
use entra_redis::{
    EntraRedis, Health,
    emulator::{Emulator, IdentityFault},
};
use redis::AsyncCommands;

/// Waits for a health that `is` it, and checks what the probes say of it.
async fn until(redis: &EntraRedis, what: &str, is: fn(&Health) -> bool, ready: bool) -> Health {
    let health = eventually(what, 20 * SECOND, async || {
        let health = redis.manager().health();
        is(&health).then_some(health)
    })
    .await;
    assert_eq!((health.is_ready(), health.is_alive()), (ready, true), "{health}");
    assert_eq!(redis.manager().ready(), ready, "{health}");
    health
}

async fn until_healthy(redis: &EntraRedis) {
    until(redis, "healthy", |health| *health == Health::Healthy, true).await;
}

async fn until_degraded(redis: &EntraRedis) -> String {
    until(redis, "degraded", |health| matches!(health, Health::Degraded { .. }), true).await.to_string()
}

async fn until_down(redis: &EntraRedis) -> String {
    until(redis, "down", |health| matches!(health, Health::Down { .. }), false).await.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_falls_and_rises_with_the_connections_and_ends_with_shutdown() {
    let emulator = start(Emulator::builder()).await;
    let redis = emulator.up(emulator.config(), 4).await;
    until_healthy(&redis).await;

    emulator.redis_front().refuse_connections(true);
    emulator.redis_front().connections()[0].cut();
    let shown = until_degraded(&redis).await;
    assert!(shown.starts_with("degraded: 3 of 4 connections"), "{shown}");
    let _: () = redis.clone().set("key", 1).await.unwrap();
    // Why the fourth does not come.
    let told = async || redis.manager().health().to_string().contains("connections: TLS with").then_some(());
    eventually("it says why", 5 * SECOND, told).await;

    emulator.redis_front().cut_all();
    let shown = until_down(&redis).await;
    assert!(shown.starts_with("down: no connection: TLS with"), "{shown}");

    emulator.redis_front().refuse_connections(false);
    until_healthy(&redis).await;
    let _: () = redis.clone().set("key", 1).await.unwrap();

    redis.shutdown().await;
    let health = redis.manager().health();
    assert_eq!(health, Health::Stopped);
    assert!(!health.is_ready() && !health.is_alive() && !redis.manager().ready());
    assert_eq!(health.to_string(), "shut down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_falls_and_rises_with_the_token() {
    let emulator = start(Emulator::builder().token_lifetime(4 * SECOND)).await;
    let redis = emulator.up(emulator.config(), 2).await;
    until_healthy(&redis).await;

    emulator.identity().fault_all(Some(IdentityFault::WrongSecret));
    let shown = until_degraded(&redis).await;
    assert!(shown.contains("the token cannot be renewed") && shown.contains("AADSTS7000215"), "{shown}");
    let _: () = redis.clone().set("key", 1).await.unwrap();

    let shown = until_down(&redis).await;
    assert!(shown.contains("AADSTS7000215"), "{shown}");

    emulator.identity().fault_all(None);
    until_healthy(&redis).await;
    let _: () = redis.clone().set("key", 1).await.unwrap();
}

/// One thing that is wrong does not hide another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_is_wrong_is_told() {
    let emulator = start(Emulator::builder().embedded_cluster(3).token_lifetime(HOUR)).await;
    let redis = emulator.connect(emulator.config()).await;
    until_healthy(&redis).await;
    emulator.cluster().unwrap().kill(2).await.unwrap();
    let without_a_node = eventually("a node is missed", 20 * SECOND, async || {
        let health = redis.manager().health().to_string();
        health.contains("no connection to ").then_some(health)
    })
    .await;
    assert!(!without_a_node.ends_with("; "), "{without_a_node}");
    emulator.identity().fault_all(Some(IdentityFault::WrongSecret));
    redis.manager().refresh_token();
    let both = eventually("the token is missed, too", 20 * SECOND, async || {
        let health = redis.manager().health().to_string();
        health.contains("the token cannot be renewed").then_some(health)
    })
    .await;
    assert!(both.contains("AADSTS7000215") && both.contains("; no connection to "), "{both}");
}
