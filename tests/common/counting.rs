//! Tasks that count at Redis, to see that nothing runs twice and nothing that succeeded is missing.

use super::{SECOND, eventually, logs};
use entra_redis::EntraRedis;
use redis::{AsyncCommands, RedisError, RedisResult};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::task::JoinHandle;

/// What a request counts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// One INCR.
    Single,
    /// Two in a pipeline, of which one alone may run.
    Pipeline,
    /// Two in a transaction, which run together or not at all.
    Transaction,
}

impl How {
    fn increments(self) -> u64 {
        if self == Self::Single { 1 } else { 2 }
    }

    async fn send(self, redis: &mut EntraRedis, key: &str) -> RedisResult<()> {
        let mut pipeline = redis::pipe();
        match self {
            Self::Single => return redis.incr(key, 1).await,
            Self::Pipeline => {}
            Self::Transaction => _ = pipeline.atomic(),
        }
        pipeline.incr(key, 1).incr(key, 1);
        pipeline.query_async(redis).await
    }
}

#[derive(Default)]
struct Notes {
    stop: AtomicBool,
    asked: AtomicU64,
    done: AtomicU64,
    errors: Mutex<Vec<RedisError>>,
}

/// Tasks that increment one key until they are stopped.
pub struct Counting {
    key: &'static str,
    notes: Arc<Notes>,
    tasks: Vec<JoinHandle<()>>,
}

/// What they have seen: how many increments they asked for, how many were answered, and what failed.
pub struct Counted {
    pub key: &'static str,
    pub asked: u64,
    pub done: u64,
    pub errors: Vec<RedisError>,
}

impl Counting {
    pub fn start(redis: &EntraRedis, tasks: usize, key: &'static str, how: How) -> Self {
        let notes = Arc::new(Notes::default());
        let tasks = (0..tasks).map(|_| tokio::spawn(count(redis.clone(), key, how, Arc::clone(&notes)))).collect();
        Self { key, notes, tasks }
    }

    pub fn errors(&self) -> usize {
        self.notes.errors.lock().unwrap().len()
    }

    /// Waits until so many increments more have been answered.
    pub async fn progress(&self, increments: u64) {
        let goal = self.notes.done.load(SeqCst) + increments;
        eventually("increments", 20 * SECOND, async || (self.notes.done.load(SeqCst) >= goal).then_some(())).await;
    }

    pub async fn stop(self) -> Counted {
        self.notes.stop.store(true, SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        let errors = std::mem::take(&mut *self.notes.errors.lock().unwrap());
        let (asked, done) = (self.notes.asked.load(SeqCst), self.notes.done.load(SeqCst));
        Counted { key: self.key, asked, done, errors }
    }
}

impl Counted {
    /// Nothing failed, and everything ran once.
    pub fn assert_exact(&self, counted: u64) {
        let Self { key, asked, done, errors } = self;
        assert!(errors.is_empty(), "{key}: {} errors, first {:?}", errors.len(), errors.first());
        assert_eq!((*asked, *done), (counted, counted), "{key}");
        assert!(counted > 0, "{key}: nothing was counted");
    }
}

async fn count(mut redis: EntraRedis, key: &str, how: How, notes: Arc<Notes>) {
    while !notes.stop.load(SeqCst) {
        notes.asked.fetch_add(how.increments(), SeqCst);
        match how.send(&mut redis, key).await {
            Ok(()) => _ = notes.done.fetch_add(how.increments(), SeqCst),
            Err(error) => {
                logs::check(&format!("{error} {error:?}"));
                notes.errors.lock().unwrap().push(error);
                // After a shutdown they fail at once.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
