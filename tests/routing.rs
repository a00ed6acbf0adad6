//! Which connection a command travels on: one as long as it is enough, and large ones away from the small.
//!
//! On one thread, so that what is counted does not change between the look and the choice.

mod common;

use common::{SECOND, eventually, links_up, logs};
use entra_redis::{EntraRedis, emulator::Emulator};
use redis::AsyncCommands;
use std::time::Duration;
use tokio::task::JoinHandle;

const LARGE: usize = 256 << 10;

async fn connect(emulator: &Emulator) -> EntraRedis {
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), emulator.config()).await.unwrap();
    links_up(&redis, 4).await;
    redis
}

/// Writes that stay unanswered, each from a handle of its own.
fn writes(handles: Vec<EntraRedis>) -> Vec<JoinHandle<()>> {
    let write = |mut redis: EntraRedis| tokio::spawn(async move { redis.set("key", 1).await.unwrap() });
    handles.into_iter().map(write).collect()
}

async fn in_flight(redis: &EntraRedis, expected: [usize; 4]) {
    eventually("so many are in flight on each link", 5 * SECOND, async || {
        let links = redis.manager().stats().links;
        (links.iter().map(|link| link.in_flight).eq(expected)).then_some(())
    })
    .await;
}

/// Redis keeps all writes waiting for a while.
async fn pause(redis: &EntraRedis) {
    let pause = ["PAUSE", "2000", "WRITE"];
    let _: String = redis::cmd("CLIENT").arg(&pause).query_async(&mut redis.clone()).await.unwrap();
}

#[tokio::test]
async fn commands_share_one_connection_until_it_has_enough() {
    let _logs = logs::watch();
    let emulator = common::start(common::emulator(Duration::from_secs(3600))).await;
    let redis = connect(&emulator).await;
    pause(&redis).await;
    let mut calls = writes(vec![redis.clone(); 2048]);
    in_flight(&redis, [2048, 0, 0, 0]).await;
    calls.extend(writes(vec![redis.clone(); 100]));
    in_flight(&redis, [2048, 100, 0, 0]).await;
    for call in calls {
        call.await.unwrap();
    }
    in_flight(&redis, [0; 4]).await;
}

/// Those who read or wrote something large are expected to do so again.
#[tokio::test]
async fn large_values_travel_on_the_last_connections_and_small_ones_on_the_first() {
    let _logs = logs::watch();
    let emulator = common::start(common::emulator(Duration::from_secs(3600))).await;
    let redis = connect(&emulator).await;
    let _: () = redis.clone().set("large", vec![b'x'; LARGE]).await.unwrap();
    let mut large = Vec::new();
    for _ in 0..40 {
        let mut reader = redis.clone();
        assert_eq!(reader.get::<_, Vec<u8>>("large").await.unwrap().len(), LARGE);
        large.push(reader);
    }
    // One that turns to small values is a small one again.
    let mut small = large.split_off(39);
    assert_eq!(small[0].get::<_, Option<u64>>("small").await.unwrap(), None);
    pause(&redis).await;
    let mut calls = writes(small);
    in_flight(&redis, [1, 0, 0, 0]).await;
    calls.extend(writes(large.split_off(23)));
    in_flight(&redis, [1, 0, 0, 16]).await;
    calls.extend(writes(large.split_off(7)));
    in_flight(&redis, [1, 0, 16, 16]).await;
    // Each on the one that has less.
    calls.extend(writes(large));
    in_flight(&redis, [1, 0, 20, 19]).await;
    for call in calls {
        call.await.unwrap();
    }
}
