//! A future dropped anywhere leaks nothing and shifts nobody's replies.

use common::{
    Fixture, SECOND, eventually, links_up,
    server::{Server, busy_connection},
    tasks, within,
};
use entra_redis::{EntraRedis, Overload, emulator::Emulator};
use fastrand::Rng;
use redis::{AsyncCommands, RedisResult};
use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// Every task draws what it does from a generator of its own; a failure names the task and its turn.
const SEED: u64 = 6;
const TASKS: u64 = 50;
const TURNS: u64 = 2_000;

/// When a future is dropped.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Finishes,
    /// After so many polls, where it then stands.
    AfterPolls(u32),
    After(Duration),
}

impl Fate {
    fn drawn(random: &mut Rng) -> Self {
        match random.u8(..10) {
            0..4 => Self::Finishes,
            4..7 => Self::AfterPolls(random.u32(0..5)),
            _ => Self::After(Duration::from_micros(random.u64(0..3_000))),
        }
    }

    /// The future's output, unless it is dropped before.
    async fn befalls<F: Future>(self, future: F) -> Option<F::Output> {
        match self {
            Self::Finishes => Some(future.await),
            Self::AfterPolls(polls) => polled(future, polls).await,
            Self::After(patience) => timeout(patience, future).await.ok(),
        }
    }
}

async fn polled<F: Future>(future: F, polls: u32) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |cx| {
        if left > 0 {
            left -= 1;
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => return Poll::Ready(Some(output)),
                Poll::Pending if left > 0 => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        Poll::Ready(None)
    })
    .await
}

/// What a task asks for; the answer is in the question.
#[derive(Clone, Copy, Debug)]
enum Question {
    Echo,
    /// With this many bytes more.
    Large(usize),
    Pipeline(usize),
    Transaction(usize),
    /// Its reply is passed over.
    Quiet,
    /// Redis answers with an error.
    Wrong,
}

impl Question {
    fn drawn(random: &mut Rng) -> Self {
        match random.u8(..100) {
            0..60 => Self::Echo,
            60..61 => Self::Large(random.usize(16 << 10..256 << 10)),
            61..78 => Self::Pipeline(random.usize(2..9)),
            78..88 => Self::Transaction(random.usize(2..5)),
            88..94 => Self::Quiet,
            _ => Self::Wrong,
        }
    }

    /// What Redis should answer.
    fn answer(self, mark: &str) -> Vec<String> {
        match self {
            Self::Echo => vec![mark.to_owned()],
            Self::Large(size) => vec![mark.to_owned() + &"x".repeat(size)],
            Self::Pipeline(count) | Self::Transaction(count) => (0..count).map(|n| format!("{mark}/{n}")).collect(),
            Self::Quiet => Vec::new(),
            Self::Wrong => vec!["ERR".to_owned()],
        }
    }

