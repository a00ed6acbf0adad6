//! When a connection dies, only commands in flight on it may fail, and no command waits past its deadline.

use common::{Fixture, SECOND, eventually, links_up, load::Load, scripted::Scripted, server::Server, within};
use entra_redis::emulator::FrontConnection;
use redis::AsyncCommands;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// How long after its deadline a command's end may be seen on a busy machine.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_restarted_is_found_again() {
    let mut server = Server::start();
    let redis = server.up(server.config().command_timeout(2 * SECOND), 4).await;
    let load = Load::start(&redis, 32);
    eventually("load", 5 * SECOND, async || (load.commands() > 1000).then_some(())).await;
    server.kill();
    eventually("commands fail", 5 * SECOND, async || (load.failures() > 0).then_some(())).await;
    server.restart();
    links_up(&redis, 4).await;
    eventually("service", 5 * SECOND, async || redis.clone().set::<_, _, ()>("k", 1).await.ok()).await;
    let report = load.stop().await;
    // At most the commands in flight were lost; those that came later waited for the server.
    assert!(report.failures.len() <= 2 * 32, "{} failures", report.failures.len());
    assert!(report.slowest < 2 * SECOND + GRACE, "{:?}", report.slowest);
    assert!(report.failures.iter().all(|failure| failure.error.is_connection_dropped() || failure.error.is_timeout()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_killed_by_the_server_costs_only_what_was_in_flight_on_it() {
    let server = Server::start();
    let redis = server.up(server.config().command_timeout(2 * SECOND), 4).await;
    let load = Load::start(&redis, 32);
    for _ in 0..5 {
        let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis.clone()).await.unwrap();
        let id = list.split("id=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
        let before = redis.manager().counters().links_lost;
        // Its own reply may be lost with the connection it kills.
        let mut kill = redis::cmd("CLIENT");
        kill.arg(&["KILL", "ID", &id, "SKIPME", "no"]);
        _ = kill.query_async::<i64>(&mut redis.clone()).await;
        eventually("it is noticed", 5 * SECOND, async || {
            (redis.manager().counters().links_lost > before).then_some(())
        })
        .await;
        links_up(&redis, 4).await;
    }
    let report = load.stop().await;
    assert!(report.failures.len() <= 5 * 32, "{} failures", report.failures.len());
    assert!(report.failures.iter().all(|failure| failure.error.is_connection_dropped()));
    assert_eq!((report.wrong_reads, redis.manager().counters().reconnects), (0, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_is_replaced_and_no_command_outlives_its_deadline() {
    let (emulator, redis) =
        Fixture::on_redis(Duration::from_secs(3600)).config(|config| config.command_timeout(2 * SECOND)).up().await;
    let load = Load::start(&redis, 32);
    eventually("load", 5 * SECOND, async || (load.commands() > 1000).then_some(())).await;
    for round in 1..=2 {
        // Three of four: the one that carries the load, and idle ones, which are found with it.
        let connections = emulator.redis_front().connections();
        let (first, last) = connections.split_at(if round == 1 { 3 } else { connections.len() - 3 });
        let frozen = if round == 1 { first } else { last };
        frozen.iter().for_each(FrontConnection::freeze);
        eventually("all three are replaced", 15 * SECOND, async || {
            (redis.manager().counters().reconnects == 3 * round).then_some(())
        })
        .await;
        links_up(&redis, 4).await;
        eventually("service", 5 * SECOND, async || redis.clone().set::<_, _, ()>("k", 1).await.ok()).await;
    }
    let report = load.stop().await;
    assert!(report.slowest < 2 * SECOND + GRACE, "{:?}", report.slowest);
    assert!(report.failures.iter().all(|failure| failure.error.is_timeout()), "only deadlines were missed");
    assert_eq!(report.wrong_reads, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_half_open_connection_is_found_by_ping() {
    let (emulator, redis) =
        Fixture::new().config(|config| config.command_timeout(SECOND).ping_interval(SECOND)).up().await;
    let victim = emulator.redis_front().connections().remove(3);
    victim.freeze();
    eventually("it is replaced", 10 * SECOND, async || (redis.manager().counters().reconnects == 1).then_some(()))
        .await;
    links_up(&redis, 4).await;
}

/// Counters at the server: a command that may have run is never sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_may_have_run_is_sent_twice() {
    let (emulator, redis) = Fixture::on_redis(Duration::from_secs(3600)).up().await;
    let (calls, successes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let done = Arc::new(AtomicBool::new(false));
    let tasks = (0..32).map(|_| {
        let (mut con, calls, successes, done) = (redis.clone(), calls.clone(), successes.clone(), done.clone());
        tokio::spawn(async move {
            while !done.load(SeqCst) {
                calls.fetch_add(1, SeqCst);
                match con.incr::<_, _, u64>("count", 1).await {
                    Ok(_) => drop(successes.fetch_add(1, SeqCst)),
                    Err(error) => assert!(error.is_connection_dropped(), "{error}"),
                }
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for _ in 0..50 {
        let before = calls.load(SeqCst);
        eventually("load", 5 * SECOND, async || (calls.load(SeqCst) > before + 50).then_some(())).await;
        emulator.redis_front().cut_all();
    }
    done.store(true, SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    // The last cut may not have been noticed yet.
    let counted: u64 =
        eventually("service", 5 * SECOND, async || redis.clone().get::<_, u64>("count").await.ok()).await;
    let (calls, successes) = (calls.load(SeqCst), successes.load(SeqCst));
    assert!(successes <= counted && counted <= calls, "{successes} successes, {counted} counted, {calls} calls");
    assert!(successes < calls, "no command was ever lost: the test proves nothing");
}

/// Redis refuses to run what an unauthenticated connection sends, so that is sent again, once, on another link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noauth_is_healed_without_the_caller_noticing() {
    let (emulator, redis) = Fixture::on_redis(Duration::from_secs(3600)).up().await;
    let load = Load::start(&redis, 16);
    let transactions = {
        let mut con = redis.clone();
        tokio::spawn(async move {
            for expected in 1..=500 {
                let mut pipeline = redis::pipe();
                pipeline.incr("pipeline", 1);
                let (counted,): (i64,) = pipeline.query_async(&mut con).await.unwrap();
                let (atomically,): (i64,) =
                    redis::pipe().atomic().incr("atomic", 1).query_async(&mut con).await.unwrap();
                assert_eq!((counted, atomically), (expected, expected));
            }
        })
    };
    for round in 1..=5 {
        // The connection that the pool fills first, so that commands meet the refusal: the oldest, then its
        // replacement.
        let connections = emulator.redis_front().connections();
        let busy = if round == 1 { connections.first() } else { connections.last() };
        busy.unwrap().deauthenticate();
        eventually("it is replaced", 5 * SECOND, async || {
            (redis.manager().counters().reconnects == round).then_some(())
        })
        .await;
        links_up(&redis, 4).await;
    }
    within("transactions", 20 * SECOND, transactions).await.unwrap();
    load.stop().await.assert_unharmed();
}

/// A script can answer with what looks like a refusal, after it has run.
#[tokio::test]
async fn a_script_that_answers_noauth_is_not_run_twice() {
    let (_emulator, redis) = Fixture::on_redis(Duration::from_secs(3600)).connect().await;
    let text = "redis.call('INCR', KEYS[1]) return redis.error_reply('NOAUTH Authentication required.')";
    let mut eval = redis::cmd("EVAL");
    eval.arg(text).arg(1).arg("count");
    let error = eval.query_async::<()>(&mut redis.clone()).await.unwrap_err();
    assert_eq!(error.code(), Some("NOAUTH"));
    let mut pipeline = redis::pipe();
    pipeline.add_command(eval);
    pipeline.query_async::<()>(&mut redis.clone()).await.unwrap_err();
    let count: u64 = redis.clone().get("count").await.unwrap();
    assert_eq!(count, 2);
    assert_eq!(redis.manager().counters().links_lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_closes_what_it_accepts_is_not_dialed_in_a_hot_loop() {
    let (emulator, redis) = Fixture::new().links(1).connect().await;
    let begin = tokio::time::Instant::now();
    while begin.elapsed() < 3 * SECOND {
        emulator.redis_front().cut_all();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let accepted = emulator.redis_front().stats().accepted;
    assert!((3..=30).contains(&accepted), "{accepted} connections in 3 s");
    links_up(&redis, 1).await;
}

/// Callers who have less patience than `command_timeout` never see the deadline; the silence is noticed all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_is_replaced_though_every_caller_gives_up_early() {
    let (emulator, redis) = Fixture::new().links(2).config(|config| config.command_timeout(20 * SECOND)).up().await;
    emulator.redis_front().connections()[0].freeze();
    let impatient = async || {
        let mut con = redis.clone();
        let call = con.set::<_, _, ()>("key", 1);
        tokio::time::timeout(SECOND / 10, call).await.is_ok_and(|done| done.is_ok()).then_some(())
    };
    eventually("traffic goes around it", 5 * SECOND, impatient).await;
    eventually("it is replaced", 15 * SECOND, async || (redis.manager().counters().reconnects == 1).then_some(()))
        .await;
    links_up(&redis, 2).await;
}

/// Half a reply, late enough for the first look at the silence to have passed, and nothing more for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_falls_silent_in_the_middle_of_a_reply_is_replaced_though_every_caller_gives_up_early() {
    let half = Arc::new(AtomicBool::new(false));
    let server = Scripted::start(move |connection, _| {
        let half = Arc::clone(&half);
        async move {
            if connection > 1 {
                return Some(b"+OK\r\n".to_vec());
            }
            if half.swap(true, SeqCst) {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(SECOND * 3 / 2).await;
            Some(b"+O".to_vec())
        }
    })
    .await;
    let redis = server.connect(server.config().pool_size(1).command_timeout(20 * SECOND)).await;
    let impatient = async || {
        let mut con = redis.clone();
        let call = con.set::<_, _, ()>("key", 1);
        tokio::time::timeout(SECOND, call).await.is_ok_and(|done| done.is_ok()).then_some(())
    };
    eventually("service", 15 * SECOND, impatient).await;
    assert_eq!(redis.manager().counters().links_lost, 1);
}

/// A link that was given a command just before its deadline has not been silent for long.
#[tokio::test]
async fn a_healthy_link_is_not_given_up_for_a_retry_that_came_to_it_late() {
    let limit = 3 * SECOND;
    // The first connection ends with the command on its way; the server needs a moment for everything from then on.
    let busy = Arc::new(AtomicBool::new(false));
    let server = Scripted::start(move |connection, words| {
        let busy = Arc::clone(&busy);
        async move {
            if words[0] == "GET" && connection == 1 {
                tokio::time::sleep(limit * 29 / 30).await;
                busy.store(true, SeqCst);
                return None;
            }
            if busy.load(SeqCst) {
                tokio::time::sleep(SECOND / 2).await;
            }
            Some(b"+PONG\r\n".to_vec())
        }
    })
    .await;
    let config = server.config().pool_size(2).command_timeout(limit).retry_reads(true);
    let redis = server.connect(config).await;
    links_up(&redis, 2).await;
    let second = redis.manager().stats().links[1].link;
    let error = redis.clone().get::<_, String>("key").await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    // Until the server has answered what it was asked on the other link, which shows that it is well.
    eventually("the link is idle again", 5 * SECOND, async || {
        let stats = redis.manager().stats();
        let link = stats.links.iter().find(|link| link.link == second).expect("it is still there");
        (link.is_open() && link.in_flight == 0).then_some(())
    })
    .await;
    assert_eq!(redis.manager().counters().links_lost, 1);
}

/// What a module or a proxy may send in a sound frame; other commands travel on the same connection all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_cannot_be_read_fails_its_own_command_and_no_other() {
    let server = Scripted::start(|_, words| async move {
        let reply = match words.get(1).map_or("", String::as_str) {
            "number" => ":99999999999999999999",
            "boolean" => "#T",
            "nested" => "*2\r\n$1\r\na\r\n%1\r\n+x\r\n:x",
            _ => "+fine",
        };
        Some(format!(">1\r\n:nobody's\r\n{reply}\r\n").into_bytes())
    })
    .await;
    let redis = server.up(server.config(), 1).await;
    let others = (0..8).map(|_| {
        let mut con = redis.clone();
        tokio::spawn(async move {
            for _ in 0..500 {
                assert_eq!(con.get::<_, String>("other").await.unwrap(), "fine");
            }
        })
    });
    let others: Vec<_> = others.collect();
    for key in ["number", "boolean", "nested"].repeat(20) {
        let error = redis.clone().get::<_, redis::Value>(key).await.unwrap_err();
        assert_eq!(error.kind(), redis::ErrorKind::Parse, "{error}");
        assert!(!error.is_connection_dropped() && error.to_string().contains("has run"), "{error}");
        let mut pipeline = redis::pipe();
        pipeline.get("a").get(key).get("b");
        let error = pipeline.query_async::<Vec<redis::Value>>(&mut redis.clone()).await.unwrap_err();
        assert!(error.kind() == redis::ErrorKind::Parse && error.to_string().contains("number 1"), "{error}");
    }
    for other in others {
        within("the others", 20 * SECOND, other).await.unwrap();
    }
    assert_eq!(redis.manager().counters().links_lost, 0);
}
