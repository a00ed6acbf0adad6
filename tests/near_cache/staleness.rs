//! When nothing is heard, nothing is served for longer than `max_staleness`.

use crate::{cached, settled};
use common::{HOUR, SECOND, cmd, emulator, eventually};
use entra_redis::{CacheOptions, EntraRedis, emulator::FrontConnection};
use redis::AsyncCommands;
use std::time::{Duration, Instant};

/// A half-open connection: the server tells, and nothing comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_has_gone_silent_serves_no_longer_than_it_may() {
    let azure = common::start(emulator(HOUR)).await;
    let redis = azure.up(azure.config(), 2).await;
    let before: Vec<_> = azure.redis_front().connections().iter().map(FrontConnection::id).collect();
    let limit = SECOND;
    let mut cached = cached(&redis, CacheOptions::new().max_staleness(limit)).await;
    let connections = azure.redis_front().connections();
    let new: Vec<_> = connections.iter().filter(|connection| !before.contains(&connection.id())).collect();
    let [tells] = new[..] else {
        panic!("the cache has one connection: {new:?}");
    };
    // Another client's, so that this one's cache does not learn of what it writes.
    let mut other = EntraRedis::connect(azure.host(), azure.port(), azure.config()).await.unwrap();
    let _: () = other.set("key", 1).await.unwrap();
    settled(&mut cached, &cmd("GET key")).await;
    tells.freeze();
    let _: () = other.set("key", 2).await.unwrap();
    let changed = Instant::now();
    let mut served = 0;
    loop {
        let asked = changed.elapsed();
        let value: u64 = cached.get("key").await.unwrap();
        if value == 2 {
            break;
        }
        served += 1;
        assert!(asked < limit, "a value that changed {asked:?} ago is served");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(served > 0, "it was served from memory until then");
    // And never again, whatever comes of the connection.
    tells.thaw();
    eventually("the cache is well again", 20 * SECOND, async || {
        let hits = cached.stats().hits;
        assert_eq!(cached.get::<_, u64>("key").await.unwrap(), 2);
        (cached.stats().hits > hits).then_some(())
    })
    .await;
}

/// A value that has been read from the server is newer than what is in memory, if its invalidation has not come yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_been_read_past_the_memory_is_not_followed_by_something_older() {
    let azure = common::start(emulator(HOUR)).await;
    let redis = azure.up(azure.config().command_timeout(4 * SECOND), 2).await;
    let before: Vec<_> = azure.redis_front().connections().iter().map(FrontConnection::id).collect();
    let mut cached = cached(&redis, CacheOptions::new().max_staleness(600 * SECOND)).await;
    let connections = azure.redis_front().connections();
    let tells = connections.iter().find(|connection| !before.contains(&connection.id())).unwrap();
    let mut other = EntraRedis::connect(azure.host(), azure.port(), azure.config()).await.unwrap();
    let script = "return redis.call('GET', 'key')";
    for past in 0..5_u64 {
        let _: () = other.set("key", 2 * past).await.unwrap();
        eventually("the last change is known", 10 * SECOND, async || {
            (cached.get::<_, u64>("key").await.unwrap() == 2 * past).then_some(())
        })
        .await;
        settled(&mut cached, &cmd("GET key")).await;
        tells.freeze();
        let _: () = other.set("key", 2 * past + 1).await.unwrap();
        let read: u64 = match past {
            0 => redis::pipe().get("key").query_async::<(u64,)>(&mut cached).await.unwrap().0,
            1 => redis::pipe().atomic().get("key").query_async::<(u64,)>(&mut cached).await.unwrap().0,
            2 => cmd("SUBSTR key 0 -1").query_async(&mut cached).await.unwrap(),
            3 => redis::cmd("EVAL_RO").arg(script).arg(0).query_async(&mut cached).await.unwrap(),
            _ => {
                // Something of the same handle is unanswered, so that this goes behind it.
                let mut blocked = cached.clone();
                let mut busy = redis::cmd("EVAL");
                busy.arg("for i = 1, 5000000 do end").arg(1).arg("other");
                _ = tokio::time::timeout(Duration::from_millis(1), busy.exec_async(&mut blocked)).await;
                blocked.mget::<_, Vec<u64>>(&["key"]).await.unwrap()[0]
            }
        };
        assert_eq!(read, 2 * past + 1);
        assert_eq!(cached.get::<_, u64>("key").await.unwrap(), read, "after {past}");
        tells.thaw();
    }
}

/// While a server stands still, reads from memory go on for as long as they may; then they wait for it as others do.
#[tokio::test]
async fn a_server_that_stands_still_is_waited_for_after_that() {
    let server = common::server::Server::start();
    let redis = server.up(server.config().command_timeout(SECOND), 2).await;
    let mut cached = cached(&redis, CacheOptions::new().max_staleness(SECOND / 2)).await;
    settled(&mut cached, &cmd("GET key")).await;
    server.freeze();
    let began = Instant::now();
    let error = loop {
        if let Err(error) = cached.get::<_, Option<u64>>("key").await {
            break error;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(error.is_timeout(), "{error}");
    let took = began.elapsed();
    assert!(took > SECOND && took < 3 * SECOND, "{took:?}");
    server.thaw();
    settled(&mut cached, &cmd("GET key")).await;
}
