//! A dead connection costs at most the commands in flight on it, and no command waits past its deadline.

mod common;

use common::{SECOND, eventually, links_up, load::Load, logs, server::Server, within};
use entra_redis::{
    AccessToken, Config, Credential, EntraRedis, Tls,
    emulator::{Emulator, GateConnection},
};
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

async fn connect(server: &Server) -> EntraRedis {
    let token = || async { AccessToken::opaque("any token", Duration::from_secs(3600), "tester") };
    let config = Config::new(Credential::custom(token)).tls(Tls::new().ca_pem(&server.ca_pem));
    EntraRedis::connect("localhost", server.port, config.command_timeout(2 * SECOND)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_restarted_is_found_again() {
    let _logs = logs::watch();
    let mut server = Server::start();
    let redis = connect(&server).await;
    links_up(&redis, 4).await;
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
    let _logs = logs::watch();
    let server = Server::start();
    let redis = connect(&server).await;
    links_up(&redis, 4).await;
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
    let _logs = logs::watch();
    let emulator = common::start(common::emulator(Duration::from_secs(3600))).await;
    let config = emulator.config().command_timeout(2 * SECOND);
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), config).await.unwrap();
    links_up(&redis, 4).await;
    let load = Load::start(&redis, 32);
    eventually("load", 5 * SECOND, async || (load.commands() > 1000).then_some(())).await;
    for round in 1..=2 {
        // Three of four: the one that carries the load, and idle ones, which are found with it.
        let connections = emulator.gate().connections();
        let (first, last) = connections.split_at(if round == 1 { 3 } else { connections.len() - 3 });
        let frozen = if round == 1 { first } else { last };
        frozen.iter().for_each(GateConnection::freeze);
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
    let _logs = logs::watch();
    let emulator = common::start(Emulator::builder()).await;
    let config = emulator.config().command_timeout(SECOND).ping_interval(SECOND);
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), config).await.unwrap();
    links_up(&redis, 4).await;
    let victim = emulator.gate().connections().remove(3);
    victim.freeze();
    eventually("it is replaced", 10 * SECOND, async || (redis.manager().counters().reconnects == 1).then_some(()))
        .await;
    links_up(&redis, 4).await;
}

/// Counters at the server: a command that may have run is never sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_may_have_run_is_sent_twice() {
    let _logs = logs::watch();
    let emulator = common::start(common::emulator(Duration::from_secs(3600))).await;
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), emulator.config()).await.unwrap();
    links_up(&redis, 4).await;
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
        emulator.gate().cut_all();
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
    let _logs = logs::watch();
    let emulator = common::start(common::emulator(Duration::from_secs(3600))).await;
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), emulator.config()).await.unwrap();
    links_up(&redis, 4).await;
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
        // The connection that the pool fills first, so that commands meet the refusal: the oldest, then its replacement.
        let connections = emulator.gate().connections();
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
    let _logs = logs::watch();
    let emulator = common::start(common::emulator(Duration::from_secs(3600))).await;
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), emulator.config()).await.unwrap();
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
    let _logs = logs::watch();
    let emulator = common::start(Emulator::builder()).await;
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), emulator.config().pool_size(1)).await.unwrap();
    let begin = tokio::time::Instant::now();
    while begin.elapsed() < 3 * SECOND {
        emulator.gate().cut_all();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let accepted = emulator.gate().stats().accepted;
    assert!((3..=30).contains(&accepted), "{accepted} connections in 3 s");
    links_up(&redis, 1).await;
}

/// Callers who have less patience than `command_timeout` never see the deadline; the silence is noticed all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_open_connection_is_replaced_though_every_caller_gives_up_early() {
    let _logs = logs::watch();
    let emulator = common::start(Emulator::builder()).await;
    let config = emulator.config().pool_size(2).command_timeout(20 * SECOND);
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), config).await.unwrap();
    links_up(&redis, 2).await;
    emulator.gate().connections()[0].freeze();
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
