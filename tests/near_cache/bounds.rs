//! What the memory takes is bounded.

use crate::{cached, tracking_connections};
use common::server::Server;
use entra_redis::CacheOptions;
use redis::AsyncCommands;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_is_bounded_in_bytes() {
    let server = Server::start_unwatched();
    let redis = server.up(server.config(), 2).await;
    let most = 4 << 20;
    let mut cached = cached(&redis, CacheOptions::new().max_bytes(most)).await;
    let value = "x".repeat(1_000);
    for key in 0..10_000 {
        let _: () = cached.set(format!("key:{key}"), &value).await.unwrap();
        let _: String = cached.get(format!("key:{key}")).await.unwrap();
        assert!(cached.stats().bytes <= most, "{:?}", cached.stats());
    }
    let stats = cached.stats();
    assert!(stats.bytes > most / 2 && stats.entries > 1_500 && stats.entries < 4_200, "{stats:?}");
    // Larger than all of it: read, and not kept.
    let _: () = cached.set("large", "x".repeat(5 << 20)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(cached.get::<_, String>("large").await.unwrap().len(), 5 << 20);
    }
    assert!(cached.stats().bytes <= most);
}

#[tokio::test]
async fn with_no_memory_or_no_time_nothing_is_kept() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let none = std::time::Duration::ZERO;
    for options in
        [CacheOptions::new().max_bytes(0), CacheOptions::new().ttl(none), CacheOptions::new().max_staleness(none)]
    {
        let mut cached = cached(&redis, options).await;
        for turn in 0..20_u64 {
            let _: () = cached.set("key", turn).await.unwrap();
            assert_eq!(cached.get::<_, u64>("key").await.unwrap(), turn);
        }
        assert_eq!(cached.stats().hits, 0);
        // Nor is a node asked to tell of changes, nor for how long a key lives.
        assert_eq!(cached.stats().tracking, []);
    }
    let mut admin = server.admin().await;
    assert!(tracking_connections(&mut admin).await.is_empty());
    let asked: String = admin.ask("INFO commandstats").await;
    assert!(!asked.contains("cmdstat_pttl") && !asked.contains("cmdstat_client|tracking"), "{asked}");
}

/// Many fields of one hash are one key's entry.
#[tokio::test]
async fn fields_of_a_hash_are_kept_side_by_side() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    let fields: Vec<_> = (0..300).map(|field| (format!("f{field}"), field)).collect();
    let _: () = cached.hset_multiple("hash", &fields).await.unwrap();
    for (field, value) in &fields[..100] {
        for _ in 0..2 {
            assert_eq!(cached.hget::<_, _, i32>("hash", field).await.unwrap(), *value);
        }
    }
    assert_eq!((cached.stats().hits, cached.stats().entries), (100, 1));
    for (field, value) in &fields {
        assert_eq!(cached.hget::<_, _, i32>("hash", field).await.unwrap(), *value);
    }
    let _: () = cached.hset("hash", "f299", 7).await.unwrap();
    assert_eq!(cached.hget::<_, _, i32>("hash", "f299").await.unwrap(), 7);
    assert_eq!(cached.hget::<_, _, i32>("hash", "f298").await.unwrap(), 298);
}
