//! Shutdown under load, while a token rotates, while links are down, while something hangs: it drains, and then it
//! ends.

use common::{
    SECOND, by_ratio,
    counting::{Counting, How},
    eventually, links_up, rotations,
    server::Server,
    tasks, within,
};
use entra_redis::{
    AccessToken, Config, Credential, EntraRedis, Error, ErrorKind, Event, LinkState, Overload,
    emulator::{AuthFault, Emulator, FrontConnection},
};
use futures_util::{FutureExt, future::join_all, poll};
use redis::{AsyncCommands, RedisError, RedisResult};
use std::{
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// How long after its deadline an end may be seen on a busy machine.
const GRACE: Duration = Duration::from_secs(2);

/// Reads that are under way, or wait to be.
fn reads(redis: &EntraRedis, count: usize) -> Vec<JoinHandle<RedisResult<Option<String>>>> {
    let read = |_| {
        let mut con = redis.clone();
        tokio::spawn(async move { con.get::<_, Option<String>>("key").await })
    };
    (0..count).map(read).collect()
}

async fn until_in_flight(redis: &EntraRedis, count: usize) {
    eventually("so many commands are in flight", 5 * SECOND, async || {
        (redis.manager().stats().commands.in_flight == count).then_some(())
    })
    .await;
}

fn assert_refused(error: &RedisError) {
    assert_eq!(error.kind(), redis::ErrorKind::Client, "{error}");
    assert!(error.to_string().contains("shut down"), "{error}");
    assert!(!error.is_io_error() && !error.is_timeout(), "{error}");
    assert_eq!(Error::kind_of(error), Some(ErrorKind::Closed));
}

/// What everybody sees of a handle that has been shut down, though it is still there.
async fn assert_ended(redis: &EntraRedis, tasks_before: usize) {
    assert!(!redis.manager().ready() && !redis.manager().health().is_alive());
    assert_refused(&redis.clone().get::<_, Option<String>>("key").await.unwrap_err());
    within("another shutdown", SECOND / 2, redis.shutdown()).await;
    assert!(redis.manager().stats().links.is_empty());
    eventually("tasks are gone", 2 * SECOND, async || (tasks() <= tasks_before).then_some(())).await;
}

/// Not a moment later: a runtime that is dropped next has nothing to cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_it_returns_every_task_has_ended() {
    let server = Server::start();
    for _ in 0..20 {
        let before = tasks();
        let redis = server.up(server.config(), 16).await;
        let _: () = redis.clone().set("key", 1).await.unwrap();
        let mut events = redis.manager().events();
        redis.shutdown().await;
        let told = std::iter::from_fn(|| events.try_recv().ok());
        assert_eq!(told.filter(|event| matches!(event, Event::LinkDrained { .. })).count(), 16);
        // Each of the two threads may be about to cross one off the runtime's list.
        assert!(tasks() <= before + 2, "{} tasks are left", tasks() - before);
        eventually("the list is up to date", SECOND, async || (tasks() == before).then_some(())).await;
    }
}

