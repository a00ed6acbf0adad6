//! From connect to the last drop: tasks end, shutdown drains, several services share nothing.

use common::{Azure, Fixture, SECOND, eventually, links_up, load::Load, logs, tasks, within};
use entra_redis::{
    AccessToken, EntraRedis, Event, Tls,
    emulator::{Emulator, IdentityFault},
};
use redis::AsyncCommands;
use std::time::{Duration, Instant};

#[test]
fn the_handle_can_be_shared() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<EntraRedis>();
}

#[tokio::test]
async fn the_last_handle_dropped_ends_every_task_and_connection() {
    let emulator = common::start(Emulator::builder()).await;
    let before = tasks();
    let redis = emulator.up(emulator.config(), 4).await;
    let clone = redis.clone();
    drop(redis);
    let _: () = clone.clone().set("key", 1).await.unwrap();
    drop(clone);
    all_gone(&emulator, before).await;
}

#[tokio::test]
async fn a_connect_that_fails_or_is_cancelled_leaves_nothing_behind() {
    let emulator = common::start(Emulator::builder()).await;
    let before = tasks();
    emulator.identity().script([IdentityFault::WrongSecret]);
    emulator.try_connect(emulator.config()).await.unwrap_err();
    emulator.identity().script([IdentityFault::Hang]);
    let attempt = emulator.try_connect(emulator.config());
    tokio::time::timeout(SECOND / 2, attempt).await.unwrap_err();
    eventually("connections are closed", 5 * SECOND, async || {
        (emulator.redis_front().connection_count() == 0).then_some(())
    })
    .await;
    eventually("tasks are gone", 5 * SECOND, async || (tasks() <= before + 1).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_drains_and_can_be_called_again() {
    let (emulator, redis) = Fixture::on_redis(Duration::from_secs(3600)).up().await;
    assert!(redis.manager().ready());
    let load = Load::full(&redis, 32);
    eventually("load", 5 * SECOND, async || (load.commands() > 1000).then_some(())).await;
    // Two callers at once, and one later.
    within("shutdown", 5 * SECOND, async { tokio::join!(redis.shutdown(), redis.shutdown()) }).await;
    within("shutdown again", SECOND, redis.shutdown()).await;
    assert!(!redis.manager().ready());
    let report = load.stop().await;
    assert!(!report.failures.is_empty());
    for failure in &report.failures {
        let text = failure.error.to_string();
        assert!(text.contains("shut down"), "a command in flight was lost: {text}");
    }
    eventually("connections are closed", 5 * SECOND, async || {
        (emulator.redis_front().connection_count() == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_waits_for_slow_commands() {
    let (_emulator, redis) = Fixture::on_redis(Duration::from_secs(3600)).connect().await;
    let paused = Instant::now();
    let pause: String = redis::cmd("CLIENT").arg(&["PAUSE", "1500"]).query_async(&mut redis.clone()).await.unwrap();
    assert_eq!(pause, "OK");
    let mut con = redis.clone();
    let slow = tokio::spawn(async move { con.set::<_, _, ()>("slow", 1).await });
    in_flight(&redis).await;
    within("shutdown", 5 * SECOND, redis.shutdown()).await;
    assert!(paused.elapsed() >= Duration::from_millis(1500), "it did not wait for the command");
    slow.await.unwrap().expect("a command in flight gets its reply");
}

#[tokio::test]
async fn events_and_stats_tell_what_happens() {
    let (emulator, redis) = Fixture::new().tokens_of(2 * SECOND).up().await;
    let mut events = redis.manager().events();
    let mut reauthenticated = Vec::new();
    let all = async {
        while reauthenticated.len() < 4 {
            if let Event::Reauthenticated { link, .. } = events.recv().await.unwrap() {
                reauthenticated.push(link);
            }
        }
    };
    within("four re-AUTHs", 10 * SECOND, all).await;
    let stats = redis.manager().stats();
    assert_eq!(stats.links.len(), 4);
    let token = stats.token.clone().unwrap();
    assert_eq!(token.username, emulator.object_id());
    assert!(token.remaining <= 3 * SECOND);
    assert!(stats.counters.tokens_fetched >= 2 && stats.counters.links_opened == 4);
    assert!(stats.token_error().is_none() && stats.last_connect_error.is_none());
}

#[tokio::test]
async fn mutual_tls_works_with_files_and_is_needed_where_the_server_demands_it() {
    let emulator = common::start(Emulator::builder().client_certificates(true)).await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (cert, key) = emulator.client_identity_pem();
    let tls = Tls::new()
        .ca_file(file("redis_ca.pem", emulator.ca_pem()))
        .client_cert_file(file("redis_user.crt", &cert))
        .client_key_file(file("redis_user_private.key", &key));
    let config = emulator.config().tls(tls);
    let redis = emulator.connect(config).await;
    assert_eq!(redis::cmd("DBSIZE").query_async::<u64>(&mut redis.clone()).await.unwrap(), 0);

    let without = emulator.try_connect(emulator.config());
    within("refusal", 5 * SECOND, without).await.unwrap_err();
}

#[tokio::test]
async fn nothing_that_can_be_printed_shows_a_secret() {
    let emulator = common::start(Emulator::builder()).await;
    logs::forbid(emulator.client_secret());
    let (cert, key) = emulator.client_identity_pem();
    let middle = key.lines().nth(1).unwrap();
    logs::forbid(middle);
    let tls = Tls::new().ca_pem(emulator.ca_pem()).client_cert_pem(cert).client_key_pem(key.clone());
    let config = emulator.config().tls(tls);
    let redis = emulator.connect(config.clone()).await;
    let jwt = emulator.identity().issue_token().unwrap();
    let token = AccessToken::from_jwt(jwt).unwrap();
    let stats = redis.manager().stats();
    let shown = format!("{config:?} {redis:?} {:?} {stats:?} {token:?} {:?}", redis.manager(), token.secret());
    logs::check(&shown);
    logs::check(&format!("{emulator:?} {:?} {:?}", emulator.identity(), emulator.redis_front()));
    assert!(shown.contains(emulator.client_id()), "{shown}");
}

/// On one thread, so that nothing can have ended before `shutdown` looks.
#[tokio::test]
async fn a_shutdown_that_is_cancelled_at_once_ends_every_task_all_the_same() {
    let emulator = common::start(Emulator::builder()).await;
    let before = tasks();
    let redis = emulator.up(emulator.config(), 4).await;
    {
        let shutdown = std::pin::pin!(redis.shutdown());
        assert!(futures_util::poll!(shutdown).is_pending(), "it had nothing to wait for: the test proves nothing");
    }
    drop(redis);
    all_gone(&emulator, before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_that_is_cancelled_while_it_drains_ends_every_task_all_the_same() {
    let emulator = common::start(common::emulator(Duration::from_secs(3600))).await;
    let before = tasks();
    let redis = emulator.up(emulator.config(), 4).await;
    let _: String = redis::cmd("CLIENT").arg(&["PAUSE", "60000"]).query_async(&mut redis.clone()).await.unwrap();
    let mut con = redis.clone();
    let slow = tokio::spawn(async move { con.set::<_, _, ()>("slow", 1).await });
    in_flight(&redis).await;
    tokio::time::timeout(SECOND / 5, redis.shutdown()).await.expect_err("a command is in flight");
    slow.abort();
    drop(redis);
    all_gone(&emulator, before).await;
}

async fn in_flight(redis: &EntraRedis) {
    eventually("the command is in flight", 5 * SECOND, async || {
        redis.manager().stats().links.iter().any(|link| link.in_flight > 0).then_some(())
    })
    .await;
}

async fn all_gone(emulator: &Azure, tasks_before: usize) {
    eventually("connections are closed", 5 * SECOND, async || {
        (emulator.redis_front().connection_count() == 0).then_some(())
    })
    .await;
    eventually("tasks are gone", 5 * SECOND, async || (tasks() <= tasks_before).then_some(())).await;
}

/// Loops that reconnect on I/O errors end here.
#[tokio::test]
async fn a_command_after_shutdown_says_so_and_is_no_lost_connection() {
    let (_emulator, redis) = Fixture::new().connect().await;
    redis.shutdown().await;
    let error = redis.clone().get::<_, Option<String>>("key").await.unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::Client);
    assert!(!error.is_connection_dropped() && !error.is_io_error(), "{error}");
    assert!(error.to_string().contains("shut down"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_without_a_reply_reach_redis_before_the_end() {
    let emulator = common::start(common::emulator(Duration::from_secs(3600))).await;
    let (writer, reader) = (emulator.connect(emulator.config()).await, emulator.connect(emulator.config()).await);
    let value = vec![b'x'; 64 << 10];
    for n in 0..200 {
        let mut set = redis::cmd("SET");
        set.arg(format!("key-{n}")).arg(&value).set_no_response(true);
        let () = set.query_async(&mut writer.clone()).await.unwrap();
    }
    writer.shutdown().await;
    let keys: u64 = redis::cmd("DBSIZE").query_async(&mut reader.clone()).await.unwrap();
    assert_eq!(keys, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resolver_that_panics_is_a_dial_that_failed() {
    let emulator = common::start(Emulator::builder()).await;
    let panics = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let port = emulator.port();
    let resolver = {
        let panics = std::sync::Arc::clone(&panics);
        move |_, _| {
            let panics = panics.load(std::sync::atomic::Ordering::SeqCst);
            async move {
                assert!(!panics, "on purpose");
                Ok(vec![std::net::SocketAddr::from(([127, 0, 0, 1], port))])
            }
        }
    };
    let config = emulator.config().pool_size(2).resolver(resolver);
    let redis = EntraRedis::connect(emulator.host(), port, config).await.unwrap();
    links_up(&redis, 2).await;
    panics.store(true, std::sync::atomic::Ordering::SeqCst);
    emulator.redis_front().cut_all();
    eventually("dials fail", 5 * SECOND, async || (redis.manager().counters().dial_failures > 1).then_some(())).await;
    panics.store(false, std::sync::atomic::Ordering::SeqCst);
    links_up(&redis, 2).await;
    let _: () = redis.clone().set("key", 1).await.unwrap();
}
