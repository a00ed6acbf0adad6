//! What is subscribed to arrives, and nothing else.

use super::*;
use common::{Fixture, HOUR, eventually, server::Server};
use redis::ProtocolVersion;

const NONE: &[&str] = &[];

async fn channels_and_patterns(fixture: Fixture) {
    let (_azure, redis) = fixture.connect().await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe(&["one", "two", "one"]).await.unwrap();
    sink.psubscribe("t*").await.unwrap();
    assert_eq!(publish(&redis, "one", "first").await, 1);
    publish(&redis, "three", "second").await;
    publish(&redis, "four", "nobody's").await;
    let Delivery::Message(first) = next(&mut stream).await else { panic!() };
    assert_eq!((first.get_channel_name(), first.get_payload::<String>().unwrap()), ("one", "first".into()));
    assert!(!first.from_pattern());
    let Delivery::Message(second) = next(&mut stream).await else { panic!() };
    assert_eq!((second.get_channel_name(), second.get_pattern::<String>().unwrap()), ("three", "t*".into()));
    // Twice, as Redis does: once for the channel and once for the pattern.
    publish(&redis, "two", "third").await;
    assert_eq!([message(&mut stream).await, message(&mut stream).await], ["third", "third"]);

    sink.unsubscribe("two").await.unwrap();
    sink.punsubscribe(NONE).await.unwrap();
    assert_eq!((publish(&redis, "two", "nobody's").await, publish(&redis, "three", "nobody's").await), (0, 0));
    publish(&redis, "one", "last").await;
    assert_eq!(message(&mut stream).await, "last");
}

#[tokio::test]
async fn channels_and_patterns_over_resp3() {
    channels_and_patterns(Fixture::on_redis(HOUR)).await;
}

#[tokio::test]
async fn channels_and_patterns_over_resp2() {
    channels_and_patterns(Fixture::on_redis(HOUR).config(|config| config.protocol(ProtocolVersion::RESP2))).await;
}

#[tokio::test]
async fn channels_and_patterns_on_the_emulators_own_store() {
    channels_and_patterns(Fixture::new()).await;
    channels_and_patterns(Fixture::new().config(|config| config.protocol(ProtocolVersion::RESP2))).await;
}

