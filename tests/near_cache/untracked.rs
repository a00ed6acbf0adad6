//! Where Redis does not tell of changes, reads go to the server, and the figures say why.

use crate::tracking;
use common::{Fixture, SECOND, eventually, server::Server};
use entra_redis::{CacheOptions, CachedRedis, Event};
use redis::{AsyncCommands, ProtocolVersion};
use tokio::sync::broadcast::Receiver;

/// Reads are right and none comes from memory; why, as the figures and the event say.
async fn reason(cached: &mut CachedRedis, events: &mut Receiver<Event>) -> String {
    let reason = eventually("the reason is known", 10 * SECOND, async || {
        let stats = cached.stats();
        let node = stats.tracking.first()?;
        assert!(!node.on);
        node.reason.clone()
    })
    .await;
    let told = loop {
        if let Event::CacheUntracked { reason, .. } = events.recv().await.unwrap() {
            break reason;
        }
    };
    assert_eq!(told, reason);
    for turn in 0..100_u64 {
        let _: () = cached.set("key", turn).await.unwrap();
        assert_eq!(cached.get::<_, u64>("key").await.unwrap(), turn);
        assert_eq!(cached.mget::<_, Vec<u64>>(&["key", "key"]).await.unwrap(), [turn, turn]);
    }
    let stats = cached.stats();
    assert_eq!((stats.hits, stats.entries, stats.is_tracking()), (0, 0, false), "{stats:?}");
    reason.to_string()
}

#[tokio::test]
async fn resp2_has_no_invalidations() {
    let server = Server::start();
    let redis = server.up(server.config().protocol(ProtocolVersion::RESP2), 2).await;
    let mut events = redis.manager().events();
    let reason = reason(&mut redis.cached(CacheOptions::new()), &mut events).await;
    assert!(reason.contains("RESP2"), "{reason}");
}

/// Reads keys of all nodes until so many are known.
async fn has_nodes(cached: &mut CachedRedis, keys: &mut std::ops::RangeFrom<u64>, nodes: usize) {
    eventually("the nodes are known", 20 * SECOND, async || {
        _ = cached.get::<_, Option<String>>(format!("touch:{:?}", keys.next())).await;
        (cached.stats().tracking.len() == nodes).then_some(())
    })
    .await;
}

/// Nobody waits for a node that has left to tell of changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_left_is_not_among_the_figures() {
    for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
        let azure = common::clusters::three(600 * SECOND).await;
        let cluster = azure.cluster().unwrap().clone();
        let redis = azure.connect(azure.config().protocol(protocol)).await;
        let mut cached = redis.cached(CacheOptions::new());
        let new = cluster.add_node().await.unwrap();
        cluster.move_slots(0..=300, new).await.unwrap();
        let mut keys = 0..;
        has_nodes(&mut cached, &mut keys, 4).await;
        cluster.move_slots(0..=300, 0).await.unwrap();
        cluster.remove_node(new).await.unwrap();
        has_nodes(&mut cached, &mut keys, 3).await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_know_tracking_is_read_as_ever() {
    let (_azure, redis) = Fixture::new().up().await;
    let mut events = redis.manager().events();
    let reason = reason(&mut redis.cached(CacheOptions::new()), &mut events).await;
    assert!(reason.contains("CLIENT TRACKING (ERR)"), "{reason}");
}

#[tokio::test]
async fn a_user_who_may_not_track_reads_as_ever() {
    let server = Server::start();
    server.admin().await.run("ACL SETUSER tester -client|tracking").await;
    let redis = server.up(server.config(), 2).await;
    let mut events = redis.manager().events();
    let reason = reason(&mut redis.cached(CacheOptions::new()), &mut events).await;
    assert!(reason.contains("NOPERM"), "{reason}");
}

/// How long a key lives is asked with each read; it is no reason to keep nothing.
#[tokio::test]
async fn a_user_who_may_not_ask_for_the_expiry_has_a_cache() {
    let server = Server::start();
    server.admin().await.run("ACL SETUSER tester -pttl").await;
    let redis = server.up(server.config(), 2).await;
    let mut cached = redis.cached(CacheOptions::new());
    tracking(&cached).await;
    crate::settled(&mut cached, &common::cmd("GET key")).await;
}

#[tokio::test]
async fn the_last_handle_ends_everything_and_shutdown_does_too() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let before = common::tasks();
    {
        let redis = server.up(server.config(), 2).await;
        let cached = redis.cached(CacheOptions::new());
        drop(redis);
        tracking(&cached).await;
    }
    admin.links_gone().await;
    eventually("no task is left", 10 * SECOND, async || (common::tasks() <= before).then_some(())).await;

    let redis = server.up(server.config(), 2).await;
    let mut cached = redis.cached(CacheOptions::new());
    tracking(&cached).await;
    redis.shutdown().await;
    let error = cached.get::<_, Option<String>>("key").await.unwrap_err();
    assert!(error.to_string().contains("shut"), "{error}");
    admin.links_gone().await;
    eventually("no task is left", 10 * SECOND, async || (common::tasks() <= before).then_some(())).await;
    // The cache alone: its connection goes, those of the handle stay.
    let redis = server.up(server.config(), 2).await;
    let cached = redis.cached(CacheOptions::new());
    tracking(&cached).await;
    drop(cached);
    eventually("its connection is closed", 10 * SECOND, async || {
        crate::tracking_connections(&mut admin).await.is_empty().then_some(())
    })
    .await;
    assert_eq!(redis.clone().get::<_, Option<String>>("key").await.unwrap(), None);
}
