//! One run: one contender, one runtime, one workload, one number of tasks.

use crate::{
    contenders::{Contender, Kind, bb8_pool, deadpool_pool, fred_client, ours, redis_rs, rustis_client},
    figures::{Figures, Span, histogram, watch_cpu},
    target::{Outcome, Target, text},
    workload::{LARGE_READERS, Task, Workload, read_large, store, store_spread},
};
use std::time::{Duration, Instant};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::timeout,
};

/// Beyond the time that it measures, a run may take this long.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Flavor {
    #[value(name = "mt")]
    MultiThread,
    #[value(name = "ct")]
    CurrentThread,
}

impl Flavor {
    pub const ALL: [Self; 2] = [Self::MultiThread, Self::CurrentThread];

    pub fn key(self) -> &'static str {
        match self {
            Self::MultiThread => "mt",
            Self::CurrentThread => "ct",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::MultiThread => "multi-thread runtime, 2 workers",
            Self::CurrentThread => "current-thread runtime",
        }
    }

    pub fn runtime(self) -> Outcome<Runtime> {
        match self {
            Self::MultiThread => Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(text),
            Self::CurrentThread => Builder::new_current_thread().enable_all().build().map_err(text),
        }
    }
}

/// What is run, whoever runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub workload: Workload,
    pub flavor: Flavor,
    pub tasks: usize,
}

#[derive(Clone, Copy)]
pub struct Timing {
    pub warm_up: Duration,
    pub window: Duration,
}

/// Stores what the tasks read.
pub fn prepare(target: &Target) -> Outcome<()> {
    let runtime = Flavor::CurrentThread.runtime()?;
    runtime.block_on(async {
        match target.nodes {
            0 => store(&mut redis_rs::multiplexed(target).await?).await,
            _ => store_spread(&mut redis_rs::cluster(target).await?).await,
        }
    })
}

/// Connects on a fresh runtime, warms up, measures, and takes everything down again.
pub fn run(kind: Kind, target: &Target, place: Place, timing: Timing) -> Outcome<Figures> {
    let runtime = place.flavor.runtime()?;
    let limit = timing.warm_up + timing.window + PATIENCE;
    let outcome = runtime.block_on(async {
        match timeout(limit, connect_and_measure(kind, target, place, timing)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("not done within {limit:?}")),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn connect_and_measure(kind: Kind, target: &Target, place: Place, timing: Timing) -> Outcome<Figures> {
    let on_cluster = target.nodes > 0;
    match kind {
        Kind::Ours(links) => measure(ours::connect(target, links).await?, on_cluster, place, timing).await,
        Kind::ConnectionManager => {
            measure(redis_rs::connection_manager(target).await?, on_cluster, place, timing).await
        }
        Kind::Multiplexed => measure(redis_rs::multiplexed(target).await?, on_cluster, place, timing).await,
        Kind::Cluster => measure(redis_rs::cluster(target).await?, on_cluster, place, timing).await,
        Kind::Fred(size) => measure(fred_client::connect(target, size).await?, on_cluster, place, timing).await,
        Kind::Rustis(size) => measure(rustis_client::connect(target, size).await?, on_cluster, place, timing).await,
        Kind::Bb8(size) => measure(bb8_pool::connect(target, size).await?, on_cluster, place, timing).await,
        Kind::Deadpool(size) => measure(deadpool_pool::connect(target, size).await?, on_cluster, place, timing).await,
    }
}

async fn measure<C: Contender>(contender: C, on_cluster: bool, place: Place, timing: Timing) -> Outcome<Figures> {
    let from = Instant::now() + timing.warm_up;
    let span = Span { from, to: from + timing.window };
    let cpu = watch_cpu(span);
    let mut readers = JoinSet::new();
    if place.workload == Workload::BesideLarge {
        for task in 0..LARGE_READERS {
            readers.spawn(repeat_large(contender.for_task(task), span));
        }
    }
    let mut load = JoinSet::new();
    for task in 0..place.tasks {
        load.spawn(repeat(contender.for_task(task), Task::new(place.workload, on_cluster, task), span));
    }
    let mut latencies = histogram();
    while let Some(task) = load.join_next().await {
        for nanos in task.map_err(text)?? {
            latencies.saturating_record(u64::from(nanos));
        }
    }
    let mut large = 0_u32;
    while let Some(task) = readers.join_next().await {
        large += task.map_err(text)??;
    }
    let cpu = cpu.join().map_err(|_| "the CPU time is unknown".to_owned())?;
    let per_second = (latencies.len() as f64) * place.workload.commands() as f64 / span.seconds();
    if per_second == 0.0 {
        return Err("not one command was done in time".to_owned());
    }
    let large_per_second = (place.workload == Workload::BesideLarge).then(|| f64::from(large) / span.seconds());
    Ok(Figures::new(per_second, &latencies, cpu / per_second * 1e6, large_per_second))
}

/// One task: step after step, with one look at the clock for each. The latencies, in nanoseconds, of those that ended
/// in the span; writing them down costs a few nanoseconds and no shared cache line.
async fn repeat<C: Contender>(mut client: C, task: Task, span: Span) -> Outcome<Vec<u32>> {
    let mut latencies = Vec::with_capacity(1024);
    let mut turn = 0;
    let mut sent = Instant::now();
    while sent < span.to {
        task.step(&mut client, turn).await?;
        let done = Instant::now();
        if span.contains(done) {
            latencies.push(u32::try_from((done - sent).as_nanos()).unwrap_or(u32::MAX));
        }
        turn += 1;
        sent = done;
    }
    Ok(latencies)
}

/// How many large values one task reads in the span.
async fn repeat_large<C: Contender>(mut client: C, span: Span) -> Outcome<u32> {
    let mut reads = 0;
    while Instant::now() < span.to {
        read_large(&mut client).await?;
        reads += u32::from(span.contains(Instant::now()));
    }
    Ok(reads)
}
