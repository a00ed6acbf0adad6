//! The figures of `stats()`: right, each of them.

use crate::{HOUR, held_up, page, read, start, told};
use common::{SECOND, all_current, by_ratio, eventually, links_up, within};
use entra_redis::{
    CommandStats, EntraRedis, Error, ErrorKind, Event, LinkState,
    emulator::{AuthFault, Emulator, FrontConnection, IdentityFault},
};
use redis::AsyncCommands;
use std::{collections::BTreeSet, time::Duration};

fn commands(redis: &EntraRedis) -> CommandStats {
    redis.manager().stats().commands
}

/// Whether the last token has expired, and there is no other.
fn no_token(redis: &EntraRedis) -> bool {
    redis.manager().stats().token.is_some_and(|token| !token.in_use)
}

async fn nothing_in_flight(redis: &EntraRedis) {
    let nothing = async || (commands(redis).in_flight == 0).then_some(());
    eventually("nothing is in flight", 10 * SECOND, nothing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_is_shown_with_its_times() {
    let emulator = start(Emulator::builder().token_lifetime(HOUR)).await;
    let redis = emulator.up(emulator.config().token_manager(by_ratio(0.5)), 2).await;
    let near = |time: Duration, expected: Duration| time < expected + 10 * SECOND && time + 10 * SECOND > expected;
    let first = redis.manager().stats().token.unwrap();
    assert_eq!((first.generation, first.username.as_str()), (1, emulator.object_id()));
    assert!(first.in_use, "{first:?}");
    assert!(near(first.age, Duration::ZERO), "{first:?}");
    assert!(near(first.remaining, HOUR) && near(first.age + first.remaining, HOUR), "{first:?}");
    assert!(near(first.refresh_in, HOUR / 2), "{first:?}");

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

    emulator.identity().script([IdentityFault::SameToken]);
    redis.manager().refresh_token();
    told(&mut events, "the same token", |event| matches!(event, Event::TokenUnchanged { .. }).then_some(())).await;
    let stats = redis.manager().stats();
    assert_eq!((stats.token.unwrap().generation, stats.counters.tokens_unchanged), (2, 1));
    assert!(stats.last_token_failure.is_none());

    emulator.identity().fault_all(Some(IdentityFault::Status(503)));
    redis.manager().refresh_token();
    told(&mut events, "a failure", |event| matches!(event, Event::RefreshFailed { .. }).then_some(())).await;
    let stats = redis.manager().stats();
    assert_eq!(stats.token_error().unwrap().status(), Some(503));
    let failure = stats.last_token_failure.unwrap();
    assert!(failure.error.status() == Some(503) && failure.ago < 10 * SECOND, "{failure:?}");
    assert!(stats.counters.token_failures > 0);
    emulator.identity().fault_all(None);
    told(&mut events, "a new token", |event| matches!(event, Event::TokenRefreshed { .. }).then_some(())).await;
    let stats = redis.manager().stats();
    assert!(stats.token_error().is_none());
    // It has been overcome, and is the last one all the same.
    assert_eq!(stats.last_token_failure.unwrap().error.status(), Some(503));
    let counters = stats.counters;
    assert_eq!((counters.tokens_fetched, counters.tokens_unchanged, counters.rotations), (3, 1, 2));
    let answered = counters.tokens_fetched + counters.tokens_unchanged + counters.token_failures;
    assert_eq!(answered, emulator.identity().requests());
}

/// How old it is and who it was for stay to be seen; that it is of no use any more does, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_has_expired_stays_visible_until_another_one_comes() {
    let life = 2 * SECOND;
    let emulator = start(Emulator::builder().token_lifetime(life)).await;
    let redis = emulator.up(emulator.config(), 1).await;
    emulator.identity().fault_all(Some(IdentityFault::Status(503)));
    let dead = async || no_token(&redis).then(|| redis.manager().stats());
    let stats = eventually("the token dies", 10 * SECOND, dead).await;
    let token = stats.token.clone().unwrap();
    assert_eq!((token.username.as_str(), token.remaining), (emulator.object_id(), Duration::ZERO));
    assert!(token.age > life / 4 && token.age < life + 5 * SECOND, "{token:?}");
    assert!(token.refresh_in < 5 * SECOND, "{token:?}");
    assert_eq!(stats.token_error().unwrap().status(), Some(503));

    emulator.identity().fault_all(None);
    let in_use = async || redis.manager().stats().token.filter(|token| token.in_use);
    let next = eventually("a new token", 10 * SECOND, in_use).await;
    assert!(next.generation > token.generation && !next.remaining.is_zero(), "{next:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_is_shown_with_its_name_its_size_and_what_leaves_it() {
    let emulator = start(Emulator::builder().token_lifetime(HOUR)).await;
    let config = emulator.config().auth_timeout(SECOND).command_timeout(20 * SECOND);
    let redis = emulator.up(config, 1).await;
    let second = emulator.up(emulator.config(), 3).await;
    let stats = redis.manager().stats();
    let server = format!("{}:{}", emulator.host(), emulator.port());
    assert_eq!((stats.pool.as_str(), stats.pool_size, stats.draining), (server.as_str(), 1, 0));
    let stats = second.manager().stats();
    assert_eq!((stats.pool, stats.pool_size), (format!("{server}#2"), 3));
    drop(second);

    // A link whose AUTH is not answered is replaced; what is on its way there may still be answered.
    let call = held_up(&emulator, &redis).await;
    redis.manager().refresh_token();
    let draining = async || (redis.manager().stats().draining == 1).then_some(());
    eventually("the link leaves", 15 * SECOND, draining).await;
    links_up(&redis, 1).await;
    emulator.redis_front().connections().iter().for_each(FrontConnection::thaw);
    assert_eq!(within("its answer", 5 * SECOND, call).await.unwrap().unwrap(), None);
    let drained = async || (redis.manager().stats().draining == 0).then_some(());
    eventually("the link has left", 5 * SECOND, drained).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_link_is_shown_with_what_it_has_been_through() {
    let emulator = start(Emulator::builder().token_lifetime(HOUR)).await;
    let redis = emulator.up(emulator.config(), 3).await;
    redis.manager().refresh_token();
    eventually("three re-AUTHs", 20 * SECOND, async || (redis.manager().counters().reauths == 3).then_some(())).await;
    all_current(&redis).await;
    for link in redis.manager().stats().links {
        let shown = (link.state, link.is_open(), link.generation, link.in_flight, link.reauths, link.reconnects);
        assert_eq!(shown, (LinkState::Open, true, 2, 0, 1, 0), "{link:?}");
    }

    for times in 1..=2 {
        let mut events = redis.manager().events();
        // The youngest: the one that has replaced the last.
        emulator.redis_front().connections().last().unwrap().cut();
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
    let emulator = start(Emulator::builder().token_lifetime(HOUR)).await;
    let redis = emulator.up(emulator.config(), 3).await;
    let look = || {
        let stats = redis.manager().stats();
        (stats.links.len(), stats.pool_size, stats.dialing, stats.draining)
    };
    eventually("the pool is full", 5 * SECOND, async || (look() == (3, 3, 0, 0)).then_some(())).await;
    // Its replacement waits for the answer to its first AUTH.
    emulator.redis_front().script_first_auth([AuthFault::Silent]);
    emulator.redis_front().connections().last().unwrap().cut();
    eventually("another one is dialed", 10 * SECOND, async || (look() == (2, 3, 1, 0)).then_some(())).await;
}

/// One after the other, each kind of failure is caused once, and counted as what it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_counted_by_how_they_ended() {
    let emulator = start(Emulator::builder()).await;
    let config = emulator.config().max_in_flight(2).command_timeout(2 * SECOND);
    let redis = emulator.up(config, 2).await;
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

    redis::cmd("WATCH").arg("key").query_async::<()>(&mut con).await.unwrap_err();
    redis::pipe().cmd("SELECT").arg(1).query_async::<()>(&mut con).await.unwrap_err();
    redis::Cmd::new().query_async::<()>(&mut con).await.unwrap_err();
    expected.failed.refused = 3;
    assert_eq!(commands(&redis), expected);

    let calls = [held_up(&emulator, &redis).await, held_up(&emulator, &redis).await];
    assert_eq!(commands(&redis).in_flight, 2);
    let error = con.get::<_, Option<String>>("key").await.unwrap_err();
    assert_eq!(Error::from_redis(&error).map(Error::kind), Some(ErrorKind::Overloaded), "{error}");
    emulator.redis_front().cut_all();
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
    emulator.redis_front().connections().iter().for_each(FrontConnection::thaw);
    links_up(&redis, 2).await;
    nothing_in_flight(&redis).await;
    expected.sent = 15;
    expected.failed.timed_out = 1;
    assert_eq!(commands(&redis), expected);

    emulator.redis_front().refuse_connections(true);
    emulator.redis_front().cut_all();
    eventually("no link is up", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
    let call = read(&redis);
    eventually("it waits for a link", SECOND, async || (commands(&redis).waiting == 1).then_some(())).await;
    let error = within("a deadline", 5 * SECOND, call).await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    emulator.redis_front().refuse_connections(false);
    links_up(&redis, 2).await;
    nothing_in_flight(&redis).await;
    expected.failed.timed_out = 2;
    expected.unserved = 1;
    assert_eq!(commands(&redis), expected);

    redis.shutdown().await;
    con.get::<_, Option<String>>("key").await.unwrap_err();
    expected.failed.closed = 1;
    assert_eq!(commands(&redis), expected);
    assert_eq!(expected.failed.total(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_is_counted_and_no_failure() {
    let emulator = start(Emulator::builder()).await;
    let redis = emulator.up(emulator.config().retry_reads(true), 1).await;
    let call = held_up(&emulator, &redis).await;
    emulator.redis_front().cut_all();
    assert_eq!(within("the second answer", 5 * SECOND, call).await.unwrap().unwrap(), None);
    nothing_in_flight(&redis).await;
    let stats = commands(&redis);
    assert_eq!((stats.sent, stats.retried, stats.failed.total()), (2, 1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_without_a_token_are_counted_as_such() {
    let emulator = start(Emulator::builder().token_lifetime(2 * SECOND)).await;
    let redis = emulator.up(emulator.config(), 2).await;
    emulator.identity().fault_all(Some(IdentityFault::Status(503)));
    eventually("the token dies", 10 * SECOND, async || no_token(&redis).then_some(())).await;
    eventually("no link is up", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
    let error = read(&redis).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::AuthenticationFailed, "{error}");
    let failed = commands(&redis).failed;
    assert_eq!((failed.unauthenticated, failed.total()), (1, 1));
}

/// The names alone: a field that is added, or goes, is a row that is added, or goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_figure_is_in_the_guide() {
    let emulator = start(Emulator::builder()).await;
    // With one failure, so that this one's figures are there, too.
    emulator.identity().script([IdentityFault::Status(503)]);
    let redis = emulator.up(emulator.config().token_manager(by_ratio(0.5)), 1).await;
    #[cfg(feature = "near-cache")]
    let _cached = redis.cached(entra_redis::CacheOptions::new());
    let shown = format!("{:#?}", redis.manager().stats());
    let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let names = shown.lines().filter_map(|line| Some(line.trim_start().split_once(": ")?.0));
    let names: BTreeSet<_> = names.filter(is_name).map(str::to_owned).collect();
    let rows = page::table("| figure | unit | what it is |");
    let is_there = |name: &str| cfg!(feature = "near-cache") || !name.starts_with("cache.");
    let rows = rows.iter().filter(|cells| is_there(&cells[0]));
    let parts = rows.flat_map(|cells| cells[0].split('.')).map(|part| part.trim_end_matches("[]").to_owned());
    let documented: BTreeSet<_> = parts.collect();
    assert_eq!(names, documented, "{shown}");
}
