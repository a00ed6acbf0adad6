//! Load on any cache, for as long as you like: every task writes its own keys, reads them back and checks what it reads.
//!
//! Reads `REDIS_HOST`, `REDIS_PORT` (default 10000), `REDIS_CA_CERT` (a PEM file; without it, the operating system's trust
//! roots) and the credential from the `AZURE_*` variables. Ends with status 0 if there was no error and no wrong read.

use clap::Parser;
use entra_redis::{CommandStats, Config, Counters, EntraRedis, Tls};
use hdrhistogram::Histogram;
use redis::{AsyncCommands, RedisResult};
use serde_json::json;
use std::{
    env,
    error::Error,
    fs,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
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
    /// Ends with one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Each task goes round this many keys of its own.
const KEYS: u64 = 16;

/// Keys vanish by themselves after a run.
const EXPIRY_SECONDS: u64 = 600;

/// After an error a task takes a breath: with no token, commands fail at once.
const BREATH: Duration = Duration::from_millis(10);

/// By then buffers have found their sizes: memory that is used later is memory that grows.
const WARM_UP: Duration = Duration::from_secs(5);

/// How long tasks may take to go once the handle is gone.
const FAREWELL: Duration = Duration::from_secs(2);

struct Soak {
    began: Instant,
    end: Instant,
    value_size: usize,
    commands: AtomicU64,
    errors: AtomicU64,
    /// Those of them that Redis itself answered.
    answered: AtomicU64,
    wrong_reads: AtomicU64,
    /// To the microsecond: the histogram rounds.
    slowest_us: AtomicU64,
    failure: Mutex<Failure>,
}

#[derive(Default)]
struct Failure {
    first: Option<String>,
    last_at: Option<Duration>,
}

/// What is known at the end besides.
struct End {
    counters: Counters,
    commands: CommandStats,
    latency: Histogram<u64>,
    /// Memory of this process after the warm-up and at the end, in KiB.
    resident: [Option<u64>; 2],
    tasks: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let soak = Arc::new(Soak::new(&options));
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
            }
        }
    };
    let End { counters, commands, latency, resident, tasks } = end;
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
            "answered": soak.answered.load(Relaxed),
        },
        "retried": commands.retried,
        "rss_start_kib": resident[0],
        "rss_end_kib": resident[1],
        "tasks_end": tasks,
    });
    if options.json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
    let clean = soak.errors.load(Relaxed) == 0 && soak.wrong_reads.load(Relaxed) == 0;
    ExitCode::from(u8::from(!clean))
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
    let stats = redis.manager().stats();
    redis.shutdown().await;
    drop(redis);
    Ok(End { counters: stats.counters, commands: stats.commands, latency, resident, tasks: tasks_left().await })
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

impl Soak {
    fn new(options: &Options) -> Self {
        let began = Instant::now();
        Self {
            began,
            end: began + Duration::from_secs(options.seconds),
            value_size: options.value_size,
            commands: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            wrong_reads: AtomicU64::new(0),
            slowest_us: AtomicU64::new(0),
            failure: Mutex::default(),
        }
    }

    async fn task(self: Arc<Self>, mut redis: EntraRedis, task: u64) -> Histogram<u64> {
        let (mut latency, mut era) = (histogram(), 0);
        for turn in 0.. {
            if Instant::now() >= self.end {
                break;
            }
            let key = format!("soak:{}:{task}:{era}:{}", std::process::id(), turn % KEYS);
            let value = self.value(task, turn);
            let lost_before = redis.manager().counters().links_lost;
            let written = self.timed(&mut latency, redis.set_ex(&key, &value, EXPIRY_SECONDS)).await;
            let read: Option<Option<Vec<u8>>> = self.timed(&mut latency, redis.get(&key)).await;
            if written.is_none() {
                // It may still happen, even after a later one: nothing can be concluded from these keys any more.
                era += 1;
            }
            let (Some(()), Some(read)) = (written, read) else {
                sleep(BREATH).await;
                continue;
            };
            let lost_since = redis.manager().counters().links_lost != lost_before;
            let right = match read {
                Some(read) => read == value,
                // A server that was restarted in between has forgotten the value; that is no wrong read.
                None => lost_since,
            };
            self.wrong_reads.fetch_add(u64::from(!right), Relaxed);
        }
        latency
    }

    async fn timed<T>(&self, latency: &mut Histogram<u64>, command: impl Future<Output = RedisResult<T>>) -> Option<T> {
        let sent = Instant::now();
        let result = command.await;
        let took = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        latency.saturating_record(took);
        self.slowest_us.fetch_max(took, Relaxed);
        self.commands.fetch_add(1, Relaxed);
        let noted = result.inspect_err(|error| {
            // Errors of this side have no code.
            self.answered.fetch_add(u64::from(error.code().is_some()), Relaxed);
            self.fail(error);
        });
        noted.ok()
    }

    fn fail(&self, error: &dyn Error) {
        self.errors.fetch_add(1, Relaxed);
        let mut failure = self.failure.lock().expect("no panic while it is locked");
        failure.first.get_or_insert_with(|| error.to_string());
        failure.last_at = Some(self.began.elapsed());
    }

    /// A value that no other task and no other turn writes.
    fn value(&self, task: u64, turn: u64) -> Vec<u8> {
        let mut value = format!("{task}:{turn}:").into_bytes();
        let alphabet = (b'a'..=b'z').cycle();
        value.extend(alphabet.take(self.value_size.saturating_sub(value.len())));
        value
    }

    async fn report(self: Arc<Self>, redis: EntraRedis) {
        let mut before = 0;
        loop {
            sleep(Duration::from_secs(1)).await;
            let commands = self.commands.load(Relaxed);
            let counters = redis.manager().counters();
            println!(
                "{:4.0} s  {:>8} commands/s  errors {}  wrong reads {}  rotations {}  re-AUTHs {}  reconnects {}",
                self.began.elapsed().as_secs_f32(),
                commands - before,
                self.errors.load(Relaxed),
                self.wrong_reads.load(Relaxed),
                counters.rotations,
                counters.reauths,
                counters.reconnects,
            );
            before = commands;
        }
    }
}

fn histogram() -> Histogram<u64> {
    // One per task: with three digits they would be the memory that grows.
    Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("constant bounds")
}
