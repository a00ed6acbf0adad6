//! A new token is no gap, over RESP3 and over RESP2.

use super::*;
use common::{Fixture, eventually, server::Server};
use entra_redis::{AccessToken, Config, Credential, Tls};
use redis::ProtocolVersion;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

const MESSAGES: u64 = 10_000;

/// At a steady rate through ten rotations.
async fn all_come_in_order_and_once(protocol: ProtocolVersion) {
    let config = move |config: Config| config.protocol(protocol).token_manager(common::twice_a_second());
    let (azure, redis) = Fixture::on_redis(2 * SECOND).config(config).up().await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("numbers").await.unwrap();
    sink.psubscribe("others*").await.unwrap();
    let rotations = redis.manager().counters().rotations;
    let mut con = redis.clone();
    let publishing = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_micros(900));
        for number in 1..=MESSAGES {
            tick.tick().await;
            let _: i64 = con.publish("numbers", number).await.unwrap();
        }
    });
    let heard = Heard::until(&mut stream, MESSAGES).await;
    publishing.await.unwrap();
    let rotations = redis.manager().counters().rotations - rotations;
    assert!(rotations >= 10, "{rotations} rotations");
    heard.assert_whole(MESSAGES);
    assert_eq!(azure.redis_front().stats().expired, 0);
    // Over RESP2 one may be taking over from the other.
    eventually("one connection is left", 10 * SECOND, async || (subscribers(&redis).await == 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_through_ten_rotations_over_resp3() {
    all_come_in_order_and_once(ProtocolVersion::RESP3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_through_ten_rotations_over_resp2() {
    all_come_in_order_and_once(ProtocolVersion::RESP2).await;
}

/// Over RESP3 in place: it stays the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_resp3_the_connection_is_reauthenticated() {
    let (azure, redis) = Fixture::on_redis(2 * SECOND).up().await;
    let mut consumer = redis.pubsub().await.unwrap();
    consumer.subscribe("a").await.unwrap();
    let accepted = azure.redis_front().stats().accepted;
    common::rotations(&redis, 4, 20 * SECOND).await;
    assert_eq!(azure.redis_front().stats().accepted, accepted);
    assert!(azure.redis_front().connections().iter().all(|connection| connection.authentications() >= 4));
}

/// Without a mark it is not known where one connection ends in the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_resp2_a_replacement_without_a_mark_is_a_gap() {
    let server = Server::start();
    let mut admin = server.admin().await;
    admin.run("ACL SETUSER tester resetchannels &mine*").await;
    let numbers = Arc::new(AtomicU64::new(0));
    let token = move || {
        let number = numbers.fetch_add(1, SeqCst);
        async move { AccessToken::opaque(format!("token {number}"), 2 * SECOND, "tester") }
    };
    let config = Config::new(Credential::custom(token)).tls(Tls::new().ca_pem(&server.ca_pem));
    let config = config.protocol(ProtocolVersion::RESP2).token_manager(common::by_ratio(0.5));
    let redis = server.connect(config).await;
    let mut consumer = redis.pubsub().await.unwrap();
    consumer.subscribe("mine").await.unwrap();
    let mut stream = consumer.into_on_message();
    for number in 1..=2 {
        assert_eq!(gap(&mut stream).await, (vec![channel("mine")], GapReason::Replaced));
        publish(&redis, "mine", number).await;
        assert_eq!(message(&mut stream).await, number.to_string());
    }
    // From then on it comes.
    admin.run("ACL SETUSER tester allchannels").await;
    loop {
        common::rotations(&redis, 2, 20 * SECOND).await;
        publish(&redis, "mine", "exact").await;
        let mut gaps = 0;
        while let Delivery::Gap { .. } = next(&mut stream).await {
            gaps += 1;
        }
        if gaps == 0 {
            break;
        }
    }
}