    /// What it does answer.
    async fn ask(self, redis: &mut EntraRedis, answer: &[String]) -> RedisResult<Vec<String>> {
        let mut echo = redis::cmd("ECHO");
        match self {
            Self::Echo | Self::Large(_) => Ok(vec![echo.arg(&answer[0]).query_async(redis).await?]),
            Self::Pipeline(_) | Self::Transaction(_) => {
                let mut pipeline = redis::pipe();
                if matches!(self, Self::Transaction(_)) {
                    pipeline.atomic();
                }
                for text in answer {
                    pipeline.cmd("ECHO").arg(text);
                }
                pipeline.query_async(redis).await
            }
            Self::Quiet => {
                echo.arg("nobody").set_no_response(true).query_async::<()>(redis).await?;
                Ok(Vec::new())
            }
            Self::Wrong => match echo.query_async::<String>(redis).await {
                Err(error) if error.code().is_some() => Ok(error.code().map(str::to_owned).into_iter().collect()),
                other => other.map(|text| vec![text]),
            },
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    right: u64,
    dropped: u64,
    failed: u64,
}

/// One task's turns.
async fn turns(mut redis: EntraRedis, task: u64, spared: bool, hasty: bool) -> Seen {
    let mut random = Rng::with_seed(SEED ^ (task << 32));
    let mut seen = Seen::default();
    for turn in 0..TURNS {
        let (question, fate) = (Question::drawn(&mut random), Fate::drawn(&mut random));
        let fate = if spared { Fate::Finishes } else { fate };
        let answer = question.answer(&format!("{task}:{turn}"));
        match fate.befalls(question.ask(&mut redis, &answer)).await {
            None => seen.dropped += 1,
            // Not `assert_eq`: some are large.
            Some(Ok(replies)) if replies == answer => seen.right += 1,
            Some(Ok(_)) => panic!("task {task}, turn {turn}: {question:?} got somebody else's reply"),
            Some(Err(error)) => {
                let expected = error.is_connection_dropped() || (hasty && error.is_timeout());
                assert!(expected, "task {task}, turn {turn}: {question:?}: {error}");
                seen.failed += 1;
            }
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_operations_dropped_anywhere_leak_nothing_and_shift_no_reply() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let before = tasks();
    let patient = server.connect(server.config().command_timeout(20 * SECOND)).await;
    let hasty = server.connect(server.config().command_timeout(Duration::from_millis(4))).await;
    links_up(&patient, 4).await;
    links_up(&hasty, 4).await;
    let workers = (0..TASKS).map(|task| {
        // One in five has a short deadline, and one in ten is never dropped.
        let (is_hasty, is_spared) = (task % 5 == 0, task % 10 == 1);
        let redis = if is_hasty { hasty.clone() } else { patient.clone() };
        tokio::spawn(turns(redis, task, is_spared, is_hasty))
    });
    let workers: Vec<_> = workers.collect();
    let done = Arc::new(AtomicBool::new(false));
    let killer = tokio::spawn({
        let (mut random, done, patient) = (Rng::with_seed(SEED), Arc::clone(&done), patient.clone());
        async move {
            let mut killed = 0;
            while !done.load(SeqCst) {
                // Mostly any link, and now and then one that has something on its way. The question may be lost, too.
                killed += match busy_connection(&patient).await {
                    Ok(busy) if random.u8(..3) == 0 => admin.kill_connection(busy).await,
                    _ => admin.kill_a_link(&mut random).await,
                };
                sleep(Duration::from_millis(random.u64(20..120))).await;
            }
            (admin, killed)
        }
    });
    let mut seen = Seen::default();
    for worker in workers {
        let one = within("all turns", 80 * SECOND, worker).await.unwrap();
        seen.right += one.right;
        seen.dropped += one.dropped;
        seen.failed += one.failed;
    }
    done.store(true, SeqCst);
    let (mut admin, killed) = killer.await.unwrap();
    assert!(killed > 5 && seen.right > 10_000 && seen.dropped > 10_000, "{killed} kills, {seen:?}: proves nothing");

    for redis in [&patient, &hasty] {
        eventually("nothing is in flight", 10 * SECOND, async || {
            let stats = redis.manager().stats();
            (stats.commands.in_flight == 0 && stats.links.iter().all(|link| link.in_flight == 0)).then_some(())
        })
        .await;
        eventually("four links, no more", 10 * SECOND, async || {
            let stats = redis.manager().stats();
            (stats.links.len() == 4 && stats.links.iter().all(entra_redis::LinkStats::is_open)).then_some(())
        })
        .await;
    }
    // Each failure is the loss of what was in flight on a link, or a missed deadline; and all are accounted for.
    let failed = patient.manager().stats().commands.failed;
    assert_eq!(failed.total(), failed.lost);
    assert!(failed.lost > 0, "no kill has hit anything: proves nothing");
    drop((patient, hasty));
    admin.links_gone().await;
    eventually("tasks are gone", 5 * SECOND, async || (tasks() <= before).then_some(())).await;
}

/// Those who wait for a link, and those who wait for room, give up: their places are free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_up_while_waiting_leaves_room_for_others() {
    let (emulator, redis) = Fixture::new()
        .config(|config| config.max_in_flight(8).overload(Overload::Wait).command_timeout(20 * SECOND))
        .up()
        .await;
    emulator.redis_front().refuse_connections(true);
    emulator.redis_front().cut_all();
    eventually("no link is up", 5 * SECOND, async || (!redis.manager().ready()).then_some(())).await;
    let waiting = (0..20).map(|_| {
        let mut con = redis.clone();
        tokio::spawn(async move { con.get::<_, Option<String>>("key").await })
    });
    let waiting: Vec<_> = waiting.collect();
    let in_flight = || redis.manager().stats().commands.in_flight;
    eventually("all room is taken", 5 * SECOND, async || (in_flight() == 8).then_some(())).await;
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    for call in waiting {
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(in_flight(), 0);
    emulator.redis_front().refuse_connections(false);
    let calls = (0..8).map(|n| {
        let mut con = redis.clone();
        tokio::spawn(async move { con.set::<_, _, ()>(n, n).await })
    });
    for call in calls.collect::<Vec<_>>() {
        within("service", 10 * SECOND, call).await.unwrap().unwrap();
    }
}

/// A `connect` that is dropped where it stands, or whose handle is while other links are being opened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connect_dropped_anywhere_leaves_nothing_behind() {
    let emulator = common::start(Emulator::builder()).await;
    let before = tasks();
    let mut random = Rng::with_seed(SEED);
    let (mut dropped, mut connected) = (0, 0);
    for attempt in 0..150 {
        let fate = match attempt % 3 {
            // It sleeps until it is done: the second poll is mostly the last.
            0 => Fate::AfterPolls(random.u32(0..2)),
            // All that it does takes some milliseconds, or 100 on a busy machine.
            1 => Fate::After(Duration::from_micros(random.u64(0..10_000))),
            _ => Fate::After(Duration::from_micros(random.u64(0..200_000))),
        };
        let connect = emulator.try_connect(emulator.config());
        match Box::pin(fate.befalls(connect)).await {
            None => dropped += 1,
            Some(redis) => {
                drop(redis.unwrap());
                connected += 1;
            }
        }
    }
    assert!(dropped > 30 && connected > 10, "{dropped} dropped, {connected} connected: proves nothing");
    eventually("connections are closed", 10 * SECOND, async || {
        (emulator.redis_front().connection_count() == 0).then_some(())
    })
    .await;
    eventually("tasks are gone", 10 * SECOND, async || (tasks() <= before).then_some(())).await;
}
