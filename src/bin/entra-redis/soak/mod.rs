//! `entra-redis soak`: load on any cache, for as long as you like. `nodes` of its report counts the nodes that keys went
//! to, over the whole run: one that has taken another one's place counts, too.

mod progress;
mod register;
mod tally;
mod worker;

use crate::{failure::Failure, settings, terminal};
use clap::Args;
use entra_redis::{Config, Counters, EntraRedis};
use hdrhistogram::Histogram;
use progress::Progress;
use serde_json::json;
use std::{
    collections::HashSet,
    fs,
    io::{Write, stdout},
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tally::{Kind, histogram};
use tokio::{runtime::Handle, time::sleep};
use worker::{Plan, Worker};

/// Puts load on a cache: every task writes its own keys, reads them back and checks what it reads.
///
/// It reads `REDIS_HOST`, `REDIS_PORT` (10000 by default), `REDIS_CA_CERT` (a PEM file; without it, the operating system's
/// trust roots) and the credential from the `AZURE_*` variables, and runs on a cluster as on a single endpoint.
///
/// After a write that failed, a read may find the old value or the new one. It may find nothing only if the server has
/// been started anew since.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
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

const EXAMPLES: &str = "\
Examples:
  entra-redis soak --seconds 600 --json      ten minutes, and a last line of JSON
  entra-redis soak --tasks 256 --pool-size 4
  entra-redis soak --chaos --command-timeout 2000
                                             beside `entra-redis emulator --chaos`

Exit status: 0 if there was no error and no wrong read. With --chaos: if there was no wrong read, no error but those that
this explains (deadlines that passed, connections that were lost, tokens that were not to be had), and every key could be
read at the end. Ctrl-C ends the run early, with its report; a second one ends it at once.";

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

pub(crate) async fn run(options: &Options) -> Result<ExitCode, Failure> {
    let plan = Arc::new(Plan::new(options));
    let end = match load(options, &plan).await {
        Ok(end) => end,
        Err(error) => {
            _ = error.tell();
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
        writeln!(stdout(), "{report}")?;
    } else {
        writeln!(stdout(), "{report:#}")?;
    }
    Ok(ExitCode::from(u8::from(!(notes.are_clean() && recovered))))
}

/// The run itself, until its time is over or it is interrupted.
async fn load(options: &Options, plan: &Arc<Plan>) -> Result<End, Failure> {
    let (host, port) = settings::endpoint()?;
    let mut redis = tokio::select! {
        connected = EntraRedis::connect(&host, port, config(options)?) => connected?,
        _ = terminal::interrupted() => return Err("interrupted before there was a connection".to_owned().into()),
    };
    let names = plan.names(&mut redis).await;
    let worker = |task| Worker::new(plan, &redis, task, names.as_ref());
    let tasks: Vec<_> = (0..options.tasks).map(|task| tokio::spawn(worker(task).run())).collect();
    let used = Arc::new(Mutex::new(HashSet::new()));
    let progress = Progress::new(plan, &redis, &used, options.seconds);
    let progress = tokio::spawn(progress.run());
    let warm_up = WARM_UP.min(Duration::from_secs(options.seconds) / 10);
    let stopped = plan.stopped();
    let warm = tokio::spawn(async move {
        tokio::select! {
            () = sleep(warm_up) => {}
            () = stopped => {}
        }
        resident_kib()
    });
    let work = async {
        let (mut latency, mut recovered) = (histogram(), true);
        for task in tasks {
            let done = task.await.map_err(|error| Failure::new("a task of the load ended", error))?;
            latency.add(done.latency).map_err(|error| Failure::new("cannot add up the latencies", error))?;
            recovered &= done.recovered;
        }
        Ok::<_, Failure>((latency, recovered))
    };
    tokio::pin!(work);
    let (latency, recovered) = tokio::select! {
        done = &mut work => done?,
        _ = terminal::interrupted() => {
            plan.stop();
            eprintln!("\ninterrupted: what is in flight is waited for");
            tokio::select! {
                done = &mut work => done?,
                _ = terminal::interrupted() => return Err("interrupted twice".to_owned().into()),
            }
        }
    };
    let warm = warm.await.unwrap_or_default();
    let resident = [warm, resident_kib()];
    progress.abort();
    // That it was aborted is no news.
    _ = progress.await;
    let stats = redis.manager().stats();
    let nodes = progress::note_used(&used, &stats);
    redis.shutdown().await;
    drop(redis);
    let (counters, retried) = (stats.counters, stats.commands.retried);
    Ok(End { counters, retried, latency, recovered, resident, tasks: tasks_left().await, nodes })
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

fn config(options: &Options) -> Result<Config, Failure> {
    let mut config = Config::from_env()?.tls(settings::tls());
    if let Some(links) = options.pool_size {
        config = config.pool_size(links);
    }
    if let Some(millis) = options.command_timeout {
        config = config.command_timeout(Duration::from_millis(millis));
    }
    Ok(config)
}
