//! Connections of one's own that go from user to user: to whom, and how many are opened for them.

use super::{HOUR, blocked, start};
use common::{SECOND, cmd, eventually, within};
use redis::{AsyncCommands, Value};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// No other connection can be opened, as at a server's `maxclients`; one that is given back is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_is_given_the_connection_that_another_user_gives_back() {
    let (azure, redis) = start(HOUR, |config| config.command_timeout(20 * SECOND)).await;
    let first = redis.dedicated().await.unwrap();
    azure.redis_front().refuse_connections(true);
    let next = redis.clone();
    let waiting = tokio::spawn(async move { next.dedicated().await });
    let has_failed = async || (redis.manager().counters().dial_failures > 0).then_some(());
    eventually("no connection comes up", 10 * SECOND, has_failed).await;
    drop(first);
    // Who has given it back wants it again, and comes behind.
    let again = tokio::spawn({
        let redis = redis.clone();
        async move { redis.dedicated().await }
    });
    let mut con = within("it is given the connection", 5 * SECOND, waiting).await.unwrap().unwrap();
    let _: Value = cmd("PING").query_async(&mut con).await.unwrap();
    drop(con);
    let mut con = within("and the one behind, too", 5 * SECOND, again).await.unwrap().unwrap();
    let _: Value = cmd("PING").query_async(&mut con).await.unwrap();
    azure.redis_front().refuse_connections(false);
}

/// A user who takes a connection, gives it back and takes it again without a pause leaves none to others otherwise.
#[tokio::test]
async fn whoever_takes_it_again_and_again_is_not_before_the_others() {
    let (azure, redis) = start(HOUR, |config| config.command_timeout(20 * SECOND)).await;
    drop(redis.dedicated().await.unwrap());
    azure.redis_front().refuse_connections(true);
    let (user, times) = (redis.clone(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&times);
    let again_and_again = tokio::spawn(async move {
        loop {
            let mut con = user.dedicated().await.unwrap();
            let _: Value = cmd("PING").query_async(&mut con).await.unwrap();
            counted.fetch_add(1, SeqCst);
        }
    });
    for _ in 0..5 {
        let before = times.load(SeqCst);
        eventually("it takes it", 5 * SECOND, async || (times.load(SeqCst) > before).then_some(())).await;
        let mut con = within("a turn", 5 * SECOND, redis.dedicated()).await.unwrap();
        let _: Value = cmd("PING").query_async(&mut con).await.unwrap();
    }
    again_and_again.abort();
    azure.redis_front().refuse_connections(false);
}

/// The service may take longer to validate a token than a command may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_waits_for_long_for_its_connection_has_one_opened() {
    let (azure, redis) = start(HOUR, |config| config.command_timeout(SECOND / 2)).await;
    let opened = || redis.manager().counters().links_opened;
    let before = (opened(), azure.redis_front().connection_count());
    azure.redis_front().auth_delay(4 * SECOND);
    let mut popping = redis.clone();
    let popping = tokio::spawn(async move { cmd("BLPOP queue 0").query_async::<Value>(&mut popping).await });
    blocked(&redis, 1).await;
    let _: () = redis.clone().rpush("queue", "x").await.unwrap();
    within("it is served", 5 * SECOND, popping).await.unwrap().unwrap();
    // Others that were begun meanwhile would be there soon.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((opened(), azure.redis_front().connection_count()), (before.0 + 1, before.1 + 1));
}
