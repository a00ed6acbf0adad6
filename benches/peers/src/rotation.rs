//! Latency through three rotations: ours beside redis-rs's `ConnectionManager` with a `StreamingCredentialsProvider`.
//!
//! Both go through the emulator's front, which checks the tokens and lets each `AUTH` take as long as it is told to:
//! not at all, or a second, as a service that validates tokens may. Emulator and clients share a process, so the
//! latencies say nothing about throughput; they are there to be compared with each other.

use crate::{
    contenders::{Contender, Shared, redis_rs},
    runner::Flavor,
    target::{Outcome, Target, text},
    workload::{Task, Workload, store},
};
use entra_redis::{EntraRedis, emulator::Emulator};
use futures_util::{Stream, stream};
use redis::{
    RedisResult,
    auth::{BasicAuth, StreamingCredentialsProvider},
};
use serde::Serialize;
use std::{
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, sleep_until},
};

const TASKS: usize = 256;
const LENGTH: Duration = Duration::from_secs(12);
const EVERY: Duration = Duration::from_secs(3);
const ROTATIONS: u32 = 3;

/// Time for the connections behind the first one, before the load comes.
const SETTLE: Duration = Duration::from_secs(1);

const BUCKET: Duration = Duration::from_millis(100);
const BUCKETS: usize = 120;

/// Both clients, with one behaviour of the server.
#[derive(Serialize)]
pub struct Scenario {
    pub key: &'static str,
    pub auth_takes_ms: u64,
    pub rotations_at_s: Vec<f64>,
    pub traces: Vec<Trace>,
}

/// One client's latencies.
#[derive(Serialize)]
pub struct Trace {
    pub client: &'static str,
    pub buckets: Vec<Bucket>,
}

/// The commands that were on their way at some time of 100 ms; one that takes longer counts in each of its buckets.
#[derive(Serialize)]
pub struct Bucket {
    pub from_s: f64,
    pub commands: usize,
    pub p99_ms: f64,
    pub max_ms: f64,
}

pub fn all() -> Outcome<Vec<Scenario>> {
    let slow = Duration::from_secs(1);
    Ok(vec![scenario("quick-auth", Duration::ZERO)?, scenario("slow-auth", slow)?])
}

fn scenario(key: &'static str, auth_takes: Duration) -> Outcome<Scenario> {
    eprintln!("rotations, AUTH takes {auth_takes:?}");
    // On a thread of its own, as a server is.
    let azure = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(text)?;
    let emulator = azure.block_on(Emulator::builder().redis_server().start()).map_err(text)?;
    let runtime = Flavor::MultiThread.runtime()?;
    let traces = runtime.block_on(async {
        let ours = Trace { client: "entra-redis", buckets: ours(&emulator, auth_takes).await? };
        let theirs = Trace { client: "redis ConnectionManager", buckets: theirs(&emulator, auth_takes).await? };
        Outcome::Ok(vec![ours, theirs])
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    // It ends tasks and a process of that runtime.
    let _context = azure.enter();
    drop(emulator);
    Ok(Scenario {
        key,
        auth_takes_ms: u64::try_from(auth_takes.as_millis()).map_err(text)?,
        rotations_at_s: (1..=ROTATIONS).map(|rotation| (EVERY * rotation).as_secs_f64()).collect(),
        traces: traces?,
    })
}

async fn ours(emulator: &Emulator, auth_takes: Duration) -> Outcome<Vec<Bucket>> {
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), emulator.config()).await.map_err(text)?;
    let rotate = || {
        redis.manager().refresh_token();
        Ok(())
    };
    let buckets = under_load(Shared(redis.clone()), emulator, auth_takes, rotate).await;
    redis.shutdown().await;
    buckets
}

async fn theirs(emulator: &Emulator, auth_takes: Duration) -> Outcome<Vec<Bucket>> {
    let credentials = || -> Outcome<BasicAuth> {
        let token = emulator.identity().issue_token().map_err(text)?;
        Ok(BasicAuth::new(emulator.object_id().to_owned(), token))
    };
    let (sender, tokens) = watch::channel(credentials()?);
    let target = Target {
        host: emulator.host().to_owned(),
        port: emulator.port(),
        nodes: 0,
        ca_pem: emulator.ca_pem().to_owned(),
    };
    let config = redis_rs::manager_config().set_credentials_provider(Provider(tokens));
    let manager = redis_rs::client(&target)?.get_connection_manager_with_config(config).await.map_err(text)?;
    under_load(Shared(manager), emulator, auth_takes, || sender.send(credentials()?).map_err(text)).await
}

/// The newest credentials, then every newer one.
struct Provider(watch::Receiver<BasicAuth>);

impl StreamingCredentialsProvider for Provider {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = RedisResult<BasicAuth>> + Send + 'static>> {
        let start = (self.0.clone(), true);
        Box::pin(stream::unfold(start, |(mut tokens, first)| async move {
            if !first {
                tokens.changed().await.ok()?;
            }
            let newest = tokens.borrow_and_update().clone();
            Some((Ok(newest), (tokens, false)))
        }))
    }
}

/// Load, and three rotations meanwhile.
async fn under_load<C: Contender>(
    mut contender: C,
    emulator: &Emulator,
    auth_takes: Duration,
    rotate: impl Fn() -> Outcome<()>,
) -> Outcome<Vec<Bucket>> {
    store(&mut contender).await?;
    sleep(SETTLE).await;
    emulator.redis_front().auth_delay(auth_takes);
    let reauths = emulator.redis_front().stats().reauths;
    let began = Instant::now();
    let mut load = JoinSet::new();
    for task in 0..TASKS {
        load.spawn(note(contender.for_task(task), Task::new(Workload::Get, false, task), began));
    }
    for rotation in 1..=ROTATIONS {
        sleep_until((began + EVERY * rotation).into()).await;
        rotate()?;
    }
    let mut buckets = vec![Vec::new(); BUCKETS];
    while let Some(commands) = load.join_next().await {
        for (sent, latency) in commands.map_err(text)?? {
            for bucket in &mut buckets[index(sent)..=index(sent + latency)] {
                bucket.push(latency);
            }
        }
    }
    emulator.redis_front().auth_delay(Duration::ZERO);
    let reauths = emulator.redis_front().stats().reauths - reauths;
    if reauths < u64::from(ROTATIONS) {
        return Err(format!("{reauths} AUTHs reached the server in {ROTATIONS} rotations"));
    }
    Ok(buckets.into_iter().enumerate().map(|(index, latencies)| summary(index, latencies)).collect())
}

/// When each command was sent, from the start, and how long it took.
async fn note<C: Contender>(mut client: C, task: Task, began: Instant) -> Outcome<Vec<(Duration, Duration)>> {
    let mut commands = Vec::new();
    let mut sent = began.elapsed();
    while sent < LENGTH {
        task.step(&mut client, 0).await?;
        let done = began.elapsed();
        commands.push((sent, done - sent));
        sent = done;
    }
    Ok(commands)
}

/// The bucket of a moment; what comes after the end counts in the last one.
fn index(moment: Duration) -> usize {
    let index = moment.as_millis() / BUCKET.as_millis();
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

fn summary(index: usize, mut latencies: Vec<Duration>) -> Bucket {
    latencies.sort_unstable();
    let at = |index: usize| latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3);
    Bucket {
        from_s: index as f64 * BUCKET.as_secs_f64(),
        commands: latencies.len(),
        p99_ms: at(latencies.len() * 99 / 100),
        max_ms: at(latencies.len().saturating_sub(1)),
    }
}
