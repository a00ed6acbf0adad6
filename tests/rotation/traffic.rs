//! Rotation is invisible: no command fails, waits or is reordered because a token rotated.

use common::{Fixture, SECOND, all_current, by_ratio, links_up, load::Load, rotations, twice_a_second};
use redis::AsyncCommands;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_tasks_notice_none_of_ten_rotations() {
    let (emulator, redis) =
        Fixture::on_redis(2 * SECOND).config(|config| config.token_manager(twice_a_second())).up().await;
    let load = Load::full(&redis, 64);
    rotations(&redis, 10, 40 * SECOND).await;
    all_current(&redis).await;
    let report = load.stop().await;
    report.assert_unharmed();

    // Counted at the server: the same four connections all the time, each authenticated again in each rotation.
    let stats = emulator.redis_front().stats();
    assert_eq!((stats.accepted, stats.expired, stats.rejected), (4, 0, 0));
    for connection in emulator.redis_front().connections() {
        let expected = redis.manager().counters().tokens_fetched;
        let seen = connection.authentications();
        assert!(seen + 1 >= expected, "connection {}: {seen} of {expected} tokens", connection.id());
    }
    assert_eq!(redis.manager().counters().reconnects, 0);
    // A handshake for each connection and an AUTH for each new token on it, however many commands there were.
    common::eventually("as many logins as dials and re-AUTHs", 5 * SECOND, async || {
        let logins = emulator.redis_front().stats().authentications;
        (logins == 4 + redis.manager().counters().reauths).then_some(())
    })
    .await;
    assert!(emulator.redis_front().stats().commands > 1000);
}

/// Nothing waits for an AUTH that takes two seconds to validate, whatever the size of the pool.
async fn no_command_waits_for_a_slow_auth(links: usize) {
    let (emulator, redis) =
        Fixture::on_redis(8 * SECOND).links(links).config(|config| config.token_manager(by_ratio(0.2))).up().await;
    emulator.redis_front().auth_delay(2 * SECOND);
    let load = Load::start(&redis, 16);
    rotations(&redis, 2, 30 * SECOND).await;
    common::eventually("links re-authenticated", 20 * SECOND, async || {
        (redis.manager().counters().reauths >= links as u64).then_some(())
    })
    .await;
    let report = load.stop().await;
    report.assert_unharmed();
    assert!(report.slowest < SECOND, "pool of {links}: a command took {:?}", report.slowest);
    assert_eq!(emulator.redis_front().stats().expired, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_waits_for_a_slow_auth_of_a_lone_link() {
    no_command_waits_for_a_slow_auth(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_waits_for_a_slow_auth_of_two_links() {
    no_command_waits_for_a_slow_auth(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_waits_for_a_slow_auth_of_four_links() {
    no_command_waits_for_a_slow_auth(4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_stay_whole_across_rotations() {
    let (_emulator, redis) = Fixture::on_redis(2 * SECOND).connect().await;
    let work = (0..8).map(|task| {
        let mut con = redis.clone();
        tokio::spawn(async move {
            let mut expected = 0_i64;
            while con.clone().manager().counters().rotations < 5 {
                let (a, b): (i64, i64) = redis::pipe()
                    .atomic()
                    .incr(format!("a:{task}"), 1)
                    .incr(format!("b:{task}"), 1)
                    .query_async(&mut con)
                    .await
                    .unwrap();
                expected += 1;
                assert_eq!((a, b), (expected, expected));
            }
        })
    });
    for task in work.collect::<Vec<_>>() {
        common::within("five rotations", 40 * SECOND, task).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_handle_stays_authenticated() {
    let (emulator, redis) = Fixture::on_redis(2 * SECOND).up().await;
    rotations(&redis, 5, 20 * SECOND).await;
    let _: () = redis.clone().set("key", 1).await.unwrap();
    assert_eq!((emulator.redis_front().stats().accepted, emulator.redis_front().stats().expired), (4, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_opened_during_rotations_ends_on_the_newest_token() {
    let (emulator, redis) = Fixture::on_redis(2 * SECOND).up().await;
    let tokens = redis.manager().counters().tokens_fetched;
    while redis.manager().counters().tokens_fetched < tokens + 4 {
        emulator.redis_front().cut_all();
        links_up(&redis, 4).await;
    }
    all_current(&redis).await;
    let _: () = redis.clone().set("key", 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_token_again_sends_no_auth() {
    let (emulator, redis) = Fixture::on_redis(Duration::from_secs(3600)).up().await;
    emulator.identity().script([entra_redis::emulator::IdentityFault::SameToken]);
    let before = emulator.identity().requests();
    redis.manager().refresh_token();
    common::eventually("a request", 5 * SECOND, async || (emulator.identity().requests() > before).then_some(())).await;
    let _: () = redis.clone().set("key", 1).await.unwrap();
    assert_eq!(emulator.redis_front().stats().reauths, 0);
    assert_eq!(redis.manager().counters().rotations, 0);
}
