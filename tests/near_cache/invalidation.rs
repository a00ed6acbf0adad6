//! What somebody else changes is read again.

use crate::{cached, settled, tracking, tracking_connections};
use common::{SECOND, cmd, eventually, server::Server};
use entra_redis::CacheOptions;
use redis::{AsyncCommands, Value};
use std::time::Duration;

/// What a read gives is what it has become, within a second.
async fn becomes(cached: &mut entra_redis::CachedRedis, line: &str, expected: Value) {
    eventually(line, SECOND, async || {
        let value: Value = cmd(line).query_async(cached).await.unwrap();
        (value == expected).then_some(())
    })
    .await;
}

/// Nothing but an invalidation can be the reason in these tests.
fn long() -> CacheOptions {
    CacheOptions::new().max_staleness(60 * SECOND).ttl(600 * SECOND)
}

#[tokio::test]
async fn a_change_by_somebody_else_is_seen_at_once() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, long()).await;
    for (change, read, expected) in [
        ("SET s 1", "GET s", Value::BulkString(b"1".into())),
        ("SET s 2", "GET s", Value::BulkString(b"2".into())),
        ("DEL s", "GET s", Value::Nil),
        ("SET s 3", "EXISTS s", Value::Int(1)),
        ("DEL s", "EXISTS s", Value::Int(0)),
        ("HSET h f 1", "HGET h f", Value::BulkString(b"1".into())),
        ("HSET h f 2", "HGET h f", Value::BulkString(b"2".into())),
        ("HDEL h f", "HGET h f", Value::Nil),
        ("RENAME other s", "GET s", Value::BulkString(b"renamed".into())),
    ] {
        admin.run("SET other renamed").await;
        settled(&mut cached, &cmd(read)).await;
        admin.run(change).await;
        becomes(&mut cached, read, expected).await;
    }
    assert!(cached.stats().invalidations >= 6, "{:?}", cached.stats());
    assert_eq!(cached.stats().flushes, 0);
}

#[tokio::test]
async fn flushall_by_somebody_else_drops_everything() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, long()).await;
    for key in ["a", "b", "c"] {
        let _: () = cached.set(key, 1).await.unwrap();
        settled(&mut cached, &cmd(&format!("GET {key}"))).await;
    }
    assert_eq!(cached.stats().entries, 3);
    admin.run("FLUSHALL").await;
    for key in ["a", "b", "c"] {
        becomes(&mut cached, &format!("GET {key}"), Value::Nil).await;
    }
    assert!(cached.stats().flushes >= 1);
    // What is read afterwards is kept again.
    settled(&mut cached, &cmd("GET a")).await;
}

#[tokio::test]
async fn a_tracking_table_that_is_full_costs_hits_and_no_truth() {
    let server = Server::start();
    let mut admin = server.admin().await;
    admin.run("CONFIG SET tracking-table-max-keys 10").await;
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, long()).await;
    for key in 0..100 {
        assert_eq!(cached.get::<_, Option<u64>>(format!("key:{key}")).await.unwrap(), None);
    }
    eventually("the server forgets keys and says so", 5 * SECOND, async || {
        (cached.stats().invalidations >= 80 && cached.stats().entries <= 20).then_some(())
    })
    .await;
    for key in 0..100 {
        admin.run(&format!("SET key:{key} {key}")).await;
    }
    for key in 0..100 {
        becomes(&mut cached, &format!("GET key:{key}"), Value::BulkString(key.to_string().into_bytes())).await;
    }
}

/// The invalidation comes while the reply is on its way to the one who asked: it gets the value, and the value is not
/// kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_changes_while_it_is_read_is_not_kept() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 2).await;
    let cached = cached(&redis, long()).await;
    for turn in 0..200_u64 {
        let key = format!("key:{}", turn % 3);
        let reads: Vec<_> = (0..4)
            .map(|_| {
                let (mut cached, key) = (cached.clone(), key.clone());
                tokio::spawn(async move { cached.get::<_, Option<u64>>(key).await.unwrap() })
            })
            .collect();
        admin.run(&format!("SET {key} {turn}")).await;
        for read in reads {
            read.await.unwrap();
        }
        let mut cached = cached.clone();
        eventually("the change is seen", SECOND, async || {
            (cached.get::<_, Option<u64>>(&key).await.unwrap() == Some(turn)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_lost_connection_drops_what_it_covered_and_is_opened_again() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, long()).await;
    let _: () = cached.set("key", 1).await.unwrap();
    for turn in 2..12 {
        settled(&mut cached, &cmd("GET key")).await;
        let [connection] = tracking_connections(&mut admin).await[..] else {
            panic!("one connection tells of changes");
        };
        assert_eq!(admin.kill_connection(connection).await, 1);
        // The server has forgotten whom to tell.
        admin.run(&format!("SET key {turn}")).await;
        becomes(&mut cached, "GET key", Value::BulkString(turn.to_string().into_bytes())).await;
        tracking(&cached).await;
    }
    assert!(cached.stats().flushes >= 10);
}

#[tokio::test]
async fn a_key_that_expires_is_not_served_after_its_end() {
    let server = Server::start();
    let mut admin = server.admin().await;
    // The server does not look for what has expired by itself, and so tells nobody.
    admin.run("DEBUG SET-ACTIVE-EXPIRE 0").await;
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, long()).await;
    let began = tokio::time::Instant::now();
    admin.run("SET key value PX 500").await;
    let written = tokio::time::Instant::now();
    settled(&mut cached, &cmd("GET key")).await;
    loop {
        let asked = began.elapsed();
        let value: Option<String> = cached.get("key").await.unwrap();
        if value.is_none() {
            break;
        }
        assert!(asked < written - began + Duration::from_millis(510), "served after {asked:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(written.elapsed() >= Duration::from_millis(450));
}

#[tokio::test]
async fn nothing_is_kept_longer_than_the_ttl() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, long().ttl(SECOND / 2)).await;
    settled(&mut cached, &cmd("GET key")).await;
    tokio::time::sleep(SECOND).await;
    let before = cached.stats();
    assert_eq!(cached.get::<_, Option<u64>>("key").await.unwrap(), None);
    assert_eq!((cached.stats().hits, cached.stats().misses), (before.hits, before.misses + 1));
    admin.run("PING").await;
}
