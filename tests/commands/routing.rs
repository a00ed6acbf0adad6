//! Which connection a command travels on: one as long as it is enough, and large ones away from the small.
//!
//! On one thread, and each command polled once: nothing else runs between a choice and the look at it, so that the
//! counts are exact.

use common::{Azure, Fixture, SECOND, eventually, links_up, within};
use entra_redis::{EntraRedis, emulator::FrontConnection};
use futures_util::{FutureExt, future::BoxFuture, poll};
use redis::{AsyncCommands, RedisResult};
use std::time::Duration;

const LARGE: usize = 256 << 10;

type Call = BoxFuture<'static, RedisResult<()>>;

async fn start() -> (Azure, EntraRedis) {
    let (emulator, redis) = Fixture::on_redis(Duration::from_secs(3600)).up().await;
    let _: () = redis.clone().set("large", vec![b'x'; LARGE]).await.unwrap();
    (emulator, redis)
}

/// Commands that have just been sent, each from a handle of its own.
async fn sent(handles: impl IntoIterator<Item = EntraRedis>) -> Vec<Call> {
    let mut calls = Vec::new();
    for mut redis in handles {
        let mut call = async move { redis.set("key", 1).await }.boxed();
        assert!(poll!(&mut call).is_pending());
        calls.push(call);
    }
    calls
}

async fn answered(calls: Vec<Call>) {
    for call in calls {
        within("an answer", 10 * SECOND, call).await.unwrap();
    }
}

fn in_flight(redis: &EntraRedis) -> Vec<usize> {
    redis.manager().stats().links.iter().map(|link| link.in_flight).collect()
}

/// Handles that have read something large.
async fn readers(redis: &EntraRedis, count: usize) -> Vec<EntraRedis> {
    let mut readers = vec![redis.clone(); count];
    for reader in &mut readers {
        assert_eq!(reader.get::<_, Vec<u8>>("large").await.unwrap().len(), LARGE);
    }
    readers
}

#[tokio::test]
async fn commands_share_one_connection_until_it_has_enough() {
    let (_emulator, redis) = start().await;
    let mut calls = sent(vec![redis.clone(); 2048]).await;
    assert_eq!(in_flight(&redis), [2048, 0, 0, 0]);
    calls.extend(sent(vec![redis.clone(); 100]).await);
    assert_eq!(in_flight(&redis), [2048, 100, 0, 0]);
    answered(calls).await;
    assert_eq!(in_flight(&redis), [0; 4]);
}

#[tokio::test]
async fn large_values_fill_the_last_connections_and_small_ones_the_first() {
    let (_emulator, redis) = start().await;
    let mut large = readers(&redis, 39).await;
    let mut calls = sent([redis.clone()]).await;
    assert_eq!(in_flight(&redis), [1, 0, 0, 0]);
    for (count, expected) in [(16, [1, 0, 0, 16]), (16, [1, 0, 16, 16]), (7, [1, 0, 20, 19])] {
        calls.extend(sent(large.drain(..count)).await);
        assert_eq!(in_flight(&redis), expected);
    }
    answered(calls).await;
}

/// By what a handle sent or got last, it is known what it will send or get next.
#[tokio::test]
async fn a_handle_is_as_its_last_command_was() {
    let (emulator, redis) = start().await;
    let mut handle = redis.clone();
    let is_large = async |handle: &EntraRedis| {
        let calls = sent([handle.clone()]).await;
        let links = in_flight(&redis);
        answered(calls).await;
        assert!(links == [1, 0, 0, 0] || links == [0, 0, 0, 1], "{links:?}");
        links[3] == 1
    };
    assert!(!is_large(&handle).await);
    let _: () = handle.set("written", vec![b'x'; LARGE]).await.unwrap();
    assert!(is_large(&handle).await, "it wrote a large value");
    let _: Option<u64> = handle.get("small").await.unwrap();
    assert!(!is_large(&handle).await, "it read a small value");
    let mut pipeline = redis::pipe();
    let _: (Vec<u8>, u64) = pipeline.get("large").exists("large").query_async(&mut handle).await.unwrap();
    assert!(is_large(&handle).await, "its pipeline's replies were large together");

    // What got no reply says nothing about the next one.
    emulator.redis_front().connections().iter().for_each(FrontConnection::freeze);
    let mut reader = handle.clone();
    let mut call = async move { (reader.get::<_, Vec<u8>>("large").await, reader) }.boxed();
    assert!(poll!(&mut call).is_pending());
    let until_sent = async {
        let before = redis.manager().stats().commands.sent;
        eventually("it is sent", 5 * SECOND, async || (redis.manager().stats().commands.sent > before).then_some(()))
            .await;
        emulator.redis_front().cut_all();
    };
    let ((result, reader), ()) = within("the loss", 10 * SECOND, async { tokio::join!(call, until_sent) }).await;
    assert!(result.is_err(), "it was not lost");
    links_up(&redis, 4).await;
    assert!(is_large(&reader).await, "its large reply was lost: {result:?}");
}

#[tokio::test]
async fn a_command_that_nobody_polls_is_not_sent() {
    let (_emulator, mut redis) = start().await;
    let before = redis.manager().stats().commands;
    drop(redis.set::<_, _, ()>("key", 1));
    let _: () = redis.set("other", 1).await.unwrap();
    assert!(!redis.exists::<_, bool>("key").await.unwrap());
    assert_eq!(redis.manager().stats().commands.sent, before.sent + 2);
}
