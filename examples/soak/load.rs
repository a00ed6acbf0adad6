//! The tasks: each writes its own keys, reads them back and checks what it reads.

use entra_redis::EntraRedis;
use hdrhistogram::Histogram;
use redis::{AsyncCommands, InfoDict, RedisError, RedisResult};
use std::{
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Each task goes round this many keys of its own.
const KEYS: u64 = 16;

/// Keys vanish by themselves after a run.
const EXPIRY_SECONDS: u64 = 600;

/// After an error a task takes a breath: with no token, commands fail at once.
pub(crate) const BREATH: Duration = Duration::from_millis(10);

/// What the tasks have in common.
pub(crate) struct Soak {
    began: Instant,
    end: Instant,
    value_size: usize,
    pub(crate) commands: AtomicU64,
    pub(crate) errors: AtomicU64,
    /// Those of them that no fault explains.
    pub(crate) unexplained: AtomicU64,
    /// Those of them that Redis itself answered.
    pub(crate) answered: AtomicU64,
    pub(crate) wrong_reads: AtomicU64,
    /// To the microsecond: the histogram rounds.
    pub(crate) slowest_us: AtomicU64,
    pub(crate) failure: Mutex<Failure>,
}

#[derive(Default)]
pub(crate) struct Failure {
    pub(crate) first: Option<String>,
    pub(crate) last_at: Option<Duration>,
}

impl Soak {
    pub(crate) fn new(length: Duration, value_size: usize) -> Self {
        let began = Instant::now();
        Self {
            began,
            end: began + length,
            value_size,
            commands: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            unexplained: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            wrong_reads: AtomicU64::new(0),
            slowest_us: AtomicU64::new(0),
            failure: Mutex::default(),
        }
    }

    pub(crate) async fn task(self: Arc<Self>, mut redis: EntraRedis, task: u64) -> Histogram<u64> {
        let (mut latency, mut era) = (histogram(), 0);
        let mut server = run_id(&mut redis).await;
        for turn in 0.. {
            if Instant::now() >= self.end {
                break;
            }
            let key = format!("soak:{}:{task}:{era}:{}", std::process::id(), turn % KEYS);
            let value = self.value(task, turn);
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
            let right = match read {
                Some(read) => read == value,
                None => has_restarted(&mut redis, &mut server).await,
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
            self.unexplained.fetch_add(u64::from(!is_of_a_fault(error)), Relaxed);
            self.fail(error);
        });
        noted.ok()
    }

    pub(crate) fn fail(&self, error: &dyn Error) {
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

    pub(crate) async fn report(self: Arc<Self>, redis: EntraRedis) {
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

/// What tells this run of the server from the next; none if it does not say. Waits for it while commands fail.
async fn run_id(redis: &mut EntraRedis) -> Option<String> {
    loop {
        match redis::cmd("INFO").arg("server").query_async::<InfoDict>(redis).await {
            Ok(info) => return info.get("run_id"),
            Err(error) if is_of_a_fault(&error) => sleep(BREATH).await,
            Err(_) => return None,
        }
    }
}

/// Whether this is another server than the one that `known` is of, which then is this one: it has forgotten what was written.
async fn has_restarted(redis: &mut EntraRedis, known: &mut Option<String>) -> bool {
    let before = std::mem::replace(known, run_id(redis).await);
    before != *known
}

/// Whether a command fails like this when a connection breaks, the server stands still, or no token is to be had.
fn is_of_a_fault(error: &RedisError) -> bool {
    error.is_timeout() || error.is_connection_dropped() || error.kind() == redis::ErrorKind::AuthenticationFailed
}

/// Whether a command succeeds within this time.
pub(crate) async fn succeeds_again(redis: &mut EntraRedis, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while redis.set_ex::<_, _, ()>("soak:end", 1, EXPIRY_SECONDS).await.is_err() {
        if Instant::now() >= end {
            return false;
        }
        sleep(BREATH).await;
    }
    true
}

pub(crate) fn histogram() -> Histogram<u64> {
    // One per task: with three digits they would be the memory that grows.
    Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("constant bounds")
}
