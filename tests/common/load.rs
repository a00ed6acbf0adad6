//! Tasks that share one handle, write and read back their own keys, and note everything that goes wrong.

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

/// Between two rounds, of whichever tasks of a load.
const APART: Duration = Duration::from_millis(1);

/// After each round of a gentle load.
const PAUSE: Duration = Duration::from_millis(5);

/// After a round that failed: while there is no token commands fail at once, and would take all of a small machine.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

/// A command that failed.
pub struct Failure {
    pub error: RedisError,
    pub began: Instant,
    pub at: Instant,
}

#[derive(Default)]
struct Notes {
    stop: AtomicBool,
    commands: AtomicU64,
    successes: AtomicU64,
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
    /// Tasks that together send some two thousand commands a second. A small machine has time left: for the timers
    /// under test, and for the tests beside this one; so there are moments without a command under way.
    pub fn start(redis: &EntraRedis, tasks: u64) -> Self {
        Self::with_pauses(redis, tasks, APART * u32::try_from(tasks).expect("a few tasks"))
    }

    /// Tasks that send as much as Redis takes, where crowded links are what is tried, or commands have to be under
    /// way at a certain moment.
    pub fn full(redis: &EntraRedis, tasks: u64) -> Self {
        Self::with_pauses(redis, tasks, Duration::ZERO)
    }

    /// Tasks with a pause after each round: many such loads leave a small machine free for the timers under test.
    pub fn gentle(redis: &EntraRedis, tasks: u64) -> Self {
        Self::with_pauses(redis, tasks, PAUSE)
    }

    /// The same, on keys that begin like this: a hash tag has all of them in one slot.
    pub fn gentle_on(redis: &EntraRedis, tasks: u64, prefix: &str) -> Self {
        Self::on_keys(redis, tasks, PAUSE, prefix)
    }

    /// Tasks with this pause after each round.
    pub fn with_pauses(redis: &EntraRedis, tasks: u64, pause: Duration) -> Self {
        Self::on_keys(redis, tasks, pause, "load")
    }

    fn on_keys(redis: &EntraRedis, tasks: u64, pause: Duration, prefix: &str) -> Self {
        let notes = Arc::new(Notes::default());
        let key = |task| format!("{prefix}:{task}");
        let task = |task| tokio::spawn(work(redis.clone(), task, key(task), pause, Arc::clone(&notes)));
        Self { tasks: (0..tasks).map(task).collect(), notes }
    }

    /// Commands that have ended so far.
    pub fn commands(&self) -> u64 {
        self.notes.commands.load(Relaxed)
    }

    /// Commands that have succeeded so far.
    pub fn successes(&self) -> u64 {
        self.notes.successes.load(Relaxed)
    }

    /// Commands that have failed so far.
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

impl Notes {
    /// Runs a command; none if it fails.
    async fn note<T>(&self, command: impl Future<Output = RedisResult<T>>) -> Option<T> {
        let began = Instant::now();
        let result = command.await;
        self.slowest_us.fetch_max(u64::try_from(began.elapsed().as_micros()).unwrap(), Relaxed);
        self.commands.fetch_add(1, Relaxed);
        match result {
            Ok(value) => {
                self.successes.fetch_add(1, Relaxed);
                Some(value)
            }
            Err(error) => {
                logs::check(&format!("{error} {error:?}"));
                self.failures.lock().unwrap().push(Failure { error, began, at: Instant::now() });
                None
            }
        }
    }
}

async fn work(mut redis: EntraRedis, task: u64, own: String, pause: Duration, notes: Arc<Notes>) {
    let (mut turn, mut key) = (0_u64, own.clone());
    while !notes.stop.load(Relaxed) {
        turn += 1;
        let value = format!("{task}:{turn}");
        let written = notes.note(redis.set::<_, _, ()>(&key, &value)).await;
        let read = notes.note(redis.get::<_, Option<String>>(&key)).await;
        if written.is_some()
            && let Some(read) = read
        {
            notes.wrong_reads.fetch_add(u64::from(read != Some(value)), Relaxed);
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            continue;
        }
        // A write that failed may take effect later: nothing can be concluded from its key any more.
        key = format!("{own}:{turn}");
        tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
    }
}
