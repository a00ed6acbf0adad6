//! Load on any cache, for as long as you like: every task writes its own keys, reads them back and checks what it
//! reads.
//!
//! Reads `REDIS_HOST`, `REDIS_PORT` (default 10000), `REDIS_CA_CERT` (a PEM file; without it, the operating system's
//! trust roots) and the credential from the `AZURE_*` variables. Ends with status 0 if there was no error and no wrong
//! read.
//!
//! After a write that failed, a read may find the old value or the new one. It may find nothing only if the server has
//! been started anew since.
//!
//! It runs on a cluster as it does on a single endpoint. `nodes` counts the nodes that keys went to, over the whole
//! run: one that has taken another one's place counts, too.
//!
//! With `--chaos`, for a cache on which things go wrong, as on the emulator with its option of that name, the status is
//! 0 if there was no wrong read, no error but those that this explains (deadlines that passed, connections that were
//! lost, tokens that were not to be had), and every key could be read at the end.

mod register;
mod tally;
mod worker;

use clap::Parser;
use entra_redis::{Config, Counters, EntraRedis, NodeStats, Stats, Tls};
use hdrhistogram::Histogram;
use serde_json::json;
use std::{
    collections::HashSet,
    env,
    error::Error,
    fs,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tally::{Kind, histogram};
use tokio::{runtime::Handle, time::sleep};
use worker::{Plan, Worker};

#[derive(Parser)]
struct Options {
    /// How long to run.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Tasks that share one handle.
    #[arg(long, default_value_t = 64)]
    tasks: usize,
    /// Size of the values.
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    value_size: usize,
    /// Connections; without it, the library's default.
    #[arg(long)]
    pool_size: Option<usize>,
    /// How long a command may take; without it, the library's default.
    #[arg(long, value_name = "MS")]
    command_timeout: Option<u64>,
    /// Things go wrong on the other side: errors that this explains are counted, and are no failure.
    #[arg(long)]
    chaos: bool,
    /// How long it may take at the end until every key can be read. A token request that hangs takes 10 seconds, for
    /// one.
    #[arg(long, value_name = "N", default_value_t = 30)]
    recovery: u64,
    /// Ends with one line of JSON.
    #[arg(long)]
    json: bool,
}

/// By then buffers have found their sizes: memory that is used later is memory that grows.
const WARM_UP: Duration = Duration::from_secs(5);

/// How long tasks may take to go once the handle is gone.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is known at the end besides.
struct End {
    counters: Counters,
    retried: u64,
    latency: Histogram<u64>,
    /// Whether every task could read all of its keys in the end.
    recovered: bool,
    /// Memory of this process after the warm-up and at the end, in KiB.
    resident: [Option<u64>; 2],
    tasks: usize,
    nodes: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let plan = Arc::new(Plan::new(&options));
    let end = match run(&options, &plan).await {
        Ok(end) => end,
        Err(error) => {
            eprintln!("{error}");
            plan.tally.fail(Kind::Other, &error);
            End {
                counters: Counters::default(),
                retried: 0,
                latency: histogram(),
                recovered: false,
                resident: [None; 2],
                tasks: tasks_left().await,
                nodes: 0,
            }
        }
    };
    let End { counters, retried, latency, recovered, resident, tasks, nodes } = end;
    let notes = plan.tally.notes();
    let report = json!({
        "commands": plan.tally.commands(),
        "errors": notes.errors(),
        "wrong_reads": notes.wrong_reads,
        "tokens_fetched": counters.tokens_fetched,
        "rotations": counters.rotations,
        "reauths": counters.reauths,
        "reconnects": counters.reconnects,
        "p50_us": latency.value_at_quantile(0.5),
        "p99_us": latency.value_at_quantile(0.99),
        "max_us": plan.tally.slowest_us(),
        "first_error": notes.first_error,
        "last_error_at_s": notes.last_error_at.map(|at| at.as_secs_f64()),
        "errors_by_kind": notes.errors_by_kind(),
        "unexplained_errors": notes.unexplained_errors,
        "first_unexplained_error": notes.first_unexplained_error,
        "first_wrong_read": notes.first_wrong_read,
        "recovered": recovered,
        "faults_met": {
            "links_lost": counters.links_lost,
            "dial_failures": counters.dial_failures,
            "token_failures": counters.token_failures,
            "reauth_failures": counters.reauth_failures,
        },
        "retried": retried,
        "rss_start_kib": resident[0],
        "rss_end_kib": resident[1],
        "tasks_end": tasks,
        "nodes": nodes,
    });
    if options.json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
    ExitCode::from(u8::from(!(notes.are_clean() && recovered)))
}

async fn run(options: &Options, plan: &Arc<Plan>) -> Result<End, Box<dyn Error>> {
    let host = variable("REDIS_HOST").ok_or("REDIS_HOST is not set")?;
    let port = variable("REDIS_PORT").map_or(Ok(10000), |port| port.parse()).map_err(|_| "REDIS_PORT is no port")?;
    let mut redis = EntraRedis::connect(&host, port, config(options)?).await?;
    let names = plan.names(&mut redis).await;
    let worker = |task| Worker::new(plan, &redis, task, names.as_ref());
    let tasks: Vec<_> = (0..options.tasks).map(|task| tokio::spawn(worker(task).run())).collect();
    let used = Arc::new(Mutex::new(HashSet::new()));
    let progress = tokio::spawn(report(Arc::clone(plan), redis.clone(), Arc::clone(&used)));
    let warm_up = WARM_UP.min(Duration::from_secs(options.seconds) / 10);
    let warm = tokio::spawn(async move {
        sleep(warm_up).await;
        resident_kib()
    });
    let (mut latency, mut recovered) = (histogram(), true);
    for task in tasks {
        let done = task.await?;
        latency.add(done.latency)?;
        recovered &= done.recovered;
    }
    let resident = [warm.await?, resident_kib()];
    progress.abort();
    // That it was aborted is no news.
    _ = progress.await;
    let stats = redis.manager().stats();
    let nodes = note_used(&used, &stats);
    redis.shutdown().await;
    drop(redis);
    let (counters, retried) = (stats.counters, stats.commands.retried);
    Ok(End { counters, retried, latency, recovered, resident, tasks: tasks_left().await, nodes })
}

/// Notes the addresses of the nodes that commands go to now; returns how many there have been.
fn note_used(used: &Mutex<HashSet<String>>, stats: &Stats) -> usize {
    // A single endpoint has no slots. A node of a cluster without slots gets no keys.
    let takes_keys = |node: &&NodeStats| node.open_links > 0 && (stats.nodes.len() == 1 || !node.slots.is_empty());
    let mut used = used.lock().expect("no panic while it is locked");
    used.extend(stats.nodes.iter().filter(takes_keys).map(|node| node.address.clone()));
    used.len()
}

/// Says every second how it goes.
async fn report(plan: Arc<Plan>, redis: EntraRedis, used: Arc<Mutex<HashSet<String>>>) {
    let mut before = 0;
    loop {
        note_used(&used, &redis.manager().stats());
        sleep(Duration::from_secs(1)).await;
        let commands = plan.tally.commands();
        let (errors, wrong_reads) = {
            let notes = plan.tally.notes();
            (notes.errors(), notes.wrong_reads)
        };
        let counters = redis.manager().counters();
        println!(
            "{:4.0} s  {:>8} commands/s  errors {}  wrong reads {}  rotations {}  re-AUTHs {}  reconnects {}",
            plan.tally.elapsed().as_secs_f32(),
            commands - before,
            errors,
            wrong_reads,
            counters.rotations,
            counters.reauths,
            counters.reconnects,
        );
        before = commands;
    }
}

/// Tasks that are still there a moment after everything has ended.
async fn tasks_left() -> usize {
    let metrics = Handle::current().metrics();
    let limit = Instant::now() + FAREWELL;
    while metrics.num_alive_tasks() > 0 && Instant::now() < limit {
        sleep(Duration::from_millis(10)).await;
    }
    metrics.num_alive_tasks()
}

/// The memory of this process; Linux only.
fn resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    kibibytes.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// An empty variable counts as unset, as those of the credential do.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn config(options: &Options) -> Result<Config, Box<dyn Error>> {
    let mut config = Config::from_env()?;
    if let Some(ca_file) = variable("REDIS_CA_CERT") {
        config = config.tls(Tls::new().ca_file(ca_file));
    }
    if let Some(links) = options.pool_size {
        config = config.pool_size(links);
    }
    if let Some(millis) = options.command_timeout {
        config = config.command_timeout(Duration::from_millis(millis));
    }
    Ok(config)
}
