//! A consumer that does not take its messages holds up nobody, and learns what it has missed.

use super::*;
use common::{Fixture, HOUR};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_misses_messages_and_is_told_how_many() {
    let (_azure, redis) = Fixture::on_redis(HOUR).config(|config| config.pubsub_buffer(100)).connect().await;
    let (mut sink, mut slow) = redis.pubsub().await.unwrap().split();
    sink.subscribe("a").await.unwrap();
    sink.psubscribe("b*").await.unwrap();
    let (mut sink, mut quick) = redis.pubsub().await.unwrap().split();
    sink.subscribe("a").await.unwrap();
    // One that nobody reads keeps nobody from what comes over the same connection.
    for number in 1..=1_000 {
        if number == 500 {
            publish(&redis, "b1", "x").await;
        }
        publish(&redis, "a", number).await;
        assert_eq!(message(&mut quick).await, number.to_string());
    }
    for number in 1..=100 {
        assert_eq!(message(&mut slow).await, number.to_string());
        if number == 50 {
            // There is room again: what comes now comes after the gap.
            publish(&redis, "a", "after").await;
            assert_eq!(message(&mut quick).await, "after");
        }
    }
    let Delivery::Gap { channels, reason, dropped, from, until, .. } = next(&mut slow).await else { panic!() };
    assert_eq!((reason, dropped), (GapReason::SlowConsumer, Some(901)));
    assert_eq!(channels, [channel("a"), Topic::Pattern(b"b*".to_vec())]);
    assert!(from < until);
    assert_eq!(message(&mut slow).await, "after");
    publish(&redis, "a", "last").await;
    assert_eq!(message(&mut slow).await, "last");
}

/// A consumer that always has another message lets others run all the same.
#[tokio::test]
async fn a_busy_consumer_lets_other_tasks_run() {
    let (_azure, redis) = Fixture::on_redis(HOUR).connect().await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("a").await.unwrap();
    let (mut sink, mut other) = redis.pubsub().await.unwrap().split();
    sink.subscribe("a").await.unwrap();
    let all = 1_000;
    for number in 0..all {
        publish(&redis, "a", number).await;
    }
    // Once the other one has them, they wait in this one's mailbox, too.
    for _ in 0..all {
        message(&mut other).await;
    }
    let task = tokio::spawn(async {});
    for number in 0..all {
        // Without `within`, whose timer would let others run.
        match stream.next().await {
            Some(Delivery::Message(msg)) => assert_eq!(msg.get_payload::<u64>().unwrap(), number),
            other => panic!("{other:?}"),
        }
    }
    assert!(task.is_finished(), "it did not run while {all} messages were read");
}
