//! Whoever polls the commands, and however seldom: a runtime that stands still, futures that are driven elsewhere.

use common::{Azure, HOUR, SECOND, by_ratio, load::Load, server::Server};
use entra_redis::{
    Config, EntraRedis, Error, ErrorKind, Health, LinkState, Overload, Stage,
    emulator::{Emulator, IdentityFault},
};
use redis::{AsyncCommands, RedisError, RedisResult};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

/// How long after its deadline a command's end may be seen on a busy machine.
const GRACE: Duration = Duration::from_secs(2);

/// No token of two seconds, whose end is in whole ones, lives for so long.
const PAUSE: Duration = Duration::from_millis(3_300);

/// A runtime that runs by itself: for the other side, or for a client whose commands are polled elsewhere.
fn busy_runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A runtime that runs only while somebody drives it.
fn lazy_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// The emulator, which goes on while the client stands still.
fn emulator(lifetime: Duration) -> (Runtime, Azure) {
    let there = busy_runtime();
    let emulator = there.block_on(common::start(common::emulator(lifetime)));
    (there, emulator)
}

async fn count(redis: &EntraRedis) -> RedisResult<u64> {
    redis.clone().incr("count", 1).await
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    (work(), began.elapsed())
}

/// The process sleeps between its commands, and its tokens die meanwhile.
fn commands_after_pauses(config: impl Fn(Config) -> Config, rounds: u64) {
    let (_there, emulator) = emulator(2 * SECOND);
    let here = lazy_runtime();
    let redis = here.block_on(emulator.connect(config(emulator.config())));
    for round in 1..=rounds {
        // Several commands a round: the first one after the pause is not the only one to find things as they were.
        for n in 1..=5 {
            let (counted, took) = timed(|| here.block_on(count(&redis)));
            assert_eq!(counted.unwrap(), (round - 1) * 5 + n, "round {round}");
            assert!(took < 3 * SECOND, "round {round}: {took:?}");
        }
        thread::sleep(PAUSE);
    }
    let stats = redis.manager().stats();
    assert_eq!((stats.commands.failed.total(), stats.counters.token_failures), (0, 0));
    assert!(stats.counters.tokens_fetched >= rounds, "{} tokens", stats.counters.tokens_fetched);
    drop(redis);
}

#[test]
fn a_program_that_drives_its_runtime_for_each_command_loses_none_after_a_pause() {
    thread::scope(|scope| {
        scope.spawn(|| commands_after_pauses(|config| config, 4));
        scope.spawn(|| commands_after_pauses(|config| config.pool_size(1).token_manager(by_ratio(0.7)), 4));
        scope.spawn(|| commands_after_pauses(|config| config.token_manager(by_ratio(0.7)), 4));
    });
}

#[test]
fn a_runtime_that_is_blocked_past_a_tokens_end_loses_nothing() {
    let blocked = |here: Runtime| {
        let (_there, emulator) = emulator(2 * SECOND);
        here.block_on(async {
            let redis = emulator.connect(emulator.config().token_manager(by_ratio(0.7))).await;
            let load = Load::start(&redis, 64);
            for _ in 0..3 {
                common::eventually("load", 5 * SECOND, async || (load.commands() > 1_000).then_some(())).await;
                tokio::spawn(async { thread::sleep(PAUSE) }).await.unwrap();
                let before = load.commands();
                common::eventually("load", 5 * SECOND, async || (load.commands() > before + 1_000).then_some(())).await;
            }
            load.stop().await.assert_unharmed();
            let counters = redis.manager().counters();
            assert!(counters.links_lost >= 4, "no token has died: the test proves nothing");
        });
    };
    thread::scope(|scope| {
        scope.spawn(|| blocked(lazy_runtime()));
        scope.spawn(|| blocked(Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()));
    });
}

