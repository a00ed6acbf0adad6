//! The figures of `stats()`: right, each of them.

use crate::{
    HOUR,
    common::{self, SECOND, all_current, by_ratio, eventually, links_up, within},
    connect, held_up, log, read, told,
};
use entra_redis::{
    CommandStats, EntraRedis, Error, ErrorKind, Event, LinkState,
    emulator::{AuthFault, Emulator, GateConnection, IdentityFault},
};
use redis::AsyncCommands;
use std::time::Duration;

fn commands(redis: &EntraRedis) -> CommandStats {
    redis.manager().stats().commands
}

async fn nothing_in_flight(redis: &EntraRedis) {
    let nothing = async || (commands(redis).in_flight == 0).then_some(());
    eventually("nothing is in flight", 10 * SECOND, nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_is_shown_with_its_times() {
    let _logs = log::watch();
    let emulator = common::start(Emulator::builder().token_lifetime(HOUR)).await;
    let redis = connect(&emulator, emulator.config().token_manager(by_ratio(0.5)), 2).await;
    let near = |time: Duration, expected: Duration| time < expected + 10 * SECOND && time + 10 * SECOND > expected;
    let first = redis.manager().stats().token.unwrap();
    assert_eq!((first.generation, first.username.as_str()), (1, emulator.object_id()));
    assert!(near(first.age, Duration::ZERO), "{first:?}");
    assert!(near(first.remaining, HOUR) && near(first.age + first.remaining, HOUR), "{first:?}");
    assert!(near(first.refresh_in, HOUR / 2) && first.valid, "{first:?}");

    tokio::time::sleep(SECOND).await;
    let later = redis.manager().stats().token.unwrap();
    let passed = later.age - first.age;
    assert!(passed >= SECOND);
    // Each is read at a moment of its own.
    let slack = SECOND / 5;
    for (before, after) in [(first.remaining, later.remaining), (first.refresh_in, later.refresh_in)] {
        assert!(before - after + slack > passed && before - after < passed + slack, "{before:?} {after:?} {passed:?}");
    }

    let mut events = redis.manager().events();
    redis.manager().refresh_token();
    told(&mut events, "a new token", |event| matches!(event, Event::TokenRefreshed { .. }).then_some(())).await;
    let second = redis.manager().stats().token.unwrap();
    assert_eq!(second.generation, 2);
    assert!(second.age < later.age, "{second:?}");

    emulator.identity().fault_all(Some(IdentityFault::Status(503)));
    redis.manager().refresh_token();
    told(&mut events, "a failure", |event| matches!(event, Event::RefreshFailed { .. }).then_some(())).await;
    let stats = redis.manager().stats();
    assert_eq!(stats.last_token_error.unwrap().status(), Some(503));
    assert!(stats.counters.token_failures > 0);
    emulator.identity().fault_all(None);
    told(&mut events, "a new token", |event| matches!(event, Event::TokenRefreshed { .. }).then_some(())).await;
    let stats = redis.manager().stats();
    assert!(stats.last_token_error.is_none());
    assert_eq!((stats.counters.tokens_fetched, stats.counters.rotations), (3, 2));

    // Every request is counted as one of three things.
    emulator.identity().script([IdentityFault::SameToken]);
    redis.manager().refresh_token();
    told(&mut events, "the same token", |event| matches!(event, Event::TokenUnchanged { .. }).then_some(())).await;
    let counters = redis.manager().counters();
    assert_eq!((counters.tokens_fetched, counters.tokens_unchanged), (3, 1));
    let all = counters.tokens_fetched + counters.tokens_unchanged + counters.token_failures;
    assert_eq!(all, emulator.identity().requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_link_is_shown_with_what_it_has_been_through() {
    let _logs = log::watch();
    let emulator = common::start(Emulator::builder().token_lifetime(HOUR)).await;
    let redis = connect(&emulator, emulator.config(), 3).await;
    redis.manager().refresh_token();
    eventually("three re-AUTHs", 20 * SECOND, async || (redis.manager().counters().reauths == 3).then_some(())).await;
    all_current(&redis).await;
    for link in redis.manager().stats().links {
        let shown = (link.state, link.open, link.generation, link.in_flight, link.reauths, link.reconnects);
        assert_eq!(shown, (LinkState::Open, true, 2, 0, 1, 0), "{link:?}");
    }

    for times in 1..=2 {
        let mut events = redis.manager().events();
        // The youngest: the one that has replaced the last.
        emulator.gate().connections().last().unwrap().cut();
        let new = told(&mut events, "a replacement", |event| match event {
            Event::LinkReplaced { by, .. } => Some(by),
            _ => None,
        })
        .await;
        links_up(&redis, 3).await;
        let links = redis.manager().stats().links;
        let link = links.iter().find(|link| link.link == new).unwrap();
        assert_eq!((link.generation, link.reauths, link.reconnects), (2, 0, times), "{links:?}");
        let untouched = links.iter().filter(|link| (link.reauths, link.reconnects) == (1, 0)).count();
        assert_eq!(untouched, 2, "{links:?}");
    }
    let counters = redis.manager().counters();
    assert_eq!((counters.reauths, counters.reconnects, counters.links_lost, counters.links_opened), (3, 2, 2, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_are_being_opened_are_counted() {
    let _logs = log::watch();
    let emulator = common::start(Emulator::builder().token_lifetime(HOUR)).await;
    let redis = connect(&emulator, emulator.config(), 3).await;
    let look = || {
        let stats = redis.manager().stats();
        (stats.links.len(), stats.pool_size, stats.dialing, stats.draining)
    };
    eventually("the pool is full", 5 * SECOND, async || (look() == (3, 3, 0, 0)).then_some(())).await;
    // Its replacement waits for the answer to its first AUTH.
    emulator.gate().script_first_auth([AuthFault::Silent]);
    emulator.gate().connections().last().unwrap().cut();
    eventually("another one is dialed", 10 * SECOND, async || (look() == (2, 3, 1, 0)).then_some(())).await;
}

/// One after the other, each kind of failure is caused once, and counted as what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_counted_by_how_they_ended() {
    let _logs = log::watch();
    let emulator = common::start(Emulator::builder()).await;
    let config = emulator.config().max_in_flight(2).command_timeout(2 * SECOND);
    let redis = connect(&emulator, config, 2).await;
    let mut con = redis.clone();
    for n in 0..10 {
        let _: () = con.set(n, n).await.unwrap();
    }
    let _: (u64, u64) = redis::pipe().incr("count", 1).incr("count", 1).query_async(&mut con).await.unwrap();
    // What Redis answers is an answer.
    redis::cmd("NONSENSE").query_async::<()>(&mut con).await.unwrap_err();
    nothing_in_flight(&redis).await;
    let mut expected = CommandStats::default();
    expected.sent = 12;
    assert_eq!(commands(&redis), expected);

    let calls = [held_up(&emulator, &redis).await, held_up(&emulator, &redis).await];
    assert_eq!(commands(&redis).in_flight, 2);
    let error = con.get::<_, Option<String>>("key").await.unwrap_err();
    assert_eq!(Error::from_redis(&error).map(Error::kind), Some(ErrorKind::Overloaded), "{error}");
    emulator.gate().cut_all();
    for call in calls {
        let error = within("a lost command", 2 * SECOND, call).await.unwrap().unwrap_err();
        assert!(error.is_connection_dropped(), "{error}");
    }
    eventually("both are lost", 5 * SECOND, async || (redis.manager().counters().links_lost == 2).then_some(())).await;
    links_up(&redis, 2).await;
    nothing_in_flight(&redis).await;
    expected.sent = 14;
    (expected.failed.overloaded, expected.failed.lost) = (1, 2);
    assert_eq!(commands(&redis), expected);

    let call = held_up(&emulator, &redis).await;
    let error = within("a deadline", 5 * SECOND, call).await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    emulator.gate().connections().iter().for_each(GateConnection::thaw);
    links_up(&redis, 2).await;
    nothing_in_flight(&redis).await;
    expected.sent = 15;
    expected.failed.timed_out = 1;
    assert_eq!(commands(&redis), expected);

    emulator.gate().refuse_connections(true);
    emulator.gate().cut_all();
    eventually("no link is up", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
    let call = read(&redis);
    eventually("it waits for a link", SECOND, async || (commands(&redis).waiting == 1).then_some(())).await;
    let error = within("a deadline", 5 * SECOND, call).await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    emulator.gate().refuse_connections(false);
    links_up(&redis, 2).await;
    nothing_in_flight(&redis).await;
    expected.failed.timed_out = 2;
    expected.unserved = 1;
    assert_eq!(commands(&redis), expected);

    // What a shared connection cannot carry is refused here, alone and in a pipeline.
    con.blpop::<_, ()>("list", 0.0).await.unwrap_err();
    redis::pipe().cmd("SELECT").arg(1).query_async::<()>(&mut con).await.unwrap_err();
    expected.failed.refused = 2;
    assert_eq!(commands(&redis), expected);

    redis.shutdown().await;
    con.get::<_, Option<String>>("key").await.unwrap_err();
    expected.failed.closed = 1;
    assert_eq!(commands(&redis), expected);
    assert_eq!(expected.failed.total(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_is_counted_and_no_failure() {
    let _logs = log::watch();
    let emulator = common::start(Emulator::builder()).await;
    let redis = connect(&emulator, emulator.config().retry_reads(true), 1).await;
    let call = held_up(&emulator, &redis).await;
    emulator.gate().cut_all();
    assert_eq!(within("the second answer", 5 * SECOND, call).await.unwrap().unwrap(), None);
    nothing_in_flight(&redis).await;
    let stats = commands(&redis);
    assert_eq!((stats.sent, stats.retried, stats.failed.total()), (2, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_without_a_token_are_counted_as_such() {
    let _logs = log::watch();
    let emulator = common::start(Emulator::builder().token_lifetime(2 * SECOND)).await;
    let redis = connect(&emulator, emulator.config(), 2).await;
    emulator.identity().fault_all(Some(IdentityFault::Status(503)));
    let dead = async || redis.manager().stats().token.filter(|token| !token.valid);
    let token = eventually("the token dies", 10 * SECOND, dead).await;
    // It is still shown which one it was, and when it came.
    assert_eq!((token.generation, token.username.as_str()), (1, emulator.object_id()));
    assert!(token.age >= SECOND && token.remaining < SECOND / 2, "{token:?}");
    eventually("no link is up", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
    let error = read(&redis).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed, "{error}");
    let failed = commands(&redis).failed;
    assert_eq!((failed.unauthenticated, failed.total()), (1, 1));
}
