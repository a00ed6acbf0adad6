//! Reads of a cached handle: from memory, over the connection whose server tells of changes, or as any other read.

use super::{
    CachedRedis, Shared,
    tracker::{Session, Tracker},
};
use crate::{
    command::{Operation, profile},
    error::{Error, ErrorKind, Stage},
    exec::core::Core,
    link::{Access, Outcome},
    near_cache::{Came, Flight, Query},
    observe::metrics::Stopwatch,
};
use futures_util::future::{OptionFuture, join_all};
use redis::{Arg, Cmd, RedisFuture, RedisResult, ServerErrorKind, Value, aio::ConnectionLike};
use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{task::coop::consume_budget, time::Instant};

/// A read of one key, which looks into the memory when it is first polled. What is found there costs no more than this.
pub(super) struct Reading<'a> {
    cmd: &'a Cmd,
    query: Query<'a>,
    state: State<'a>,
}

enum State<'a> {
    New(&'a mut CachedRedis),
    Missed(RedisFuture<'a, Value>),
    Done,
}

impl<'a> Reading<'a> {
    pub(super) fn new(cached: &'a mut CachedRedis, cmd: &'a Cmd, query: Query<'a>) -> Self {
        Self { cmd, query, state: State::New(cached) }
    }
}

impl Future for Reading<'_> {
    type Output = RedisResult<Value>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let reading = self.get_mut();
        if let State::New(_) = reading.state {
            // Otherwise a task that only reads from memory would never let others run.
            ready!(pin!(consume_budget()).poll(cx));
        }
        let mut missed = match std::mem::replace(&mut reading.state, State::Done) {
            State::New(cached) => {
                if cached.may_look_up()
                    && let Some(value) = cached.store().get(reading.query, cached.part)
                {
                    return Poll::Ready(Ok(value));
                }
                cached.missed(reading.cmd, reading.query)
            }
            State::Missed(missed) => missed,
            State::Done => panic!("a read was polled after its end"),
        };
        let result = missed.as_mut().poll(cx);
        if result.is_pending() {
            reading.state = State::Missed(missed);
        }
        result
    }
}

impl CachedRedis {
    /// Whether its reads may go another way than what it has sent before.
    fn may_look_up(&self) -> bool {
        // What is on its way unanswered may be a write of the same key.
        self.redis.memory.unanswered.is_empty()
    }