#[tokio::test]
async fn sharded_channels_work_on_a_single_endpoint() {
    for protocol in [ProtocolVersion::RESP3, ProtocolVersion::RESP2] {
        let (_azure, redis) = Fixture::on_redis(HOUR).config(move |config| config.protocol(protocol)).connect().await;
        let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
        sink.ssubscribe(&["a", "b", "c"]).await.unwrap();
        let heard: i64 = redis::cmd("SPUBLISH").arg("b").arg("x").query_async(&mut redis.clone()).await.unwrap();
        assert_eq!((heard, message(&mut stream).await), (1, "x".to_owned()));
        sink.sunsubscribe("b").await.unwrap();
        let heard: i64 = redis::cmd("SPUBLISH").arg("b").arg("x").query_async(&mut redis.clone()).await.unwrap();
        assert_eq!(heard, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_consumers_share_a_connection_and_a_subscription() {
    let (_azure, redis) = Fixture::on_redis(HOUR).up().await;
    let mut consumers = Vec::new();
    for number in 0..20 {
        let mut consumer = redis.pubsub().await.unwrap();
        consumer.subscribe(&["everybody's".to_owned(), format!("of {number}")]).await.unwrap();
        consumers.push(consumer.into_on_message());
    }
    assert_eq!((subscribers(&redis).await, subscribed(&redis, "everybody's").await), (1, 1));
    publish(&redis, "everybody's", "all").await;
    for number in (0..20).rev() {
        publish(&redis, &format!("of {number}"), number).await;
    }
    for (number, stream) in consumers.iter_mut().enumerate() {
        assert_eq!([message(stream).await, message(stream).await], ["all".to_owned(), number.to_string()]);
    }
    // It ends with the last of them.
    consumers.truncate(1);
    eventually("only one is left", 10 * SECOND, async || (subscribed(&redis, "of 19").await == 0).then_some(())).await;
    assert_eq!(subscribed(&redis, "everybody's").await, 1);
    publish(&redis, "everybody's", "one").await;
    assert_eq!(message(&mut consumers[0]).await, "one");
}

#[tokio::test]
async fn what_the_server_refuses_is_told_and_keeps_nothing_else_back() {
    let server = Server::start();
    server.admin().await.run("ACL SETUSER tester resetchannels &good*").await;
    let redis = server.connect(server.config()).await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("good").await.unwrap();
    let error = sink.subscribe(&["good 2", "bad"]).await.unwrap_err();
    assert_eq!(error.code(), Some("NOPERM"), "{error}");
    // Neither of them is subscribed to any more.
    eventually("it has ended", 10 * SECOND, async || (subscribed(&redis, "good 2").await == 0).then_some(())).await;
    let error = sink.psubscribe("*").await.unwrap_err();
    assert_eq!(error.code(), Some("NOPERM"), "{error}");
    sink.subscribe("good 3").await.unwrap();
    publish(&redis, "good 3", "3").await;
    publish(&redis, "good", "1").await;
    assert_eq!([message(&mut stream).await, message(&mut stream).await], ["3", "1"]);
}

#[tokio::test]
async fn a_subscription_that_is_given_up_is_as_if_it_had_not_been_asked_for() {
    let server = Server::start();
    let redis = server.connect(server.config().command_timeout(SECOND)).await;
    let mut consumer = redis.pubsub().await.unwrap();
    server.freeze();
    let error = consumer.subscribe("late").await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let mut dropped = redis.pubsub().await.unwrap();
    assert!(tokio::time::timeout(SECOND / 10, dropped.subscribe("dropped")).await.is_err());
    server.thaw();
    consumer.subscribe("next").await.unwrap();
    eventually("nothing else is subscribed to", 5 * SECOND, async || {
        let counts = (subscribed(&redis, "late").await, subscribed(&redis, "dropped").await);
        (counts == (0, 0)).then_some(())
    })
    .await;
    assert_eq!(subscribed(&redis, "next").await, 1);
}

#[tokio::test]
async fn calls_without_a_channel_or_a_stream_say_so() {
    let (_azure, redis) = Fixture::new().connect().await;
    let (mut sink, stream) = redis.pubsub().await.unwrap().split();
    assert_eq!(sink.subscribe(NONE).await.unwrap_err().kind(), redis::ErrorKind::Client);
    sink.unsubscribe(NONE).await.unwrap();
    sink.unsubscribe("what is not subscribed to").await.unwrap();
    drop(stream);
    for result in [sink.subscribe("a").await, sink.unsubscribe("a").await] {
        let error = result.unwrap_err();
        assert!(error.to_string().contains("stream"), "{error}");
    }
}

#[tokio::test]
async fn the_handle_names_the_call_that_subscribes() {
    let (_azure, redis) = Fixture::new().connect().await;
    for command in ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"] {
        let error = redis::cmd(command).arg("a").exec_async(&mut redis.clone()).await.unwrap_err();
        assert!(error.to_string().contains("`EntraRedis::pubsub()`"), "{error}");
    }
}

/// What one clone of a sink has been told that it has, another one's failure does not take away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_takes_nothing_from_another_clone_of_its_sink() {
    let server = Server::start();
    server.admin().await.run("ACL SETUSER tester resetchannels &good*").await;
    let redis = server.connect(server.config()).await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("good 0").await.unwrap();
    // Both wait for the same confirmation.
    server.freeze();
    let subscribe = |channels: &'static [&'static str]| {
        let mut sink = sink.clone();
        tokio::spawn(async move { sink.subscribe(channels).await })
    };
    let fails = subscribe(&["bad", "good 1"]);
    let given_up = subscribe(&["good 1", "good 2"]);
    let succeeds = subscribe(&["good 1"]);
    tokio::time::sleep(SECOND / 5).await;
    given_up.abort();
    server.thaw();
    assert_eq!(fails.await.unwrap().unwrap_err().code(), Some("NOPERM"));
    succeeds.await.unwrap().unwrap();
    assert!(given_up.await.unwrap_err().is_cancelled());
    eventually("what nobody else wants has ended", 10 * SECOND, async || {
        (subscribed(&redis, "good 2").await == 0).then_some(())
    })
    .await;
    assert_eq!(publish(&redis, "good 1", "x").await, 1);
    assert_eq!(message(&mut stream).await, "x");
}

