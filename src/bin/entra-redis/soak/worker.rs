//! One task: it writes its own keys, reads them back, and judges what it reads.

use super::{
    Options,
    register::Register,
    tally::{Kind, Tally, histogram},
};
use entra_redis::EntraRedis;
use hdrhistogram::Histogram;
use redis::{AsyncCommands, Value};
use std::{
    array::from_fn,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::sleep};

/// Each task has this many keys of its own.
const KEYS: usize = 16;

/// Keys vanish by themselves after a run, but not within one.
const AFTERLIFE_SECONDS: u64 = 600;

/// After an error a task takes a breath: with no token, commands fail at once.
const BREATH: Duration = Duration::from_millis(10);

/// How much is shown of a value that should not be there.
const SHOWN: usize = 32;

/// What all tasks share.
pub(super) struct Plan {
    pub(super) tally: Tally,
    end: Instant,
    /// Set when somebody wants an earlier end.
    stop: watch::Sender<bool>,
    chaos: bool,
    recovery: Duration,
    value_size: usize,
    /// Keeps the keys of this run apart from those of all others.
    run: u64,
    expiry_seconds: u64,
}

impl Plan {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            tally: Tally::new(options.chaos),
            end: Instant::now() + Duration::from_secs(options.seconds),
            stop: watch::Sender::new(false),
            chaos: options.chaos,
            recovery: Duration::from_secs(options.recovery),
            value_size: options.value_size,
            run: fastrand::u64(..),
            expiry_seconds: options.seconds.saturating_add(AFTERLIFE_SECONDS),
        }
    }

    /// Ends the run before its time.
    pub(super) fn stop(&self) {
        self.stop.send_replace(true);
    }

    fn is_over(&self) -> bool {
        *self.stop.borrow() || Instant::now() >= self.end
    }

    /// Waits for an end before its time.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.subscribe();
        async move { _ = stop.wait_for(|stop| *stop).await }
    }

    /// What the servers call themselves, another name after each start; none if they do not say.
    pub(super) async fn names(&self, redis: &mut EntraRedis) -> Option<Names> {
        let limit = Instant::now() + self.recovery;
        loop {
            match redis::cmd("INFO").arg("server").query_async::<Value>(redis).await {
                Ok(info) => return Some(names(info)).filter(|names| !names.is_empty()),
                // Not to everybody, perhaps.
                Err(error) if error.code().is_some() => return None,
                Err(_) if Instant::now() >= limit => return None,
                Err(_) => sleep(BREATH).await,
            }
        }
    }
}

/// The name of each server by its address, which is empty for a single endpoint.
pub(super) type Names = BTreeMap<String, String>;

/// Those in a reply to `INFO`. That of a cluster is a map, with an error for a node that does not answer.
fn names(info: Value) -> Names {
    let name = |info: Value| {
        let info: String = redis::from_redis_value(info).ok()?;
        info.lines().find_map(|line| line.strip_prefix("run_id:")).map(str::to_owned)
    };
    match info {
        Value::Map(nodes) => nodes
            .into_iter()
            .filter_map(|(node, info)| Some((redis::from_redis_value(node).ok()?, name(info)?)))
            .collect(),
        info => name(info).map(|name| (String::new(), name)).into_iter().collect(),
    }
}

/// Whether keys may be lost between the two looks: a server was started anew. With `chaos`, also if a node has gone:
/// its replica may not have had all of its writes.
fn may_have_lost(before: &Names, now: &Names, chaos: bool) -> bool {
    before.iter().any(|(node, name)| now.get(node).map_or(chaos, |newer| newer != name))
}

pub(super) struct Worker {
    plan: Arc<Plan>,
    redis: EntraRedis,
    task: usize,
    keys: [Register; KEYS],
    /// The servers', at the last look.
    names: Option<Names>,
    latency: Histogram<u64>,
}

/// What a task leaves behind.
pub(super) struct Done {
    pub(super) latency: Histogram<u64>,
    /// Whether everything could be read in the end.
    pub(super) recovered: bool,
}

impl Worker {
    pub(super) fn new(plan: &Arc<Plan>, redis: &EntraRedis, task: usize, names: Option<&Names>) -> Self {
        Self {
            plan: Arc::clone(plan),
            redis: redis.clone(),
            task,
            keys: from_fn(|_| Register::default()),
            names: names.cloned(),
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
                sleep(BREATH).await;
            }
        }
        let recovered = self.read_all().await;
        Done { latency: self.latency, recovered }
    }

    /// Whether every key could be read, at last.
    async fn read_all(&mut self) -> bool {
        let limit = Instant::now() + self.plan.recovery;
        for key in 0..KEYS {
            while !self.read(key).await {
                if Instant::now() >= limit {
                    return false;
                }
                sleep(BREATH).await;
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
        let Some(value) = found else {
            return self.keys[key].may_hold(None) || (self.was_restarted().await && self.keys[key].may_hold(None));
        };
        let write = self.write_of(value);
        write.is_some() && self.keys[key].may_hold(write)
    }

    /// Whether a server has been started anew since the last look: then, and only then, it may have lost any key. One
    /// that does not say has not.
    async fn was_restarted(&mut self) -> bool {
        let Some(now) = self.plan.names(&mut self.redis).await else {
            return false;
        };
        let restarted = self.names.as_ref().is_some_and(|before| may_have_lost(before, &now, self.plan.chaos));
        self.names = Some(now);
        if restarted {
            self.keys.iter_mut().for_each(Register::perhaps_lost);
        }
        restarted
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
