//! More commands than Redis keeps up with: the number in flight is bounded, and what happens to the rest is clear.

use common::{SECOND, eventually, links_up, server::Server, within};
use entra_redis::{EntraRedis, Error, ErrorKind, Overload, Stage};
use redis::{AsyncCommands, RedisError, RedisResult};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// How long after its deadline a command's end may be seen on a busy machine.
const GRACE: Duration = Duration::from_secs(2);

/// Increments that are under way until Redis answers.
fn increments(redis: &EntraRedis, count: usize) -> Vec<JoinHandle<RedisResult<u64>>> {
    let increment = |_| {
        let mut con = redis.clone();
        tokio::spawn(async move { con.incr::<_, _, u64>("count", 1).await })
    };
    (0..count).map(increment).collect()
}

fn in_flight(redis: &EntraRedis) -> usize {
    redis.manager().stats().commands.in_flight
}

async fn until_in_flight(redis: &EntraRedis, count: usize) {
    eventually("so many commands are in flight", 5 * SECOND, async || (in_flight(redis) == count).then_some(())).await;
}

fn assert_overloaded(error: &RedisError) {
    assert_eq!(Error::from_redis(error).map(Error::kind), Some(ErrorKind::Overloaded), "{error}");
    assert!(error.is_io_error() && !error.is_connection_dropped() && !error.is_timeout(), "{error}");
    assert!(error.to_string().contains("max_in_flight"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_too_many_is_refused_at_once() {
    let server = Server::start();
    let config = server.config().max_in_flight(100).command_timeout(20 * SECOND);
    let redis = server.connect(config).await;
    links_up(&redis, 4).await;
    server.freeze();
    let admitted = increments(&redis, 100);
    until_in_flight(&redis, 100).await;
    let called = Instant::now();
    for refused in increments(&redis, 10) {
        assert_overloaded(&refused.await.unwrap().unwrap_err());
    }
    let pipeline = redis::pipe().incr("count", 1).incr("count", 1).query_async::<()>(&mut redis.clone()).await;
    assert_overloaded(&pipeline.unwrap_err());
    assert!(called.elapsed() < SECOND, "{:?}", called.elapsed());

    // Those who give up leave their commands behind, and Redis has them still to answer.
    let (given_up, waiting) = admitted.split_at(50);
    given_up.iter().for_each(JoinHandle::abort);
    eventually("they are gone", SECOND, async || given_up.iter().all(JoinHandle::is_finished).then_some(())).await;
    assert_eq!(in_flight(&redis), 100);
    assert_overloaded(&redis.clone().incr::<_, _, u64>("count", 1).await.unwrap_err());

    server.thaw();
    eventually("everybody else is served", 5 * SECOND, async || {
        waiting.iter().all(JoinHandle::is_finished).then_some(())
    })
    .await;
    for served in admitted.into_iter().skip(50) {
        served.await.unwrap().unwrap();
    }
    until_in_flight(&redis, 0).await;
    assert_eq!(redis.clone().incr::<_, _, u64>("count", 1).await.unwrap(), 101);
    let failed = redis.manager().stats().commands.failed;
    assert_eq!((failed.overloaded, failed.total()), (12, 12));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_too_many_waits_for_room_if_that_is_wished() {
    let server = Server::start();
    let config = server.config().max_in_flight(50).overload(Overload::Wait).command_timeout(20 * SECOND);
    let redis = server.connect(config).await;
    links_up(&redis, 4).await;
    server.freeze();
    let admitted = increments(&redis, 50);
    until_in_flight(&redis, 50).await;
    let waiting = increments(&redis, 30);
    let before = busy();
    tokio::time::sleep(SECOND / 2).await;
    let spent = busy().saturating_sub(before);
    assert!(waiting.iter().all(|command| !command.is_finished()), "one was not made to wait");
    assert_eq!(in_flight(&redis), 50);
    server.thaw();
    for served in admitted.into_iter().chain(waiting) {
        within("room", 10 * SECOND, served).await.unwrap().unwrap();
    }
    assert!(spent < SECOND / 4, "the threads were busy for {spent:?} with waiting");

    // Ten times as many as there is room for, all the time: everybody is served in turn.
    let callers = (0..500).map(|_| {
        let mut con = redis.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                con.incr::<_, _, u64>("count", 1).await.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        within("everybody is served", 30 * SECOND, caller).await.unwrap();
    }
    assert_eq!(redis.clone().incr::<_, _, u64>("count", 1).await.unwrap(), 50 + 30 + 5_000 + 1);
    until_in_flight(&redis, 0).await;
    assert_eq!(redis.manager().stats().commands.failed.total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_room_waits_to_the_deadline_at_most() {
    let limit = Duration::from_millis(1500);
    let server = Server::start();
    let config = server.config().max_in_flight(10).overload(Overload::Wait).command_timeout(limit);
    let redis = server.connect(config).await;
    links_up(&redis, 4).await;
    server.freeze();
    let mut calls = increments(&redis, 10);
    until_in_flight(&redis, 10).await;
    let called = Instant::now();
    calls.extend(increments(&redis, 10));
    for call in calls {
        let error = within("a command's deadline", limit + GRACE, call).await.unwrap().unwrap_err();
        assert!(error.is_timeout(), "{error}");
        assert_eq!(Error::from_redis(&error).map(Error::kind), Some(ErrorKind::Timeout(Stage::Command)));
    }
    assert!(called.elapsed() > limit / 2 && called.elapsed() < limit + GRACE, "{:?}", called.elapsed());
    server.thaw();
    eventually("service", 10 * SECOND, async || redis.clone().set::<_, _, ()>("key", 1).await.ok()).await;
    eventually("nothing is in flight", 10 * SECOND, async || (in_flight(&redis) == 0).then_some(())).await;
}

/// They have their places already, however many others there are that want them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_had_not_left_a_dying_link_go_over_another_one() {
    const MOST: usize = 64;
    let mut server = Server::start();
    let redis = server.connect(server.config().max_in_flight(MOST).command_timeout(20 * SECOND)).await;
    for _ in 0..3 {
        links_up(&redis, 4).await;
        server.freeze();
        // More than what sockets hold.
        let value = Arc::new(vec![b'x'; 1 << 20]);
        let calls = (0..MOST).map(|key| {
            let (mut con, value) = (redis.clone(), Arc::clone(&value));
            tokio::spawn(async move { con.set::<_, _, ()>(key, &**value).await })
        });
        let calls: Vec<_> = calls.collect();
        until_in_flight(&redis, MOST).await;
        let done = Arc::new(AtomicBool::new(false));
        let others = (0..8).map(|_| {
            let (mut con, done) = (redis.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(SeqCst) {
                    if let Err(error) = con.incr::<_, _, u64>("count", 1).await
                        && !error.is_connection_dropped()
                    {
                        assert_overloaded(&error);
                    }
                    tokio::task::yield_now().await;
                }
            })
        });
        let others: Vec<_> = others.collect();
        server.kill();
        server.restart();
        let mut served = 0;
        for call in calls {
            match within("a command's end", 30 * SECOND, call).await.unwrap() {
                Ok(()) => served += 1,
                Err(error) => assert!(error.is_connection_dropped(), "{error}"),
            }
        }
        done.store(true, SeqCst);
        for other in others {
            within("the others' end", 30 * SECOND, other).await.unwrap();
        }
        assert!(served > 0, "all had left: the test proves nothing");
        until_in_flight(&redis, 0).await;
    }
}

/// How long the threads of this runtime have worked so far.
fn busy() -> Duration {
    let metrics = tokio::runtime::Handle::current().metrics();
    (0..metrics.num_workers()).map(|worker| metrics.worker_total_busy_duration(worker)).sum()
}