/// Several callers, of whom one gives up; while tokens rotate, and links wait for the reply to their AUTH.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_and_during_a_rotation_everything_in_flight_is_answered_and_nothing_runs_after() {
    let emulator = common::start(common::emulator(2 * SECOND)).await;
    emulator.redis_front().auth_delay(Duration::from_millis(200));
    let before = tasks();
    let redis = emulator.up(emulator.config().token_manager(by_ratio(0.5)), 4).await;
    let load = [("single", How::Single), ("pipeline", How::Pipeline), ("transaction", How::Transaction)];
    let load = load.map(|(key, how)| Counting::start(&redis, 16, key, how));
    rotations(&redis, 2, 20 * SECOND).await;
    for counting in &load {
        counting.progress(100).await;
    }
    eventually("a link is in its re-AUTH", 10 * SECOND, async || {
        redis.manager().stats().links.iter().any(|link| link.state == LinkState::Reauthenticating).then_some(())
    })
    .await;
    let gives_up = tokio::spawn({
        let redis = redis.clone();
        async move { redis.shutdown().await }
    });
    tokio::task::yield_now().await;
    gives_up.abort();
    within("shutdown", 3 * SECOND, join_all((0..8).map(|_| redis.shutdown()))).await;
    let mut refused = 0;
    let mut counts = Vec::new();
    for counting in load {
        eventually("it is refused", SECOND, async || (counting.errors() > 0).then_some(())).await;
        let counted = counting.stop().await;
        counted.errors.iter().for_each(assert_refused);
        refused += counted.errors.len() as u64;
        counts.push((counted.key, counted.done));
    }
    let commands = redis.manager().stats().commands;
    assert_eq!((commands.in_flight, commands.failed.closed, commands.failed.total()), (0, refused, refused));
    eventually("connections are closed", 5 * SECOND, async || {
        (emulator.redis_front().connection_count() == 0).then_some(())
    })
    .await;
    assert_ended(&redis, before).await;

    let reader = emulator.up(emulator.config(), 4).await;
    for (key, done) in counts {
        assert_eq!(reader.clone().get::<_, u64>(key).await.unwrap(), done, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_waited_for_no_longer_than_a_commands_deadline() {
    let limit = Duration::from_millis(1500);
    let server = Server::start();
    let mut admin = server.admin().await;
    let before = tasks();
    let config = server.config().command_timeout(limit).max_in_flight(10).overload(Overload::Wait);
    let redis = server.connect(config).await;
    links_up(&redis, 4).await;
    server.freeze();
    let sent = reads(&redis, 10);
    until_in_flight(&redis, 10).await;
    let waiting = reads(&redis, 5);
    let called = Instant::now();
    let shutdown = tokio::spawn({
        let redis = redis.clone();
        async move { redis.shutdown().await }
    });
    for call in waiting {
        assert_refused(&within("who waits for room is refused", SECOND, call).await.unwrap().unwrap_err());
    }
    assert!(!shutdown.is_finished(), "it did not wait for what is in flight");
    within("shutdown", limit + GRACE, shutdown).await.unwrap();
    assert!(called.elapsed() > limit / 2, "{:?}", called.elapsed());
    for call in sent {
        let error = within("an end", GRACE, call).await.unwrap().unwrap_err();
        assert!(error.is_timeout() || error.is_connection_dropped(), "{error}");
    }
    assert_ended(&redis, before).await;
    server.thaw();
    admin.links_gone().await;
}

/// A limit of its own, which is shorter: what has no answer by then is lost, as with a broken connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_no_longer_than_its_own_limit() {
    let server = Server::start();
    let before = tasks();
    let config = server.config().command_timeout(60 * SECOND).shutdown_timeout(SECOND);
    let redis = server.connect(config).await;
    links_up(&redis, 4).await;
    server.freeze();
    let sent = reads(&redis, 10);
    until_in_flight(&redis, 10).await;
    let called = Instant::now();
    within("shutdown", SECOND + GRACE, redis.shutdown()).await;
    assert!(called.elapsed() >= SECOND, "{:?}", called.elapsed());
    for call in sent {
        let error = within("an end", GRACE, call).await.unwrap().unwrap_err();
        assert!(error.is_connection_dropped(), "{error}");
    }
    assert_ended(&redis, before).await;
    server.thaw();
}

/// A re-AUTH that is never answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_hangs_does_not_hold_it_up() {
    let emulator = common::start(Emulator::builder().token_lifetime(3 * SECOND)).await;
    let before = tasks();
    let config = emulator.config().command_timeout(SECOND).auth_timeout(30 * SECOND);
    let redis = emulator.up(config.token_manager(by_ratio(0.3)), 4).await;
    emulator.redis_front().script_auth(vec![AuthFault::Silent; 8]);
    eventually("a link is in its re-AUTH", 10 * SECOND, async || {
        redis.manager().stats().links.iter().any(|link| link.state == LinkState::Reauthenticating).then_some(())
    })
    .await;
    within("shutdown", SECOND + GRACE, redis.shutdown()).await;
    assert_ended(&redis, before).await;
}

/// No link is up, and none can be had: those who wait for one are refused at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_a_reconnect_it_ends_at_once_for_everybody() {
    let emulator = common::start(Emulator::builder()).await;
    let before = tasks();
    let redis = emulator.up(emulator.config().command_timeout(30 * SECOND), 4).await;
    emulator.redis_front().refuse_connections(true);
    emulator.redis_front().cut_all();
    eventually("dials fail", 5 * SECOND, async || (redis.manager().counters().dial_failures > 0).then_some(())).await;
    eventually("no link is up", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
    let waiting = reads(&redis, 20);
    until_in_flight(&redis, 20).await;
    within("shutdown", SECOND, redis.shutdown()).await;
    for call in waiting {
        assert_refused(&within("a refusal", SECOND, call).await.unwrap().unwrap_err());
    }
    let failed = redis.manager().stats().commands.failed;
    assert_eq!((failed.closed, failed.total()), (20, 20));
    let dials = redis.manager().counters().dial_failures;
    assert_ended(&redis, before).await;
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(redis.manager().counters().dial_failures, dials, "it still dials");
}

/// A lone link's standby leaves when the re-AUTH is through; what was sent on it counts for `shutdown` as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_a_link_that_has_left_is_answered_too() {
    let emulator = common::start(common::emulator(Duration::from_secs(3600))).await;
    let before = tasks();
    let config = emulator.config().pool_size(1).command_timeout(30 * SECOND);
    let redis = emulator.connect(config).await;
    let mut events = redis.manager().events();
    emulator.redis_front().auth_delay(2 * SECOND);
    redis.manager().refresh_token();
    let mut until = async |what, wished: fn(&Event) -> bool| {
        let wished = async { while !wished(&events.recv().await.unwrap()) {} };
        within(what, 10 * SECOND, wished).await;
    };
    until("a standby", |event| matches!(event, Event::LinkUp { .. })).await;
    eventually("the other one is in its re-AUTH", 5 * SECOND, async || {
        redis.manager().stats().links.iter().any(|link| link.state == LinkState::Reauthenticating).then_some(())
    })
    .await;
    let paused = Instant::now();
    let pause = ["PAUSE", "5000", "WRITE"];
    let _: String = redis::cmd("CLIENT").arg(&pause).query_async(&mut redis.clone()).await.unwrap();
    let mut con = redis.clone();
    let slow = tokio::spawn(async move { con.set::<_, _, ()>("key", 1).await });
    eventually("it is on the standby", SECOND, async || {
        redis.manager().stats().links.iter().any(|link| link.is_open() && link.in_flight == 1).then_some(())
    })
    .await;
    until("it leaves", |event| matches!(event, Event::LinkRetired { .. })).await;
    assert!(!slow.is_finished() && redis.manager().stats().links.iter().all(|link| link.in_flight == 0));
    within("shutdown", 10 * SECOND, redis.shutdown()).await;
    assert!(paused.elapsed() >= 5 * SECOND, "it did not wait for the command");
    slow.await.unwrap().expect("a command in flight gets its reply");
    assert_ended(&redis, before).await;
}

