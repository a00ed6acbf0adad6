//! `entra-redis soak`: load on any cache, for as long as you like. `nodes` of its report counts the nodes that keys
//! went to, over the whole run: one that has taken another one's place counts, too.

mod blocking;
mod cached;
mod counts;
mod plan;
mod progress;
mod pubsub;
mod register;
mod report;
mod servers;
mod tally;
mod transactions;
mod worker;

use crate::{failure::Failure, settings, terminal};
use clap::Args;
use entra_redis::{Config, EntraRedis, ErrorKind};
use plan::{Plan, RETRY_DELAY};
use progress::Progress;
use report::End;
use servers::Servers;
use std::{
    collections::HashSet,
    fs,
    io::{Write, stdout},
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tally::{Kind, histogram};
use tokio::{runtime::Handle, task::JoinSet, time::sleep};
use worker::Worker;

/// Puts load on a cache: every task writes its own keys, reads them back and checks what it reads.
///
/// It reads where the cache is from `REDIS_HOST` and `REDIS_PORT` (10000 by default), `REDIS_URL` or
/// `AZURE_REDIS_HOST`, the certificate authorities to trust from `REDIS_CA_CERT` (a PEM file; without it, the operating
/// system's), and the credential from the `AZURE_*` variables, as `EntraRedis::from_env` does. It runs on a cluster as
/// on a single endpoint.
///
/// After a write that failed, a read may find the old value or the new one. It may find nothing only if the server has
/// been restarted since, or with --chaos, a replica has taken its place which did not have the key yet.
///
/// --pubsub, --blocking, --transactions and --cached run further workloads beside that, on the same handle, each with
/// checks of its own. Where the outcome of a command is unknown, both are right: that it was done, and that it was not.
/// Everything else has to be there, once.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
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
    /// Besides, numbered messages over channels, a pattern and sharded channels (Redis 7), as they are heard.
    #[arg(long)]
    pubsub: bool,
    /// Besides, numbered elements through queues, taken by BLMOVE, BRPOPLPUSH, BLPOP and BRPOP.
    #[arg(long)]
    blocking: bool,
    /// Besides, counters that are raised by WATCH, MULTI and EXEC.
    #[arg(long)]
    transactions: bool,
    /// Besides, reads by way of a near cache, of values that grow.
    #[arg(long)]
    cached: bool,
}

const EXAMPLES: &str = "\
Examples:
  entra-redis soak --seconds 600 --json      ten minutes, and a last line of JSON
  entra-redis soak --tasks 256 --pool-size 4
  entra-redis soak --chaos --command-timeout 2000
                                             beside `entra-redis emulator --chaos`
  entra-redis soak --pubsub --blocking --transactions --cached
                                             everything that a handle can do

Exit status: 0 if there was no error, no wrong read and no other fault. With --chaos: if there was no wrong read, no other
fault, no error but those that this explains (deadlines that passed, connections that were lost, tokens that were not to
be had), and every key could be read at the end. Ctrl-C ends the run early, with its report; a second one ends it at once.

Figures of the last line, which are always there, and 0 without the option:
  --pubsub        messages, gaps: what was heard. messages_missing: no gap tells of them; messages_twice and
                  messages_out_of_order: each a fault. On a cluster, of ordinary channels: messages_lost_between_nodes,
                  with --chaos, which no subscriber can know; messages_again, from another node, behind a gap
  --blocking      elements: what was taken. elements_lost, elements_twice: each a fault. elements_unheard: popped by BLPOP
                  or BRPOP for a connection that was lost, as Redis does; what is moved by BLMOVE must not be lost
  --transactions  transactions: what was committed. wrong_counts: counts and logs that do not agree with that, a fault
  --cached        cached_reads, cache_hits, hit_ratio. stale_reads: older than one that ended before, than what the handle
                  has written, or than max_staleness (1 s), a fault
first_fault says what the first one was; excused counts what a server that was started again, or has gone, explains, and
first_excused says what the first of that was; workloads names what was run. commands and latencies are those of the plain load, errors those of all.";

/// By then buffers have their sizes: if the process uses more memory later, its memory grows.
const WARM_UP: Duration = Duration::from_secs(5);

/// How long tasks may take to go once the handle is gone.
const TASKS_GONE_WITHIN: Duration = Duration::from_secs(2);

impl Options {
    /// What is run, by the names of the options.
    fn workloads(&self) -> Vec<&'static str> {
        let all = [
            (true, "plain"),
            (self.pubsub, "pubsub"),
            (self.blocking, "blocking"),
            (self.transactions, "transactions"),
            (self.cached, "cached"),
        ];
        all.into_iter().filter(|(is_run, _)| *is_run).map(|(_, name)| name).collect()
    }
}

