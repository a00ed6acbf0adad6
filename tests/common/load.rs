//! Tasks that share one handle, write and read back their own keys, and note everything that goes wrong.

use super::logs;
use entra_redis::EntraRedis;
use redis::{AsyncCommands, RedisError};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// A command that failed.
pub struct Failure {
    pub error: RedisError,
    pub at: Instant,
}

#[derive(Default)]
struct Notes {
    stop: AtomicBool,
    commands: AtomicU64,
    wrong_reads: AtomicU64,
    slowest_us: AtomicU64,
    failures: Mutex<Vec<Failure>>,
}

pub struct Load {
    notes: Arc<Notes>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the load has seen.
pub struct Report {
    pub commands: u64,
    pub wrong_reads: u64,
    pub slowest: Duration,
    pub failures: Vec<Failure>,
}

impl Load {
    pub fn start(redis: &EntraRedis, tasks: u64) -> Self {
        let notes = Arc::new(Notes::default());
        let tasks = (0..tasks).map(|task| tokio::spawn(work(redis.clone(), task, Arc::clone(&notes)))).collect();
        Self { notes, tasks }
    }

    pub fn commands(&self) -> u64 {
        self.notes.commands.load(Relaxed)
    }

    pub fn failures(&self) -> usize {
        self.notes.failures.lock().unwrap().len()
    }

    /// Ends the load and tells what it has seen.
    pub async fn stop(self) -> Report {
        self.notes.stop.store(true, Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let failures = std::mem::take(&mut *self.notes.failures.lock().unwrap());
        Report {
            commands: self.notes.commands.load(Relaxed),
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
        assert!(
            self.failures.is_empty(),
            "{} of {} commands failed, first: {first:?}",
            self.failures.len(),
            self.commands
        );
        assert_eq!(self.wrong_reads, 0);
        assert!(self.commands > 0);
    }
}

async fn work(mut redis: EntraRedis, task: u64, notes: Arc<Notes>) {
    let mut turn = 0_u64;
    while !notes.stop.load(Relaxed) {
        turn += 1;
        let (key, value) = (format!("load:{task}"), format!("{task}:{turn}"));
        let began = Instant::now();
        let written = redis.set::<_, _, ()>(&key, &value).await;
        let half = began.elapsed();
        let read = redis.get::<_, Option<String>>(&key).await;
        let slowest = half.max(began.elapsed().saturating_sub(half));
        notes.slowest_us.fetch_max(u64::try_from(slowest.as_micros()).unwrap(), Relaxed);
        notes.commands.fetch_add(2, Relaxed);
        let failed = [written.as_ref().err(), read.as_ref().err()].into_iter().flatten().cloned().collect::<Vec<_>>();
        if failed.is_empty() {
            let wrong = read.ok().flatten() != Some(value);
            notes.wrong_reads.fetch_add(u64::from(wrong), Relaxed);
            continue;
        }
        for error in failed {
            logs::check(&format!("{error} {error:?}"));
            let at = Instant::now();
            notes.failures.lock().unwrap().push(Failure { error, at });
        }
        // While there is no token commands fail at once: a breath, so that the test machine is not all busy with that.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