/// It does not wait for what will not come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_ended_while_it_is_waited_for_fails_at_once() {
    let server = Server::start();
    let redis = server.connect(server.config().command_timeout(20 * SECOND)).await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("a").await.unwrap();
    server.freeze();
    let mut clone = sink.clone();
    let subscribing = tokio::spawn(async move { clone.subscribe("b").await });
    tokio::time::sleep(SECOND / 5).await;
    let unsubscribing = tokio::spawn(async move { sink.unsubscribe("b").await.map(|()| sink) });
    let error = within("its end", 2 * SECOND, subscribing).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::Client, "{error}");
    server.thaw();
    let mut sink = unsubscribing.await.unwrap().unwrap();
    assert_eq!(subscribed(&redis, "b").await, 0);
    sink.subscribe("b").await.unwrap();
    publish(&redis, "b", "x").await;
    assert_eq!(message(&mut stream).await, "x");
}

#[tokio::test]
async fn an_unsubscribe_that_the_server_refuses_fails_at_once() {
    for protocol in [ProtocolVersion::RESP3, ProtocolVersion::RESP2] {
        let server = Server::start();
        let mut admin = server.admin().await;
        let redis = server.connect(server.config().protocol(protocol).command_timeout(20 * SECOND)).await;
        let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
        sink.subscribe(&["a", "b"]).await.unwrap();
        admin.run("ACL SETUSER tester -unsubscribe").await;
        let refused = within("an answer", 2 * SECOND, sink.unsubscribe(&["a", "b"])).await;
        assert_eq!(refused.unwrap_err().code(), Some("NOPERM"));
        // The server goes on sending them, and the consumer does not get them.
        assert_eq!((publish(&redis, "a", "nobody's").await, publish(&redis, "b", "nobody's").await), (1, 1));
        sink.subscribe("b").await.unwrap();
        publish(&redis, "b", "x").await;
        assert_eq!(message(&mut stream).await, "x");
        // It is asked for again.
        admin.run("ACL SETUSER tester +unsubscribe").await;
        eventually("it has ended", 5 * SECOND, async || (subscribed(&redis, "a").await == 0).then_some(())).await;
        sink.unsubscribe("b").await.unwrap();
        assert_eq!(subscribed(&redis, "b").await, 0);
    }
}

#[tokio::test]
async fn a_buffer_of_nothing_is_refused() {
    let azure = common::start(entra_redis::emulator::Emulator::builder()).await;
    let error = azure.try_connect(azure.config().pubsub_buffer(0)).await.unwrap_err();
    assert!(error.to_string().contains("pubsub_buffer"), "{error}");
}

/// As a new user runs it.
#[tokio::test]
async fn the_example_runs_without_an_argument() {
    let run = common::child::example("pubsub", &[], &[]).await;
    assert_eq!(run.code, Some(0), "{}", run.complaint);
    let last = run.output.lines().last().unwrap();
    let numbers: Vec<u64> = last.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [messages, gaps, rotations] = numbers[..] else { panic!("{last}") };
    assert!(messages > 300 && gaps == 1 && rotations >= 2, "{}", run.output);
}

/// Before it is known where commands go, subscriptions wait as commands do.
#[tokio::test]
async fn with_a_lazy_start_subscriptions_wait_within_their_deadline() {
    let azure = common::start(common::emulator(HOUR)).await;
    azure.redis_front().refuse_connections(true);
    let redis = azure.connect(azure.config().startup(entra_redis::Startup::Lazy).command_timeout(SECOND)).await;
    let mut consumer = redis.pubsub().await.unwrap();
    let error = consumer.subscribe("a").await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(error.to_string().contains("the last attempt"), "it says why: {error}");
    azure.redis_front().refuse_connections(false);
    eventually("it is served", 10 * SECOND, async || consumer.subscribe("a").await.ok()).await;
    publish(&redis, "a", "x").await;
    assert_eq!(message(&mut consumer.into_on_message()).await, "x");
}

/// As ordinary commands do.
#[tokio::test]
async fn with_a_lazy_start_subscriptions_say_what_the_identity_provider_has_said() {
    let azure = common::start(common::emulator(HOUR)).await;
    azure.identity().fault_all(Some(entra_redis::emulator::IdentityFault::WrongSecret));
    let redis = azure.connect(azure.config().startup(entra_redis::Startup::Lazy).command_timeout(60 * SECOND)).await;
    let mut consumer = redis.pubsub().await.unwrap();
    let error = common::within("it fails at once", 10 * SECOND, consumer.subscribe("a")).await.unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed, "{error}");
    assert!(error.to_string().contains("AADSTS7000215"), "{error}");
    azure.identity().fault_all(None);
    eventually("it is served", 60 * SECOND, async || consumer.subscribe("a").await.ok()).await;
}
