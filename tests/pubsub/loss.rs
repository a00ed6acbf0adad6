//! Connections that are lost: everything is subscribed to again, at once, and nothing is missing silently.

use super::*;
use common::{Fixture, HOUR, eventually, server::Server};
use entra_redis::emulator::{AuthFault, FrontConnection};
use futures_util::poll;
use redis::ProtocolVersion;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

/// Publishes 1, 2, 3, … until told to stop; the last one.
fn count(redis: &EntraRedis, stop: &Arc<AtomicBool>, command: &'static str) -> tokio::task::JoinHandle<u64> {
    let (mut con, stop) = (redis.clone(), Arc::clone(stop));
    tokio::spawn(async move {
        for number in 1_u64.. {
            let done = stop.load(SeqCst);
            redis::cmd(command).arg("{foo}count").arg(number).exec_async(&mut con).await.unwrap();
            if done {
                return number;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        unreachable!()
    })
}

async fn five_kills(protocol: ProtocolVersion) {
    let (_azure, redis) = Fixture::on_redis(HOUR).config(move |config| config.protocol(protocol)).up().await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("{foo}count").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let counting = count(&redis, &stop, "PUBLISH");
    let reading = tokio::spawn(async move { Heard::until(&mut stream, u64::MAX - 1).await });
    for _ in 0..5 {
        assert_eq!(kill_subscribers(&redis).await, 1);
        eventually("it is subscribed to again", 5 * SECOND, async || {
            (subscribed(&redis, "{foo}count").await == 1).then_some(())
        })
        .await;
        tokio::time::sleep(SECOND / 5).await;
    }
    stop.store(true, SeqCst);
    let last = counting.await.unwrap();
    publish(&redis, "{foo}count", u64::MAX - 1).await;
    let mut heard = reading.await.unwrap();
    assert_eq!(heard.numbers.pop(), Some(u64::MAX - 1));
    assert_eq!(heard.numbers.last(), Some(&last));
    heard.assert_told();
    assert_eq!(heard.gaps.len(), 5, "{:?}", heard.gaps);
    assert!(heard.gaps.iter().all(|(_, reason)| *reason == GapReason::ConnectionLost));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_kills_are_five_gaps_and_nothing_is_missing_silently() {
    five_kills(ProtocolVersion::RESP3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_kills_over_resp2() {
    five_kills(ProtocolVersion::RESP2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_channels_are_subscribed_to_again_within_a_second() {
    for protocol in [ProtocolVersion::RESP3, ProtocolVersion::RESP2] {
        let (_azure, redis) = Fixture::on_redis(HOUR).config(move |config| config.protocol(protocol)).up().await;
        let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
        let names: Vec<_> = (0..1_000).map(|number| format!("channel {number:03}")).collect();
        sink.subscribe(&names[..500]).await.unwrap();
        sink.subscribe(&names[500..]).await.unwrap();
        // Of another consumer, which is told of its own channels alone.
        let (mut sink, mut other) = redis.pubsub().await.unwrap().split();
        sink.subscribe(&["channel 007", "alone"]).await.unwrap();
        let mut all_took = Vec::new();
        // A machine that is busy with other tests may take longer once.
        while all_took.len() < 3 && all_took.iter().all(|took| *took >= SECOND) {
            let killed = Instant::now();
            assert_eq!(kill_subscribers(&redis).await, 1);
            let (channels, reason) = gap(&mut stream).await;
            all_took.push(killed.elapsed());
            assert_eq!((channels.len(), reason), (1_000, GapReason::ConnectionLost));
            assert_eq!(channels.first(), Some(&channel("channel 000")));
            assert_eq!(gap(&mut other).await.0, [channel("alone"), channel("channel 007")]);
        }
        assert!(all_took.iter().any(|took| *took < SECOND), "{protocol:?}: it took {all_took:?}");
        let counts: std::collections::HashMap<String, u64> =
            redis::cmd("PUBSUB").arg("NUMSUB").arg(&names).query_async(&mut redis.clone()).await.unwrap();
        assert!(counts.len() == 1_000 && counts.values().all(|count| *count == 1));
        publish(&redis, "channel 999", "on").await;
        assert_eq!(message(&mut stream).await, "on");
    }
}

/// Its end is found by a `PING`, and the gap begins when it was last heard of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_is_replaced() {
    let (azure, redis) = Fixture::on_redis(HOUR).config(|config| config.ping_interval(SECOND)).up().await;
    let known: Vec<_> =
        azure.redis_front().connections().iter().map(entra_redis::emulator::FrontConnection::id).collect();
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("a").await.unwrap();
    let own =
        azure.redis_front().connections().into_iter().find(|connection| !known.contains(&connection.id())).unwrap();
    publish(&redis, "a", "before").await;
    assert_eq!(message(&mut stream).await, "before");
    own.freeze();
    publish(&redis, "a", "into the void").await;
    let Delivery::Gap { channels, from, until, reason, .. } = next(&mut stream).await else { panic!() };
    assert_eq!((channels, reason), (vec![channel("a")], GapReason::ConnectionLost));
    assert!(until.duration_since(from).unwrap() > SECOND, "from {from:?} until {until:?}");
    publish(&redis, "a", "after").await;
    assert_eq!(message(&mut stream).await, "after");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_subscribed_to_again() {
    let mut server = Server::start();
    let redis = server.connect(server.config()).await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("a").await.unwrap();
    sink.psubscribe("b*").await.unwrap();
    sink.ssubscribe("c").await.unwrap();
    server.kill();
    // What is wanted meanwhile comes with the rest, and nothing of it has been missed.
    let mut late = redis.pubsub().await.unwrap();
    let mut subscribing = Box::pin(async move { late.subscribe("late").await.map(|()| late) });
    assert!(poll!(&mut subscribing).is_pending());
    server.restart();
    let (channels, _) = gap(&mut stream).await;
    assert_eq!(channels, [channel("a"), Topic::Pattern(b"b*".to_vec()), Topic::Sharded(b"c".to_vec())]);
    let mut late = subscribing.await.unwrap().into_on_message();
    publish(&redis, "late", "x").await;
    assert_eq!(message(&mut late).await, "x");
}

/// While there is no token nobody is told anything; afterwards of the gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_identity_provider_is_a_gap_afterwards() {
    use entra_redis::emulator::IdentityFault;
    let (azure, redis) = Fixture::on_redis(2 * SECOND).up().await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("a").await.unwrap();
    azure.identity().fault_all(Some(IdentityFault::Status(500)));
    eventually("the token has died", 10 * SECOND, async || {
        (!redis.manager().health().is_ready() && azure.redis_front().connection_count() == 0).then_some(())
    })
    .await;
    let error = sink.subscribe("b").await.unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed, "{error}");
    azure.identity().fault_all(None);
    assert_eq!(gap(&mut stream).await, (vec![channel("a")], GapReason::ConnectionLost));
    sink.subscribe("b").await.unwrap();
    publish(&redis, "b", "x").await;
    assert_eq!(message(&mut stream).await, "x");
}

/// Connections that are cut, fall silent, are refused, and lose their authentication, while tokens rotate.
async fn faults(protocol: ProtocolVersion) {
    let config = move |config: entra_redis::Config| {
        // A connection that is frozen while it authenticates is given up after a second, too.
        let config = config.protocol(protocol).ping_interval(SECOND / 2).command_timeout(SECOND);
        config.connect_timeout(SECOND).auth_timeout(SECOND)
    };
    let (azure, redis) = Fixture::on_redis(2 * SECOND).config(config).up().await;
    let publisher = azure.up(azure.config(), 2).await;
    let shared: Vec<_> = azure.redis_front().connections().iter().map(FrontConnection::id).collect();
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("{foo}count").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let counting = count(&publisher, &stop, "PUBLISH");
    let mut reading = tokio::spawn(async move { Heard::until(&mut stream, u64::MAX - 1).await });
    let own = || azure.redis_front().connections().into_iter().filter(|connection| !shared.contains(&connection.id()));
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..25 {
        match random.u8(..5) {
            0 => own().for_each(|connection| connection.cut()),
            1 => own().for_each(|connection| connection.freeze()),
            2 => own().for_each(|connection| connection.next_auth(AuthFault::WrongPass)),
            3 => own().for_each(|connection| connection.deauthenticate()),
            _ => {
                azure.redis_front().refuse_connections(true);
                own().for_each(|connection| connection.cut());
                tokio::time::sleep(SECOND / 5).await;
                azure.redis_front().refuse_connections(false);
            }
        }
        tokio::time::sleep(Duration::from_millis(random.u64(100..900))).await;
    }
    stop.store(true, SeqCst);
    counting.await.unwrap();
    // The server may take a connection that is frozen for a subscriber: how many there are says nothing.
    let mut heard = eventually("the last one", 30 * SECOND, async || {
        publish(&publisher, "{foo}count", u64::MAX - 1).await;
        tokio::time::timeout(SECOND / 5, &mut reading).await.ok()
    })
    .await
    .unwrap();
    // What comes before it was published long before it, and a gap may be the last thing before it.
    heard.numbers.pop();
    heard.assert_told();
    assert!(heard.gaps.len() >= 5, "{:?}", heard.gaps);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_faults_nothing_is_missing_silently() {
    faults(ProtocolVersion::RESP3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_faults_nothing_is_missing_silently_over_resp2() {
    faults(ProtocolVersion::RESP2).await;
}