pub(crate) async fn run(options: &Options) -> Result<ExitCode, Failure> {
    let plan = Arc::new(Plan::new(options));
    let end = match load(options, &plan).await {
        Ok(end) => end,
        Err(error) => {
            let failed = error.tell();
            // There is nothing to report, and figures would push the reason out of sight.
            if !options.json && plan.tally.commands() == 0 {
                return Ok(failed);
            }
            plan.tally.fail(Kind::Other, &error);
            End::of_none(tasks_left().await)
        }
    };
    let report = report::json(options, &plan, &end);
    if options.json {
        writeln!(stdout(), "{report}")?;
    } else {
        writeln!(stdout(), "{}\n{report:#}", report::sentences(options, &plan).join("\n"))?;
    }
    let is_clean = plan.tally.notes().are_clean() && plan.counts.faults() == 0;
    Ok(ExitCode::from(u8::from(!(is_clean && end.recovered))))
}

/// Starts what is run beside the plain load; each says whether all was well in the end.
fn others(options: &Options, plan: &Arc<Plan>, redis: &EntraRedis, servers: &Servers) -> JoinSet<bool> {
    let mut others = JoinSet::new();
    let parts = || (Arc::clone(plan), redis.clone());
    if options.pubsub {
        let (plan, redis) = parts();
        others.spawn(pubsub::run(plan, redis));
    }
    if options.blocking {
        let (plan, redis) = parts();
        others.spawn(blocking::run(plan, redis, servers.clone()));
    }
    if options.transactions {
        let (plan, redis) = parts();
        others.spawn(transactions::run(plan, redis, servers.clone()));
    }
    if options.cached {
        let (plan, redis) = parts();
        others.spawn(cached::run(plan, redis, servers.clone()));
    }
    others
}

/// The run itself, until its time is over or it is interrupted.
async fn load(options: &Options, plan: &Arc<Plan>) -> Result<End, Failure> {
    settings::check_cache()?;
    let redis = tokio::select! {
        connected = connect(options, plan) => connected?,
        _ = terminal::interrupted() => return Err("interrupted before there was a connection".to_owned().into()),
    };
    plan.begin();
    let servers = Servers::look(plan, &redis).await;
    let watching = tokio::spawn(servers.clone().watch());
    let worker = |task| Worker::new(plan, &redis, task, &servers);
    let tasks: Vec<_> = (0..options.tasks).map(|task| tokio::spawn(worker(task).run())).collect();
    let mut others = others(options, plan, &redis, &servers);
    let used = Arc::new(Mutex::new(HashSet::new()));
    let progress = Progress::new(plan, &redis, &used, options);
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
        while let Some(was_well) = others.join_next().await {
            recovered &= was_well.map_err(|error| Failure::new("a task of the load ended", error))?;
        }
        Ok::<_, Failure>((latency, recovered))
    };
    tokio::pin!(work);
    let (latency, recovered) = tokio::select! {
        done = &mut work => done?,
        _ = terminal::interrupted() => {
            plan.stop();
            terminal::note("\ninterrupted: what is in flight is waited for");
            tokio::select! {
                done = &mut work => done?,
                _ = terminal::interrupted() => return Err("interrupted twice".to_owned().into()),
            }
        }
    };
    watching.abort();
    _ = watching.await;
    drop(servers);
    let warm = warm.await.unwrap_or_default();
    let resident = [warm, resident_kib()];
    progress.abort();
    // It was aborted just now: there is nothing to tell.
    _ = progress.await;
    let stats = redis.manager().stats();
    let nodes = progress::note_used(&used, &stats);
    redis.shutdown().await;
    drop(redis);
    let (counters, retried) = (stats.counters, stats.commands.retried);
    Ok(End { counters, retried, latency, recovered, resident, tasks: tasks_left().await, nodes })
}

/// With chaos the first attempts may fail, too: it is tried again for as long as a recovery may take.
async fn connect(options: &Options, plan: &Plan) -> Result<EntraRedis, Failure> {
    let limit = plan.recovers_until();
    loop {
        match EntraRedis::open(config(options)?).await {
            Ok(redis) => return Ok(redis),
            Err(error) if !plan.chaos || limit.has_passed() || error.kind() == ErrorKind::Configuration => {
                return Err(error.into());
            }
            Err(_) => sleep(10 * RETRY_DELAY).await,
        }
    }
}

/// Tasks that are still there a moment after everything has ended.
async fn tasks_left() -> usize {
    let metrics = Handle::current().metrics();
    let limit = Instant::now() + TASKS_GONE_WITHIN;
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
    let mut config = Config::from_env()?;
    if let Some(links) = options.pool_size {
        config = config.pool_size(links);
    }
    if let Some(millis) = options.command_timeout {
        config = config.command_timeout(Duration::from_millis(millis));
    }
    Ok(config)
}
