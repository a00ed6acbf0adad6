//! When nothing is heard, nothing is served for longer than `max_staleness`.

use crate::{cached, settled};
use common::{SECOND, cmd, emulator, eventually};
use entra_redis::{CacheOptions, EntraRedis, emulator::FrontConnection};
use redis::AsyncCommands;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

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