/// Redis has accepted the new token in time, and nobody was there to read it.
#[test]
fn a_connection_whose_new_token_was_accepted_during_a_pause_stays() {
    let lifetime = 4 * SECOND;
    let (_there, emulator) = emulator(lifetime);
    let here = lazy_runtime();
    let config = emulator.config().pool_size(2).token_manager(by_ratio(0.5));
    let began = Instant::now();
    let redis = here.block_on(emulator.connect(config));
    here.block_on(common::links_up(&redis, 2));
    emulator.redis_front().auth_delay(SECOND / 2);
    let asked = async || {
        let links = redis.manager().stats().links;
        links.iter().find(|link| link.state == LinkState::Reauthenticating && link.in_flight > 0).map(|link| link.link)
    };
    let link = here.block_on(async {
        let link = common::eventually("an AUTH is under way", lifetime, asked).await;
        // It leaves this process: the link's task, which has been woken, runs before this goes on.
        tokio::task::yield_now().await;
        link
    });
    thread::sleep((lifetime + SECOND / 4).saturating_sub(began.elapsed()));
    here.block_on(count(&redis)).unwrap();
    // The other one's token has died.
    let lost = async || (redis.manager().counters().links_lost > 0).then_some(());
    here.block_on(common::eventually("a link is lost", 2 * SECOND, lost));
    let links = redis.manager().stats().links;
    let survivor = links.iter().find(|other| other.link == link);
    assert!(survivor.is_some_and(|link| link.reauths > 0), "{links:?}");
}

/// What the server closed meanwhile is read before anything is written, whatever the token.
#[test]
fn a_connection_that_was_closed_during_a_pause_costs_no_command() {
    let (_there, emulator) = emulator(HOUR);
    let here = lazy_runtime();
    let redis = here.block_on(emulator.connect(emulator.config()));
    here.block_on(common::links_up(&redis, 4));
    for n in 1..=20 {
        thread::sleep(SECOND / 10);
        emulator.redis_front().cut_all();
        thread::sleep(SECOND / 20);
        assert_eq!(here.block_on(count(&redis)).unwrap(), n);
    }
}

/// Only a request that fails after the pause says that there is no token; and each command is a step towards the next
/// one.
#[test]
fn a_renewal_that_fails_after_a_pause_fails_commands_at_once_and_heals() {
    let (_there, emulator) = emulator(2 * SECOND);
    let here = lazy_runtime();
    let redis = here.block_on(emulator.connect(emulator.config().token_manager(by_ratio(0.7))));
    here.block_on(count(&redis)).unwrap();
    emulator.identity().fault_all(Some(IdentityFault::WrongSecret));
    thread::sleep(PAUSE);
    for n in 0..20 {
        let (refused, took) = timed(|| here.block_on(count(&redis)));
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), redis::ErrorKind::AuthenticationFailed, "{refused}");
        assert!(refused.to_string().contains("AADSTS7000215"), "{refused}");
        assert!(took < SECOND, "{n}: {took:?}");
        thread::sleep(SECOND / 20);
    }
    assert!(matches!(redis.manager().health(), Health::Down { reason, .. } if reason.contains("AADSTS7000215")));
    emulator.identity().fault_all(None);
    let began = Instant::now();
    while here.block_on(count(&redis)).is_err() {
        assert!(began.elapsed() < 10 * SECOND, "it does not heal");
        thread::sleep(SECOND / 10);
    }
    let requests = emulator.identity().requests();
    assert!(requests < 40, "{requests} requests");
}

/// A token that is late is waited for, and what is waited for is said.
#[test]
fn a_renewal_that_is_not_answered_is_waited_for_until_the_commands_deadline() {
    let (_there, emulator) = emulator(2 * SECOND);
    let here = lazy_runtime();
    let config = emulator.config().token_manager(by_ratio(0.7)).command_timeout(SECOND / 2);
    let redis = here.block_on(emulator.connect(config));
    emulator.identity().fault_all(Some(IdentityFault::Hang));
    thread::sleep(PAUSE);
    let (late, took) = timed(|| here.block_on(count(&redis)));
    assert_timed_out(&late.unwrap_err(), "the next one has not been answered yet");
    assert!(took >= SECOND / 2 && took < SECOND / 2 + GRACE, "{took:?}");
    assert!(matches!(redis.manager().health(), Health::Down { reason, .. } if reason.contains("has expired")));
}

