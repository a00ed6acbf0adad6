//! What state a real redis-server may be in: frozen, paused, loading, full, out of memory, without this user.

use common::{
    SECOND,
    counting::{Counting, How},
    eventually, links_up,
    load::Load,
    server::Server,
    within,
};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Error, ErrorKind, Event, Tls};
use redis::AsyncCommands;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long after its deadline a command's end may be seen on a busy machine.
const GRACE: Duration = Duration::from_secs(2);

fn open_links(redis: &EntraRedis) -> usize {
    redis.manager().stats().links.iter().filter(|link| link.is_open()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_costs_nothing_within_the_deadline_and_no_more_than_the_deadline_beyond() {
    let server = Server::start();
    let patient = server.up(server.config().command_timeout(20 * SECOND), 4).await;
    let load = Load::start(&patient, 16);
    for _ in 0..3 {
        let before = load.commands();
        eventually("load", 5 * SECOND, async || (load.commands() > before + 500).then_some(())).await;
        server.freeze();
        sleep(Duration::from_millis(600)).await;
        server.thaw();
    }
    let report = load.stop().await;
    report.assert_unharmed();
    assert!(report.slowest >= SECOND / 2, "no command met the freeze: the test proves nothing");
    assert_eq!(patient.manager().counters().links_lost, 0);

    let hasty = server.up(server.config().command_timeout(SECOND), 4).await;
    let load = Load::start(&hasty, 16);
    eventually("load", 5 * SECOND, async || (load.commands() > 500).then_some(())).await;
    server.freeze();
    eventually("a command has failed", 10 * SECOND, async || (load.failures() > 0).then_some(())).await;
    server.thaw();
    links_up(&hasty, 4).await;
    let before = load.commands();
    eventually("service", 10 * SECOND, async || (load.commands() > before + 1000).then_some(())).await;
    let report = load.stop().await;
    assert!(report.slowest < SECOND + GRACE, "{:?}", report.slowest);
    assert!(!report.failures.is_empty(), "no command met the freeze: the test proves nothing");
    let first = report.failures.iter().find(|failure| !failure.error.is_timeout());
    assert!(first.is_none(), "{:?}", first.map(|failure| &failure.error));
    assert_eq!(report.wrong_reads, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_is_waited_for() {
    let server = Server::start();
    let redis = server.up(server.config(), 4).await;
    let mut admin = server.admin().await;
    let load = Load::start(&redis, 32);
    for pause in ["CLIENT PAUSE 500 WRITE", "CLIENT PAUSE 700 ALL"] {
        let before = load.commands();
        eventually("load", 5 * SECOND, async || (load.commands() > before + 500).then_some(())).await;
        admin.run(pause).await;
    }
    let before = load.commands();
    eventually("service", 5 * SECOND, async || (load.commands() > before + 500).then_some(())).await;
    let report = load.stop().await;
    report.assert_unharmed();
    assert!(report.slowest >= SECOND / 2, "no command met the pause: the test proves nothing");
    assert_eq!(redis.manager().counters().links_lost, 0);
}

/// LOADING on links that stay up: commands are sent again, scripts are not, and nothing runs twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_wait_while_redis_loads_and_scripts_do_not() {
    let server = Server::start();
    let mut admin = server.admin().await;
    admin.run("DEBUG POPULATE 2000 filler 50").await;
    admin.run("CONFIG SET key-load-delay 500").await;
    let redis = server.up(server.config().command_timeout(20 * SECOND), 4).await;
    let single = Counting::start(&redis, 8, "single", How::Single);
    let pipeline = Counting::start(&redis, 8, "pipeline", How::Pipeline);
    single.progress(100).await;
    let reload = async {
        server.admin().await.run("DEBUG RELOAD").await;
    };
    let scripts = async {
        let mut eval = redis::cmd("EVAL");
        eval.arg("return redis.call('INCR', KEYS[1])").arg(1).arg("script");
        let mut runs = 0_u64;
        loop {
            match eval.query_async::<u64>(&mut redis.clone()).await {
                Ok(_) => runs += 1,
                Err(error) => return (runs, error),
            }
        }
    };
    let (runs, error) = within("a script meets LOADING", 10 * SECOND, async { tokio::join!(reload, scripts).1 }).await;
    assert_eq!(error.code(), Some("LOADING"), "{error}");
    single.progress(100).await;
    pipeline.progress(100).await;
    for counted in [single.stop().await, pipeline.stop().await] {
        counted.assert_exact(admin.ask(&format!("GET {}", counted.key)).await);
    }
    assert_eq!(admin.ask::<Option<u64>>("GET script").await.unwrap_or(0), runs);
    let stats = redis.manager().stats();
    assert!(stats.commands.retried > 0, "no command met LOADING: the test proves nothing");
    assert_eq!((stats.counters.links_lost, stats.commands.failed.total()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_commands_wait_for_the_data_until_their_deadline() {
    let mut server = Server::start();
    let mut admin = server.admin().await;
    admin.run("DEBUG POPULATE 6000 filler 50").await;
    let patient = server.connect(server.config().command_timeout(20 * SECOND)).await;
    let hasty = server.connect(server.config().command_timeout(SECOND / 2)).await;
    let _: () = patient.clone().set("key", "saved").await.unwrap();
    admin.run("SAVE").await;
    server.configure("key-load-delay 500");
    server.kill();
    server.restart();
    let mut con = patient.clone();
    let waiting = tokio::spawn(async move { con.get::<_, Option<String>>("key").await });
    let refused = eventually("LOADING reaches whoever cannot wait", 3 * SECOND, async || {
        let error = hasty.clone().get::<_, Option<String>>("key").await.unwrap_err();
        (error.code() == Some("LOADING")).then_some(error)
    })
    .await;
    assert!(!refused.is_io_error(), "{refused}");
    let value = within("the data", 20 * SECOND, waiting).await.unwrap().unwrap();
    assert_eq!(value.as_deref(), Some("saved"));
    assert!(patient.manager().stats().commands.retried > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_serves_on_the_links_that_it_takes_and_is_not_pressed_for_more() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 4).await;
    // The admin's, and two more.
    admin.run("CONFIG SET maxclients 3").await;
    assert_eq!(admin.kill_links().await, 4);
    eventually("it is noticed", 5 * SECOND, async || (redis.manager().counters().links_lost == 4).then_some(())).await;
    links_up(&redis, 2).await;
    let load = Load::start(&redis, 8);
    let before = redis.manager().counters().dial_failures;
    sleep(2 * SECOND).await;
    let failures = redis.manager().counters().dial_failures - before;
    assert!((1..=40).contains(&failures), "{failures} dials failed in 2 s");
    assert_eq!(open_links(&redis), 2);
    assert!(redis.manager().ready() && redis.manager().stats().last_connect_error.is_some());
    admin.run("CONFIG SET maxclients 100").await;
    links_up(&redis, 4).await;
    load.stop().await.assert_unharmed();
}

/// Over TLS a full server says nothing before it closes; over plain TCP it says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_is_quoted() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let config = server.config().tls(Tls::dangerously_unencrypted()).pool_size(1);
    let redis = EntraRedis::connect("localhost", server.plain_port, config).await.unwrap();
    admin.run("CONFIG SET maxclients 1").await;
    let mut events = redis.manager().events();
    assert_eq!(admin.kill_links().await, 1);
    let told = async {
        loop {
            // Now and then the connection is reset before its last words are read.
            if let Event::DialFailed { error, .. } = events.recv().await.unwrap()
                && error.kind() == ErrorKind::Server
            {
                return error.to_string();
            }
        }
    };
    let text = within("its words", 20 * SECOND, told).await;
    assert!(text.contains("max number of clients"), "{text}");
    admin.run("CONFIG SET maxclients 100").await;
    links_up(&redis, 1).await;
}

#[tokio::test]
async fn out_of_memory_is_told_as_it_is_and_tried_once() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 4).await;
    let mut con = redis.clone();
    let _: () = con.set("key", "value").await.unwrap();
    admin.run("CONFIG SET maxmemory 1").await;
    let before = redis.manager().stats().commands.sent;
    let error = con.set::<_, _, ()>("key", "other").await.unwrap_err();
    assert_eq!(error.code(), Some("OOM"), "{error}");
    assert!(!error.is_io_error());
    assert_eq!(con.get::<_, String>("key").await.unwrap(), "value");
    let stats = redis.manager().stats();
    assert_eq!((stats.commands.sent - before, stats.commands.retried, stats.counters.links_lost), (2, 0, 0));
    assert_eq!(stats.commands.failed.total(), 0, "what Redis answers is an answer");
    admin.run("CONFIG SET maxmemory 0").await;
    let _: () = con.set("key", "other").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_is_revoked_is_told_so_and_served_again_when_restored() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    let token = move || {
        counted.fetch_add(1, SeqCst);
        async { AccessToken::opaque("any token", Duration::from_secs(3600), "tester") }
    };
    let tls = Tls::new().ca_pem(&server.ca_pem);
    let redis = server.up(Config::new(Credential::custom(token)).tls(tls).command_timeout(SECOND), 4).await;
    let disabled = ["ACL SETUSER tester off", "CLIENT KILL USER tester"];
    // This closes the user's connections by itself.
    let deleted = ["ACL DELUSER tester"];
    for revocation in [&disabled[..], &deleted] {
        let before = (redis.manager().counters().dial_failures, requests.load(SeqCst));
        for line in revocation {
            admin.run(line).await;
        }
        eventually("all links are down", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
        let called = Instant::now();
        let error = redis.clone().get::<_, Option<String>>("key").await.unwrap_err();
        assert!(error.is_timeout() && called.elapsed() < SECOND + GRACE, "{error}");
        let ours = Error::from_redis(&error).unwrap();
        assert!(ours.to_string().contains("WRONGPASS"), "{ours}");
        sleep(SECOND).await;
        let after = (redis.manager().counters().dial_failures, requests.load(SeqCst));
        assert!(after.0 - before.0 <= 30, "{} dials while revoked", after.0 - before.0);
        assert!(after.1 - before.1 <= 6, "{} token requests while revoked", after.1 - before.1);
        admin.run("ACL SETUSER tester on nopass ~* &* +@all").await;
        eventually("service", 20 * SECOND, async || redis.clone().set::<_, _, ()>("key", 1).await.ok()).await;
    }
    // Each link waits a while after a refusal, the longer the more it had.
    eventually("all links", 30 * SECOND, async || (open_links(&redis) == 4).then_some(())).await;
}

/// A right taken away while connected: Redis's refusal is the caller's, and the link is none the worse for it.
#[tokio::test]
async fn a_missing_permission_is_told_as_it_is() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 4).await;
    let mut con = redis.clone();
    admin.run("ACL SETUSER tester -set").await;
    let error = con.set::<_, _, ()>("key", 1).await.unwrap_err();
    assert_eq!(error.code(), Some("NOPERM"), "{error}");
    admin.run("ACL SETUSER tester +set").await;
    let _: () = con.set("key", 1).await.unwrap();
    let stats = redis.manager().stats();
    assert_eq!((stats.commands.retried, stats.counters.links_lost), (0, 0));
}

/// A server that does not know `HELLO`, or `AUTH`, quotes the start of their arguments, and so of the token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_quotes_the_start_of_the_token_is_not_quoted() {
    const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsImtpZCI6Ik1HTHFqOThWTkxvWGFGZnBKQ0JwZ0I0SmFLcyJ9";
    let pieces: Vec<&str> = (0..TOKEN.len() - 5).map(|start| &TOKEN[start..start + 6]).collect();
    let check = |what: &str, shown: &str| {
        let piece = pieces.iter().find(|piece| shown.contains(**piece));
        assert!(piece.is_none(), "{what} shows {piece:?}: {shown}");
    };
    // A new one each second, so that it is sent by `AUTH` on connections that are open already.
    let number = Arc::new(AtomicU64::new(0));
    let config = |server: &Server, protocol| {
        let number = Arc::clone(&number);
        let token = move || {
            // Longer than what is quoted.
            let token = format!("{TOKEN}.{}{}", "x7Kp".repeat(50), number.fetch_add(1, SeqCst));
            async { AccessToken::opaque(token, 2 * SECOND, "tester") }
        };
        let tls = Tls::new().ca_pem(&server.ca_pem);
        let config = Config::new(Credential::custom(token)).tls(tls).protocol(protocol).pool_size(1);
        config.token_manager(common::by_ratio(0.5)).startup_timeout(2 * SECOND)
    };
    for (unknown, protocol) in [
        ("HELLO", redis::ProtocolVersion::RESP3),
        ("AUTH", redis::ProtocolVersion::RESP2),
        ("AUTH", redis::ProtocolVersion::RESP3),
    ] {
        let mut server = Server::start();
        let before = server.connect(config(&server, protocol)).await;
        let mut events = before.manager().events();
        server.kill();
        server.configure(&format!("rename-command {unknown} \"\""));
        server.restart();
        let told = async || {
            let health = before.manager().health();
            check("health", &format!("{health} {health:?}"));
            let event = events.try_recv().ok()?;
            check("an event", &format!("{event:?}"));
            let (Event::DialFailed { error, .. } | Event::ReauthFailed { error, .. }) = event else {
                return None;
            };
            check("an error", &format!("{error} {error:?}"));
            let text = error.to_string();
            let expected = format!("ERR unknown command '{unknown}'");
            text.contains(&expected).then(|| assert!(!text.contains("args"), "{text}"))
        };
        eventually("its refusal is told", 15 * SECOND, told).await;
        if (unknown, protocol) != ("AUTH", redis::ProtocolVersion::RESP3) {
            let attempt = EntraRedis::connect("localhost", server.port, config(&server, protocol));
            let error = attempt.await.unwrap_err();
            check("`connect`", &format!("{error} {error:?} {}", redis::RedisError::from(error.clone())));
        }
    }
}
