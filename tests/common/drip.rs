//! A gentle load: a few tasks that write and read back keys of their own, with a breath after each round, and note
//! everything that goes wrong. Many such loads leave a small machine free for the timers that are being tested.

use super::logs;
use entra_redis::EntraRedis;
use redis::{AsyncCommands, RedisError, RedisResult};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Between the rounds of a task.
const BREATH: Duration = Duration::from_millis(5);

/// A command that failed.
pub struct Failure {
    pub error: RedisError,
    pub began: Instant,
}

#[derive(Default)]
struct Notes {
    stop: AtomicBool,
    successes: AtomicU64,
    wrong_reads: AtomicU64,
    slowest_us: AtomicU64,
    failures: Mutex<Vec<Failure>>,
}

pub struct Drip {
    notes: Arc<Notes>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the load has seen.
pub struct Report {
    pub successes: u64,
    pub wrong_reads: u64,
    pub slowest: Duration,
    pub failures: Vec<Failure>,
}

impl Drip {
    pub fn start(redis: &EntraRedis, tasks: u64) -> Self {
        let notes = Arc::new(Notes::default());
        let tasks = (0..tasks).map(|task| tokio::spawn(work(redis.clone(), task, Arc::clone(&notes)))).collect();
        Self { notes, tasks }
    }

    /// Commands that have succeeded so far.
    pub fn successes(&self) -> u64 {
        self.notes.successes.load(Relaxed)
    }

    /// Ends the load and tells what it has seen.
    pub async fn stop(self) -> Report {
        self.notes.stop.store(true, Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let failures = std::mem::take(&mut *self.notes.failures.lock().unwrap());
        Report {
            successes: self.notes.successes.load(Relaxed),
            wrong_reads: self.notes.wrong_reads.load(Relaxed),
            slowest: Duration::from_micros(self.notes.slowest_us.load(Relaxed)),
            failures,
        }
    }
}

impl Report {
    /// No command failed and every read was right.
    pub fn assert_unharmed(&self) {
        let first = self.failures.first().map(|failure| &failure.error);
        assert!(self.failures.is_empty(), "{} commands failed, first: {first:?}", self.failures.len());
        assert_eq!(self.wrong_reads, 0);
        assert!(self.successes > 0);
    }
}

impl Notes {
    /// Runs a command; none if it fails.
    async fn note<T>(&self, command: impl Future<Output = RedisResult<T>>) -> Option<T> {
        let began = Instant::now();
        let result = command.await;
        self.slowest_us.fetch_max(u64::try_from(began.elapsed().as_micros()).unwrap(), Relaxed);
        match result {
            Ok(value) => {
                self.successes.fetch_add(1, Relaxed);
                Some(value)
            }
            Err(error) => {
                logs::check(&format!("{error} {error:?}"));
                self.failures.lock().unwrap().push(Failure { error, began });
                None
            }
        }
    }
}

async fn work(mut redis: EntraRedis, task: u64, notes: Arc<Notes>) {
    let (mut turn, mut key) = (0_u64, format!("drip:{task}"));
    while !notes.stop.load(Relaxed) {
        turn += 1;
        let written = notes.note(redis.set::<_, _, ()>(&key, turn)).await;
        let read = match written {
            Some(()) => notes.note(redis.get::<_, Option<u64>>(&key)).await,
            None => None,
        };
        match read {
            Some(value) => drop(notes.wrong_reads.fetch_add(u64::from(value != Some(turn)), Relaxed)),
            // A write that failed may take effect later: nothing can be concluded from its key any more.
            None => key = format!("drip:{task}:{turn}"),
        }
        tokio::time::sleep(BREATH).await;
    }
}