/// Its caller has started it, and waits for the shutdown by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_waits_behind_another_and_is_not_polled_does_not_hold_it_up() {
    let emulator = common::start(common::emulator(4 * SECOND)).await;
    let tokens = by_ratio(0.9).min_refresh_interval(SECOND / 50);
    let config = emulator.config().token_manager(tokens).command_timeout(20 * SECOND).shutdown_timeout(SECOND / 2);
    let redis = emulator.up(config, 4).await;
    emulator.redis_front().connections().into_iter().min_by_key(FrontConnection::id).unwrap().freeze();
    let mut writer = redis.clone();
    {
        let mut given_up = writer.set::<_, _, ()>("key", "old").boxed();
        assert!(poll!(&mut given_up).is_pending());
    }
    redis.manager().refresh_token();
    eventually("the link takes no commands", 5 * SECOND, async || {
        redis.manager().stats().links.iter().any(|link| link.link == 1 && !link.is_open()).then_some(())
    })
    .await;
    let mut waiting = writer.set::<_, _, ()>("key", "new").boxed();
    assert!(tokio::time::timeout(SECOND / 10, &mut waiting).await.is_err(), "it waits for the one before");
    within("shutdown", SECOND / 2 + GRACE, redis.shutdown()).await;
    assert_refused(&waiting.await.unwrap_err());
}

/// Where a dial hangs: at the name service, and at a port where nobody speaks TLS or anything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dial_that_hangs_does_not_hold_it_up() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = silent.local_addr().unwrap();
    for named in [None, Some(address)] {
        let mut server = Server::start();
        let before = tasks();
        let (links, asked) = (4, Arc::new(AtomicUsize::new(0)));
        let port = server.port;
        let count = Arc::clone(&asked);
        let resolver = move |_, _| {
            // The first links go to the server, and none after them.
            let hangs = count.fetch_add(1, SeqCst) >= links;
            async move {
                match (hangs, named) {
                    (false, _) => io::Result::Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]),
                    (true, Some(address)) => Ok(vec![address]),
                    (true, None) => pending().await,
                }
            }
        };
        let config = server.config().resolver(resolver).command_timeout(30 * SECOND).connect_timeout(30 * SECOND);
        let redis = server.connect(config).await;
        links_up(&redis, links).await;
        server.kill();
        eventually("dials hang", 5 * SECOND, async || (asked.load(SeqCst) > links).then_some(())).await;
        eventually("no link is up", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
        let waiting = reads(&redis, 5);
        until_in_flight(&redis, 5).await;
        within("shutdown", SECOND, redis.shutdown()).await;
        for call in waiting {
            assert_refused(&within("a refusal", SECOND, call).await.unwrap().unwrap_err());
        }
        assert_ended(&redis, before).await;
    }
}

/// A HELLO that is never answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authentication_that_hangs_does_not_hold_it_up() {
    let emulator = common::start(Emulator::builder()).await;
    let before = tasks();
    let redis = emulator.up(emulator.config().auth_timeout(30 * SECOND), 4).await;
    emulator.redis_front().script_first_auth(vec![AuthFault::Silent; 8]);
    let accepted = emulator.redis_front().stats().accepted;
    emulator.redis_front().cut_all();
    eventually("links are dialed", 5 * SECOND, async || {
        (emulator.redis_front().stats().accepted > accepted).then_some(())
    })
    .await;
    eventually("no link is up", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
    within("shutdown", SECOND, redis.shutdown()).await;
    assert_ended(&redis, before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_request_that_hangs_does_not_hold_it_up() {
    let emulator = common::start(Emulator::builder()).await;
    let jwt = emulator.identity().issue_token().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&requests);
    let token = move || {
        let first = asked.fetch_add(1, SeqCst) == 0;
        let token = AccessToken::from_jwt(jwt.clone());
        async move { if first { token } else { pending().await } }
    };
    let before = tasks();
    let redis = emulator.up(Config::new(Credential::custom(token)).tls(emulator.tls()), 4).await;
    redis.manager().refresh_token();
    eventually("a token is asked for", 10 * SECOND, async || (requests.load(SeqCst) > 1).then_some(())).await;
    within("shutdown", SECOND, redis.shutdown()).await;
    assert_ended(&redis, before).await;
}
