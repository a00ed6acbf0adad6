//! Tasks that write and read back keys of one node each, and note how each command went.

use super::*;
pub use common::slot_of;
use redis::{AsyncCommands, RedisError};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Instant,
};
use tokio::task::JoinHandle;

/// One command.
#[derive(Clone)]
pub struct Done {
    pub began: Instant,
    pub ended: Instant,
    pub error: Option<RedisError>,
}

impl Done {
    pub fn took(&self) -> Duration {
        self.ended - self.began
    }
}

/// It ends when dropped.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<Done>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// So many tasks, each with a key in a slot of this node's.
    pub async fn on_node(redis: &EntraRedis, cluster: &Cluster, node: usize, tasks: usize) -> Self {
        let keys = keys_of(cluster, node, tasks).await;
        Self::on_keys(redis, keys)
    }

    pub fn on_keys(redis: &EntraRedis, keys: Vec<String>) -> Self {
        let (stop, done) = (Arc::default(), Arc::default());
        let tasks =
            keys.into_iter().map(|key| tokio::spawn(work(redis.clone(), key, Arc::clone(&stop), Arc::clone(&done))));
        Self { tasks: tasks.collect(), stop, done }
    }

    pub fn done(&self) -> Vec<Done> {
        self.done.lock().unwrap().clone()
    }

    /// Waits until a command has succeeded that began after `moment`; returns when it ended.
    pub async fn success_since(&self, moment: Instant, limit: Duration) -> Instant {
        common::eventually("a command succeeds", limit, async || {
            let done = self.done.lock().unwrap();
            done.iter().filter(|done| done.error.is_none() && done.ended >= moment).map(|done| done.ended).min()
        })
        .await
    }

    /// Waits until each task has made some commands more.
    pub async fn progress(&self) {
        let now = Instant::now();
        self.success_since(now, 20 * common::SECOND).await;
        let so_many = 50 * self.tasks.len() + self.done.lock().unwrap().len();
        common::eventually("the traffic flows", 20 * common::SECOND, async || {
            (self.done.lock().unwrap().len() >= so_many).then_some(())
        })
        .await;
    }

    pub async fn stop(mut self) -> Vec<Done> {
        self.stop.store(true, SeqCst);
        for task in std::mem::take(&mut self.tasks) {
            task.await.expect("every read was right");
        }
        self.done()
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
    }
}

async fn work(mut redis: EntraRedis, key: String, stop: Arc<AtomicBool>, notes: Arc<Mutex<Vec<Done>>>) {
    let note = |began, error: Option<&RedisError>| {
        let done = Done { began, ended: Instant::now(), error: error.cloned() };
        notes.lock().unwrap().push(done);
    };
    let mut turn = 0_u64;
    while !stop.load(SeqCst) {
        turn += 1;
        let began = Instant::now();
        let written = redis.set::<_, _, ()>(&key, turn).await;
        note(began, written.as_ref().err());
        let began = Instant::now();
        let read = redis.get::<_, Option<u64>>(&key).await;
        note(began, read.as_ref().err());
        if written.is_ok()
            && let Ok(read) = read
        {
            // What was acknowledged just before a primary died may be lost with it.
            assert!(read.is_none_or(|read| read <= turn), "{key}: {read:?} of {turn}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// No command has failed.
pub fn assert_unharmed(done: &[Done]) {
    let failed: Vec<_> = done.iter().filter_map(|done| done.error.as_ref()).collect();
    assert!(failed.is_empty(), "{} of {} failed, first: {}", failed.len(), done.len(), failed[0]);
    assert!(!done.is_empty());
}

/// Of commands that ended after `moment`, the longest.
pub fn slowest(done: &[Done]) -> Duration {
    done.iter().map(Done::took).max().unwrap_or_default()
}

/// So many keys in slots of this node's.
pub async fn keys_of(cluster: &Cluster, node: usize, count: usize) -> Vec<String> {
    let nodes = cluster.nodes().await.unwrap();
    let slots = &nodes.iter().find(|known| known.index == node).unwrap().slots;
    let is_here = |key: &String| slots.iter().any(|range| range.contains(&slot_of(key)));
    (0..).map(|number| format!("key:{number}")).filter(is_here).take(count).collect()
}
