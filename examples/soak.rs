//! Load on any cache, for as long as you like: every task writes its own keys, reads them back and checks what it reads.
//!
//! Reads `REDIS_HOST`, `REDIS_PORT` (default 10000), `REDIS_CA_CERT` (a PEM file; without it, the operating system's trust
//! roots) and the credential from the `AZURE_*` variables. Ends with status 0 if there was no error and no wrong read.

use clap::Parser;
use entra_redis::{Config, EntraRedis, Tls};
use hdrhistogram::Histogram;
use redis::{AsyncCommands, RedisResult};
use serde_json::json;
use std::{
    env,
    error::Error,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

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

struct Soak {
    began: Instant,
    end: Instant,
    value_size: usize,
    commands: AtomicU64,
    errors: AtomicU64,
    wrong_reads: AtomicU64,
    failure: Mutex<Failure>,
}

#[derive(Default)]
struct Failure {
    first: Option<String>,
    last_at: Option<Duration>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let soak = Arc::new(Soak::new(&options));
    let (counters, latency) = match run(&options, &soak).await {
        Ok(done) => done,
        Err(error) => {
            eprintln!("{error}");
            soak.fail(&*error);
            (entra_redis::Counters::default(), histogram())
        }
    };
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
        "max_us": latency.max(),
        "first_error": failure.first,
        "last_error_at_s": failure.last_at.map(|at| at.as_secs_f64()),
    });
    if options.json {
        println!("{report}");
    } else {
        println!("{report:#}");
    }
    let clean = soak.errors.load(Relaxed) == 0 && soak.wrong_reads.load(Relaxed) == 0;
    ExitCode::from(u8::from(!clean))
}

async fn run(options: &Options, soak: &Arc<Soak>) -> Result<(entra_redis::Counters, Histogram<u64>), Box<dyn Error>> {
    let host = env::var("REDIS_HOST").map_err(|_| "REDIS_HOST is not set")?;
    let port = env::var("REDIS_PORT").map_or(Ok(10000), |port| port.parse()).map_err(|_| "REDIS_PORT is no port")?;
    let redis = EntraRedis::connect(&host, port, config(options)?).await?;
    let tasks: Vec<_> =
        (0..options.tasks).map(|task| tokio::spawn(Arc::clone(soak).task(redis.clone(), task))).collect();
    let progress = tokio::spawn(Arc::clone(soak).report(redis.clone()));
    let mut latency = histogram();
    for task in tasks {
        latency.add(task.await?)?;
    }
    progress.abort();
    let counters = redis.manager().counters();
    redis.shutdown().await;
    Ok((counters, latency))
}

fn config(options: &Options) -> Result<Config, Box<dyn Error>> {
    let mut config = Config::from_env()?;
    if let Some(ca_file) = env::var_os("REDIS_CA_CERT") {
        config = config.tls(Tls::new().ca_file(ca_file));
    }
    if let Some(links) = options.pool_size {
        config = config.pool_size(links);
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
            wrong_reads: AtomicU64::new(0),
            failure: Mutex::default(),
        }
    }

    async fn task(self: Arc<Self>, mut redis: EntraRedis, task: u64) -> Histogram<u64> {
        let mut latency = histogram();
        for turn in 0.. {
            if Instant::now() >= self.end {
                break;
            }
            let key = format!("soak:{}:{task}:{}", std::process::id(), turn % KEYS);
            let value = self.value(task, turn);
            let lost_before = redis.manager().counters().links_lost;
            let written = self.timed(&mut latency, redis.set_ex(&key, &value, EXPIRY_SECONDS)).await;
            let read: Option<Option<Vec<u8>>> = self.timed(&mut latency, redis.get(&key)).await;
            // A write that failed may or may not have happened: nothing to check then.
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
        latency.saturating_record(u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX));
        self.commands.fetch_add(1, Relaxed);
        result.map_err(|error| self.fail(&error)).ok()
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
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("constant bounds")
}