/// Nobody has read the reply that makes room until somebody drives the runtime.
#[test]
fn a_program_that_is_overloaded_gets_over_it_by_its_own_commands() {
    let server = Server::start();
    let here = lazy_runtime();
    let redis = here.block_on(server.connect(server.config().max_in_flight(1).pool_size(1)));
    let mut con = redis.clone();
    here.block_on(async {
        let mut slow = con.incr::<_, _, u64>("count", 1);
        // It is on its way when its caller gives up.
        assert!(futures_util::poll!(&mut slow).is_pending());
        tokio::task::yield_now().await;
    });
    thread::sleep(SECOND / 10);
    let refused = (0..10).take_while(|_| here.block_on(count(&redis)).is_err()).count();
    assert!(refused < 5, "overloaded by a command that was answered long ago");
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Drives a future on this thread, with nothing of tokio's.
fn bare<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// Has `check` drive commands by a bare executor, and by a runtime without timers.
fn elsewhere(check: impl Fn(&dyn Fn(&EntraRedis) -> RedisResult<u64>)) {
    check(&|redis| bare(count(redis)));
    check(&|redis| Builder::new_current_thread().build().unwrap().block_on(count(redis)));
}

fn assert_timed_out(error: &RedisError, why: &str) {
    assert_eq!(Error::from_redis(error).map(Error::kind), Some(ErrorKind::Timeout(Stage::Command)), "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn commands_that_wait_for_a_connection_may_be_polled_anywhere() {
    let (there, emulator) = emulator(HOUR);
    elsewhere(|count| {
        let config = emulator.config().command_timeout(SECOND / 2);
        let redis = there.block_on(emulator.connect(config));
        there.block_on(common::links_up(&redis, 4));
        count(&redis).unwrap();
        emulator.redis_front().refuse_connections(true);
        emulator.redis_front().cut_all();
        let gone = async || (!redis.manager().ready()).then_some(());
        there.block_on(common::eventually("the outage is noticed", 5 * SECOND, gone));
        let (waited, took) = timed(|| count(&redis));
        assert_timed_out(&waited.unwrap_err(), "no connection to Redis");
        assert!(took >= SECOND / 2 && took < SECOND / 2 + GRACE, "{took:?}");
        emulator.redis_front().refuse_connections(false);
        let began = Instant::now();
        while count(&redis).is_err() {
            assert!(began.elapsed() < 10 * SECOND, "it does not heal");
        }
    });
}

#[test]
fn commands_that_are_sent_again_later_may_be_polled_anywhere() {
    let server = Server::start();
    let there = busy_runtime();
    let redis = there.block_on(server.connect(server.config().command_timeout(SECOND / 2)));
    let mut admin = there.block_on(server.admin());
    elsewhere(|count| _ = count(&redis).unwrap());
    for line in ["CONFIG SET replica-serve-stale-data no", "CONFIG SET replica-read-only no", "REPLICAOF 127.0.0.1 1"] {
        there.block_on(admin.run(line));
    }
    elsewhere(|count| {
        let before = redis.manager().stats().commands.retried;
        let (refused, took) = timed(|| count(&redis));
        assert_eq!(refused.unwrap_err().code(), Some("MASTERDOWN"));
        assert!(took < SECOND / 2 + GRACE, "{took:?}");
        assert!(redis.manager().stats().commands.retried > before, "it was not sent again: the test proves nothing");
    });
}

#[test]
fn commands_that_wait_for_room_and_shutdown_may_be_polled_anywhere() {
    let server = Server::start();
    let there = busy_runtime();
    let config = server.config().overload(Overload::Wait).max_in_flight(1).command_timeout(SECOND / 2).pool_size(1);
    let redis = there.block_on(server.connect(config.shutdown_timeout(SECOND)));
    server.freeze();
    let mut con = redis.clone();
    let first = there.spawn(async move { con.incr::<_, _, u64>("count", 1).await });
    let full = async || (redis.manager().stats().commands.in_flight == 1).then_some(());
    there.block_on(common::eventually("it is full", 5 * SECOND, full));
    elsewhere(|count| {
        let (waited, took) = timed(|| count(&redis));
        assert_timed_out(&waited.unwrap_err(), "max_in_flight");
        assert!(took >= SECOND / 2 && took < SECOND / 2 + GRACE, "{took:?}");
    });
    there.block_on(first).unwrap().unwrap_err();
    let ((), took) = timed(|| bare(redis.shutdown()));
    assert!(took < SECOND + GRACE, "{took:?}");
    Builder::new_current_thread().build().unwrap().block_on(redis.shutdown());
    let closed = bare(count(&redis)).unwrap_err();
    assert_eq!(Error::kind_of(&closed), Some(ErrorKind::Closed), "{closed}");
    server.thaw();
}

/// The error of an aborted transaction is made in a way of its own.
#[test]
fn a_transaction_that_is_aborted_may_be_polled_anywhere() {
    let server = Server::start();
    let there = busy_runtime();
    let redis = there.block_on(server.connect(server.config()));
    let transaction = || async {
        let mut pipeline = redis::pipe();
        pipeline.atomic().cmd("INCR").arg("count").cmd("INCR").arg("too").arg("many");
        pipeline.query_async::<()>(&mut redis.clone()).await
    };
    let none = Builder::new_current_thread().build().unwrap();
    for aborted in [bare(transaction()), none.block_on(transaction())] {
        assert_eq!(aborted.unwrap_err().code(), Some("EXECABORT"));
    }
}

/// Drains in time, whoever waits for it.
#[test]
fn a_shutdown_that_has_to_wait_may_be_polled_anywhere() {
    let server = Server::start();
    let there = busy_runtime();
    let config = server.config().command_timeout(20 * SECOND).shutdown_timeout(SECOND / 2);
    let redis = there.block_on(server.connect(config));
    server.freeze();
    let mut con = redis.clone();
    let cut_off = there.spawn(async move { con.incr::<_, _, u64>("count", 1).await });
    let sent = async || (redis.manager().stats().commands.in_flight == 1).then_some(());
    there.block_on(common::eventually("it is sent", 5 * SECOND, sent));
    let ((), took) = timed(|| bare(redis.shutdown()));
    assert!(took >= SECOND / 2 && took < SECOND / 2 + GRACE, "{took:?}");
    there.block_on(cut_off).unwrap().unwrap_err();
    server.thaw();
}

/// The end of the runtime is the end of the client: commands say so, those that wait at that moment included.
#[test]
fn commands_of_a_runtime_that_has_ended_say_so() {
    let (_there, emulator) = emulator(HOUR);
    for runtime in [busy_runtime(), lazy_runtime()] {
        let redis = runtime.block_on(emulator.connect(emulator.config()));
        runtime.block_on(common::links_up(&redis, 4));
        runtime.block_on(count(&redis)).unwrap();
        emulator.redis_front().refuse_connections(true);
        emulator.redis_front().cut_all();
        let gone = async || (!redis.manager().ready()).then_some(());
        runtime.block_on(common::eventually("the outage is noticed", 5 * SECOND, gone));
        let waiting = (0..4).map(|_| {
            let redis = redis.clone();
            thread::spawn(move || bare(count(&redis)))
        });
        let waiting: Vec<_> = waiting.collect();
        let all = async || (redis.manager().stats().commands.waiting == 4).then_some(());
        runtime.block_on(common::eventually("they wait", 4 * SECOND, all));
        let (ended, took) = timed(|| {
            drop(runtime);
            waiting.into_iter().map(|waiting| waiting.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(took < GRACE, "{took:?}");
        for ended in ended.into_iter().chain([bare(count(&redis))]) {
            let error = ended.unwrap_err();
            assert_eq!(Error::kind_of(&error), Some(ErrorKind::Closed), "{error}");
        }
        assert_eq!(redis.manager().health(), Health::Stopped);
        bare(redis.shutdown());
        emulator.redis_front().refuse_connections(false);
    }
}

/// On a cluster as well, and for whoever waits for a connection alone.
#[test]
fn a_command_that_waits_for_a_connection_alone_says_that_its_runtime_has_ended() {
    let there = busy_runtime();
    let azure = there.block_on(common::start(Emulator::builder().embedded_cluster(3)));
    let runtime = busy_runtime();
    let redis = runtime.block_on(azure.connect(azure.config().max_leased(1)));
    let _only = runtime.block_on(redis.dedicated()).unwrap();
    let mut waiting = pin!(redis.dedicated());
    let none = Waker::noop();
    assert!(waiting.as_mut().poll(&mut Context::from_waker(none)).is_pending(), "there is one connection");
    let (ended, took) = timed(|| {
        drop(runtime);
        bare(waiting)
    });
    assert!(took < GRACE, "{took:?}");
    let error = ended.unwrap_err();
    assert_eq!(Error::kind_of(&error), Some(ErrorKind::Closed), "{error}");
}

#[test]
fn a_connect_without_a_runtime_is_an_error() {
    let (_there, emulator) = emulator(HOUR);
    let error = bare(emulator.try_connect(emulator.config())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
}