    #[cold]
    fn missed<'a>(&'a mut self, cmd: &'a Cmd, query: Query<'a>) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let core = self.redis.manager.core();
            let deadline = Instant::now() + core.command_timeout;
            let mut stopwatch = Stopwatch::default();
            stopwatch.start();
            let flight = if self.may_look_up() { self.fetch(query) } else { None };
            let was_sent = flight.is_some();
            if let Some(Some(value)) = OptionFuture::from(flight).await {
                if let Some(took) = stopwatch.stop() {
                    core.operations.record(Operation::Command(profile(cmd)), took, None);
                }
                return Ok(unshared(value));
            }
            self.go_around(cmd, &[query.key], was_sent.then_some(deadline)).await
        })
    }

    /// The values of several keys, as far as they are in memory. The others are read each for itself over the
    /// connections of their nodes; what does not come there is read all together, as any other read.
    pub(super) async fn read_several(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        consume_budget().await;
        let keys: Vec<_> =
            cmd.args_iter().skip(1).map(|arg| if let Arg::Simple(key) = arg { key } else { b"0" }).collect();
        if !self.may_look_up() {
            return self.pass(cmd).await;
        }
        let deadline = Instant::now() + self.redis.manager.core().command_timeout;
        let mut stopwatch = Stopwatch::default();
        stopwatch.start();
        let mut values: Vec<_> = keys.iter().map(|key| self.store().get(Query::get(key), self.part)).collect();
        let missing: Vec<_> = (0..keys.len()).filter(|at| values[*at].is_none()).collect();
        let flights: Option<Vec<_>> = missing.iter().map(|at| self.fetch(Query::get(keys[*at]))).collect();
        let Some(flights) = flights else {
            // All keys in one command; nobody waits for the reads that have been sent already.
            return self.pass(cmd).await;
        };
        for (at, value) in missing.iter().zip(join_all(flights).await) {
            values[*at] = value.map(unshared);
        }
        let rest: Vec<_> = missing.iter().copied().filter(|at| values[*at].is_none()).collect();
        if !rest.is_empty() {
            // It is recorded as the command that it is.
            let others: Vec<_> = rest.iter().map(|at| keys[*at]).collect();
            match self.go_around(redis::cmd("MGET").arg(&others), &others, Some(deadline)).await? {
                Value::Array(found) => rest.iter().zip(found).for_each(|(at, value)| values[*at] = Some(value)),
                refused => return Ok(refused),
            }
        } else if !missing.is_empty()
            && let Some(took) = stopwatch.stop()
        {
            let operations = &self.redis.manager.core().operations;
            operations.record(Operation::Command(profile(cmd)), took, None);
        }
        Ok(Value::Array(values.into_iter().map(Option::unwrap_or_default).collect()))
    }

    /// Sends it as any other read, by `deadline` if there is one. What is kept of these keys, or is just being read,
    /// may be older than this reply: it is forgotten, so that nobody reads it after this.
    async fn go_around(&mut self, cmd: &Cmd, keys: &[&[u8]], deadline: Option<Instant>) -> RedisResult<Value> {
        let Self { redis, cache, .. } = self;
        let manager = Arc::clone(&redis.manager);
        let sent = redis.req_packed_command(cmd);
        let result = match deadline {
            None => sent.await,
            Some(deadline) => {
                let core = manager.core();
                core.timers.timeout_at(deadline, sent).await.unwrap_or_else(|| Err(timed_out(core).into()))
            }
        };
        for key in keys {
            cache.shared.store.forget(key);
        }
        result
    }

    /// The read of this over the connection of its node, joined or begun; none if there is no connection.
    fn fetch(&self, query: Query<'_>) -> Option<Flight> {
        let (tracker, session) = self.session(query.key)?;
        let Session { link, coverage } = session;
        let core = self.redis.manager.core();
        let store = self.store();
        store.fetch(query, &coverage, || {
            if core.admission.has_queue() || !core.admission.try_acquire() {
                return None;
            }
            let mut pipeline = redis::pipe();
            pipeline.add_command(query.to_cmd()).cmd("PTTL").arg(query.key);
            // Half of it, so that the rest is left for another connection.
            let deadline = Some(Instant::now() + core.command_timeout / 2);
            let access = if link.is_open() { Access::Open } else { Access::Reauthenticating };
            let Some((reply, _)) = link.pipeline(access, &pipeline, (0, 2), deadline, false) else {
                core.admission.release(1);
                return None;
            };
            let (shared, tracker) = (Arc::clone(&self.cache.shared), Arc::clone(&tracker));
            let is_cluster = core.cluster().is_some();
            Some(async move {
                let (came, is_missing) = came(reply.await.outcome, &shared, &tracker)?;
                Some(Came { may_come_elsewhere: is_missing && is_cluster, ..came })
            })
        })
    }
}

/// What came of a read and the question for how long its key lives, and whether there is no such key; none if it is to
/// be sent another way.
fn came(outcome: Outcome, shared: &Shared, tracker: &Tracker) -> Option<(Came, bool)> {
    let Outcome::Answered(Value::Array(mut replies)) = outcome else {
        return None;
    };
    let life = replies.pop()?;
    let value = replies.pop()?;
    if let Value::ServerError(error) = &value {
        if error.kind() == Some(ServerErrorKind::Moved) {
            // Other keys of the slot may have changed elsewhere.
            shared.flush(tracker);
        }
        return None;
    }
    let (life, is_missing) = match life {
        Value::Int(-2) => (None, true),
        Value::Int(left) => (u64::try_from(left).ok().map(Duration::from_millis), false),
        // A user who may not ask for it has the limit of `CacheOptions::ttl` alone.
        _ => (None, false),
    };
    Some((Came { value, life, may_come_elsewhere: false }, is_missing))
}

fn unshared(value: Arc<Value>) -> Value {
    Arc::unwrap_or_clone(value)
}

fn timed_out(core: &Core) -> Error {
    let text = format!("no reply within {:?} (`command_timeout`)", core.command_timeout);
    let error = Error::new(ErrorKind::Timeout(Stage::Command), text);
    core.admission.note_failure(&error);
    error
}
