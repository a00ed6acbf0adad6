//! Load on any cache, for as long as you like: every task writes its own keys, reads them back and checks what it reads.
//!
//! Reads `REDIS_HOST`, `REDIS_PORT` (default 10000), `REDIS_CA_CERT` (a PEM file; without it, the operating system's trust
//! roots) and the credential from the `AZURE_*` variables. Ends with status 0 if there was no error and no wrong read; with
//! `--expect-faults`, if there was none that a fault does not explain, and commands succeed again at the end.

mod load;

use clap::Parser;
use entra_redis::{CommandStats, Config, Counters, EntraRedis, Tls};
use hdrhistogram::Histogram;
use load::{BREATH, Soak, histogram};
use serde_json::json;
use std::{
    env,
    error::Error,
    fs,
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, time::sleep};

#[derive(Parser)]
struct Options {
    /// How long to run.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Tasks that share one handle.
    #[arg(long, default_value_t = 64)]
    tasks: u64,
    /// Size of the values.
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    value_size: usize,
    /// Connections; without it, the library's default.
    #[arg(long)]
    pool_size: Option<usize>,
    /// How long a command may take; without it, the library's default.
    #[arg(long, value_name = "MS")]
    command_timeout: Option<u64>,
    /// Something is made to go wrong meanwhile: errors that a fault explains are counted, and are no reason for status 1.
    #[arg(long)]
    expect_faults: bool,
    /// Ends with one line of JSON.
    #[arg(long)]
    json: bool,
}

/// By then buffers have found their sizes: memory that is used later is memory that grows.
const WARM_UP: Duration = Duration::from_secs(5);

/// How long commands may fail yet when the run is over: what a fault has broken last is being mended.
const RECOVERY: Duration = Duration::from_secs(10);

/// How long tasks may take to go once the handle is gone.
const FAREWELL: Duration = Duration::from_secs(2);

/// What is known at the end besides.
struct End {
    counters: Counters,
    commands: CommandStats,
    latency: Histogram<u64>,
    /// Memory of this process after the warm-up and at the end, in KiB.
    resident: [Option<u64>; 2],
    tasks: usize,
    /// Whether a command succeeded in the end.
    recovered: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let soak = Arc::new(Soak::new(Duration::from_secs(options.seconds), options.value_size));
    let end = match run(&options, &soak).await {
        Ok(end) => end,
        Err(error) => {
            eprintln!("{error}");
            soak.fail(&*error);
            End {
                counters: Counters::default(),
                commands: CommandStats::default(),
                latency: histogram(),
                resident: [None; 2],
                tasks: tasks_left().await,
                recovered: false,
            }
        }
    };
    let End { counters, commands, latency, resident, tasks, recovered } = end;
    let failure = soak.failure.lock().expect("no panic while it is locked");
    let report = json!({
        "commands": soak.commands.load(Relaxed),
        "errors": soak.errors.load(Relaxed),
        "wrong_reads": soak.wrong_reads.load(Relaxed),
        "tokens_fetched": counters.tokens_fetched,
        "rotations": counters.rotations,
        "reauths": counters.reauths,
        "reconnects": counters.reconnects,
        "p50_us": latency.value_at_quantile(0.5),
        "p99_us": latency.value_at_quantile(0.99),
        "max_us": soak.slowest_us.load(Relaxed),
        "first_error": failure.first,
        "last_error_at_s": failure.last_at.map(|at| at.as_secs_f64()),
        "errors_by_kind": {
            "timed_out": commands.failed.timed_out,
            "lost": commands.failed.lost,
            "unauthenticated": commands.failed.unauthenticated,
            "overloaded": commands.failed.overloaded,
            "closed": commands.failed.closed,
            "refused": commands.failed.refused,
            "answered": soak.answered.load(Relaxed),
        },
        "retried": commands.retried,
        "rss_start_kib": resident[0],
        "rss_end_kib": resident[1],
        "tasks_end": tasks,
        "recovered": recovered,
    });
    if options.json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
    let errors = if options.expect_faults { &soak.unexplained } else { &soak.errors };
    let clean = errors.load(Relaxed) == 0 && soak.wrong_reads.load(Relaxed) == 0;
    ExitCode::from(u8::from(!(clean && recovered)))
}

async fn run(options: &Options, soak: &Arc<Soak>) -> Result<End, Box<dyn Error>> {
    let host = variable("REDIS_HOST").ok_or("REDIS_HOST is not set")?;
    let port = variable("REDIS_PORT").map_or(Ok(10000), |port| port.parse()).map_err(|_| "REDIS_PORT is no port")?;
    let redis = EntraRedis::connect(&host, port, config(options)?).await?;
    let tasks: Vec<_> =
        (0..options.tasks).map(|task| tokio::spawn(Arc::clone(soak).task(redis.clone(), task))).collect();
    let progress = tokio::spawn(Arc::clone(soak).report(redis.clone()));
    let warm_up = WARM_UP.min(Duration::from_secs(options.seconds) / 10);
    let warm = tokio::spawn(async move {
        sleep(warm_up).await;
        resident_kib()
    });
    let mut latency = histogram();
    for task in tasks {
        latency.add(task.await?)?;
    }
    let resident = [warm.await?, resident_kib()];
    progress.abort();
    // That it was aborted is no news.
    _ = progress.await;
    let recovered = load::succeeds_again(&mut redis.clone(), RECOVERY).await;
    let stats = redis.manager().stats();
    redis.shutdown().await;
    drop(redis);
    let tasks = tasks_left().await;
    Ok(End { counters: stats.counters, commands: stats.commands, latency, resident, tasks, recovered })
}

/// Tasks that are still there a moment after everything has ended.
async fn tasks_left() -> usize {
    let metrics = Handle::current().metrics();
    let limit = Instant::now() + FAREWELL;
    while metrics.num_alive_tasks() > 0 && Instant::now() < limit {
        sleep(BREATH).await;
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
