//! Everything ends with its last user, or with `shutdown`.

use super::*;
use common::{Fixture, HOUR, eventually, links_up, rotations, tasks};
use redis::ProtocolVersion;

async fn the_last_consumer_dropped_ends(protocol: ProtocolVersion) {
    let (azure, redis) = Fixture::on_redis(HOUR).config(move |config| config.protocol(protocol)).up().await;
    let (before, connections) = (tasks(), azure.redis_front().connection_count());
    for _ in 0..3 {
        let mut first = redis.pubsub().await.unwrap();
        let (mut sink, stream) = redis.pubsub().await.unwrap().split();
        first.subscribe(&["a", "b"]).await.unwrap();
        sink.psubscribe("c*").await.unwrap();
        assert_eq!(subscribers(&redis).await, 1);
        drop(first);
        eventually("what only it wanted has ended", 10 * SECOND, async || {
            (subscribed(&redis, "a").await == 0).then_some(())
        })
        .await;
        assert_eq!(subscribers(&redis).await, 1);
        drop(stream);
        eventually("its connection is closed", 10 * SECOND, async || (subscribers(&redis).await == 0).then_some(()))
            .await;
        eventually("nothing is left", 10 * SECOND, async || {
            (tasks() <= before && azure.redis_front().connection_count() == connections).then_some(())
        })
        .await;
        assert!(sink.subscribe("d").await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_consumer_dropped_ends_its_tasks_and_connections() {
    the_last_consumer_dropped_ends(ProtocolVersion::RESP3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_consumer_dropped_ends_its_tasks_and_connections_over_resp2() {
    the_last_consumer_dropped_ends(ProtocolVersion::RESP2).await;
}

/// On a cluster there is one to each node, of sharded channels, of notifications and of what any node sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_consumer_dropped_ends_those_of_a_cluster() {
    for protocol in [ProtocolVersion::RESP3, ProtocolVersion::RESP2] {
        let azure = common::clusters::three(HOUR).await;
        let redis = azure.connect(azure.config().protocol(protocol)).await;
        let count = || -> usize {
            let cluster = azure.cluster().unwrap();
            (0..3).map(|node| cluster.front(node).unwrap().connection_count()).sum()
        };
        // Two to each node; and whoever was asked for the topology may not have been left yet.
        links_up(&redis, 6).await;
        let connections =
            eventually("those of commands alone", 10 * SECOND, async || (count() == 6).then_some(6)).await;
        let before = tasks();
        let (mut sink, stream) = redis.pubsub().await.unwrap().split();
        sink.subscribe("a").await.unwrap();
        sink.psubscribe("__keyevent@0__:*").await.unwrap();
        sink.ssubscribe(&["{foo}", "{bar}", "{baz}"]).await.unwrap();
        assert_eq!(count(), connections + 3);
        drop(stream);
        eventually("nothing is left", 10 * SECOND, async || {
            (tasks() <= before && count() == connections).then_some(())
        })
        .await;
        assert!(sink.subscribe("d").await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_keeps_everything_up_and_ends_it() {
    let azure = common::start(common::emulator(2 * SECOND)).await;
    let before = tasks();
    let redis = azure.up(azure.config(), 2).await;
    let other = azure.up(azure.config(), 1).await;
    let mut consumer = redis.pubsub().await.unwrap();
    consumer.subscribe("a").await.unwrap();
    let mut stream = consumer.into_on_message();
    drop(redis);
    rotations(&other, 2, 20 * SECOND).await;
    publish(&other, "a", "still there").await;
    assert_eq!(message(&mut stream).await, "still there");
    drop((stream, other));
    eventually("all is gone", 5 * SECOND, async || {
        (tasks() <= before && azure.redis_front().connection_count() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_shutdown_streams_end_with_what_is_in_their_buffers() {
    let (azure, redis) = Fixture::on_redis(HOUR).up().await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("a").await.unwrap();
    let mut idle = redis.pubsub().await.unwrap().into_on_message();
    let mut witness = redis.pubsub().await.unwrap();
    witness.subscribe("mark").await.unwrap();
    publish(&redis, "a", "last").await;
    // What one connection brings comes in order.
    publish(&redis, "mark", "here").await;
    let mut witness = witness.into_on_message();
    assert_eq!(message(&mut witness).await, "here");
    within("shutdown", 5 * SECOND, redis.shutdown()).await;
    let closed = async || (azure.redis_front().connection_count() == 0).then_some(());
    eventually("all connections are closed", 10 * SECOND, closed).await;
    assert_eq!(message(&mut stream).await, "last");
    assert!(within("its end", 10 * SECOND, stream.next()).await.is_none());
    assert!(within("its end", 10 * SECOND, idle.next()).await.is_none());
    for error in [sink.subscribe("b").await.unwrap_err(), redis.pubsub().await.unwrap_err()] {
        assert!(error.to_string().contains("closed"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_no_consumer() {
    let (_azure, redis) = Fixture::on_redis(HOUR).up().await;
    let mut consumer = redis.pubsub().await.unwrap();
    consumer.subscribe("a").await.unwrap();
    let (mut sink, mut stream) = consumer.split();
    let reader = tokio::spawn(async move { stream.next().await.is_none() });
    redis.shutdown().await;
    assert!(within("the reader ends", 10 * SECOND, reader).await.unwrap());
    assert!(sink.unsubscribe("a").await.is_err());
}
