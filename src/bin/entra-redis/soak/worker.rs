//! One task: it writes its own keys, reads them back, and judges what it reads.

use super::{
    plan::{Plan, RETRY_DELAY},
    register::Register,
    servers::{Loss, Servers, cover},
    tally::{Kind, histogram},
};
use entra_redis::EntraRedis;
use hdrhistogram::Histogram;
use redis::AsyncCommands;
use std::{
    array::from_fn,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::sleep;

/// Each task has this many keys of its own.
const KEYS: usize = 16;

/// How much is shown of a value that should not be there.
const SHOWN: usize = 32;

pub(super) struct Worker {
    plan: Arc<Plan>,
    redis: EntraRedis,
    task: usize,
    keys: [Register; KEYS],
    servers: Servers,
    latency: Histogram<u64>,
}

/// What a task leaves behind.
pub(super) struct Done {
    pub(super) latency: Histogram<u64>,
    /// Whether everything could be read in the end.
    pub(super) recovered: bool,
}

impl Worker {
    pub(super) fn new(plan: &Arc<Plan>, redis: &EntraRedis, task: usize, servers: &Servers) -> Self {
        Self {
            plan: Arc::clone(plan),
            redis: redis.clone(),
            task,
            keys: from_fn(|_| Register::default()),
            servers: servers.clone(),
            latency: histogram(),
        }
    }

    /// Writes all keys, reads all keys, and so on to the end of the run; reads them all once more then.
    pub(super) async fn run(mut self) -> Done {
        for turn in 0_usize.. {
            if self.plan.is_over() {
                break;
            }
            let (round, key) = (turn / KEYS, turn % KEYS);
            let succeeded = if round.is_multiple_of(2) { self.write(key, turn).await } else { self.read(key).await };
            if !succeeded {
                sleep(RETRY_DELAY).await;
            }
        }
        let recovered = self.read_all().await;
        Done { latency: self.latency, recovered }
    }

    /// Whether every key could be read, at last.
    async fn read_all(&mut self) -> bool {
        let limit = self.plan.recovers_until();
        for key in 0..KEYS {
            while !self.read(key).await {
                if limit.has_passed() {
                    return false;
                }
                sleep(RETRY_DELAY).await;
            }
        }
        true
    }

    /// Whether that succeeded.
    async fn write(&mut self, key: usize, turn: usize) -> bool {
        let (name, value) = (self.name(key), self.value(turn));
        let command = self.redis.set_ex(&name, &value, self.plan.expiry_seconds);
        let written: Result<(), Kind> = self.plan.tally.timed(&mut self.latency, command).await;
        match written {
            Ok(()) => self.keys[key].written(turn),
            Err(kind) if kind.may_have_run() => self.keys[key].perhaps_written(turn),
            Err(_) => {}
        }
        written.is_ok()
    }

    /// Whether that succeeded, whatever was found.
    async fn read(&mut self, key: usize) -> bool {
        let name = self.name(key);
        let command = self.redis.get(&name);
        let read: Result<Option<Vec<u8>>, Kind> = self.plan.tally.timed(&mut self.latency, command).await;
        let Ok(found) = read else {
            return false;
        };
        if !self.is_right(key, found.as_deref()).await {
            let known = &self.keys[key];
            let found = found.as_deref().map(|value| String::from_utf8_lossy(&value[..value.len().min(SHOWN)]));
            self.plan.tally.wrong_read(|| format!("{name}: found {found:?}, with {known:?}"));
        }
        true
    }

    async fn is_right(&mut self, key: usize, found: Option<&[u8]>) -> bool {
        let write = found.map(|value| self.write_of(value));
        // Nobody has written that.
        if write == Some(None) {
            return false;
        }
        let write = write.flatten();
        if self.keys[key].may_hold(write) {
            return true;
        }
        let name = self.name(key);
        let register = Mutex::new(&mut self.keys[key]);
        let explains = |losses: &[Loss]| {
            let mut register = register.lock().unwrap_or_else(PoisonError::into_inner);
            register.may_hold_after_loss(write, |moment| cover(losses, moment))
        };
        let found = write.map_or_else(|| "nothing".to_owned(), |write| format!("what turn {write} wrote"));
        self.servers.excuse(&name, explains, || format!("{name}: found {found}")).await
    }

    fn name(&self, key: usize) -> String {
        format!("soak:{:x}:{}:{key}", self.plan.run, self.task)
    }

    /// A value that no other task and no other turn writes.
    fn value(&self, turn: usize) -> Vec<u8> {
        let mut value = format!("{}:{turn}:", self.task).into_bytes();
        let alphabet = (b'a'..=b'z').cycle();
        value.extend(alphabet.take(self.plan.value_size.saturating_sub(value.len())));
        value
    }

    /// The turn that wrote this value.
    fn write_of(&self, value: &[u8]) -> Option<usize> {
        let turn = str::from_utf8(value).ok()?.split(':').nth(1)?.parse().ok()?;
        (self.value(turn) == value).then_some(turn)
    }
}
