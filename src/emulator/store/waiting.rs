//! Commands that wait for a key: who waits, and in which order they are served.

use super::{
    args::{Args, Problem},
    data::{Bytes, Data, Value},
    watches::Interest,
};
use crate::emulator::resp::Reply;
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::oneshot;

/// A command that waits if there is nothing for it.
pub(super) type Attempt = fn(&mut Data, Args<'_>) -> Result<Attempted, Problem>;

/// What has come of a command that may wait.
pub(super) enum Attempted {
    Done(Reply),
    Waits(Wait),
}

impl Attempted {
    pub(super) const NOTHING: Self = Self::Done(Reply::NullArray);
}

/// How a command waits.
pub(super) struct Wait {
    pub(super) what_for: WhatFor,
    pub(super) keys: Vec<Bytes>,
    /// The arguments that it is tried with again.
    pub(super) args: Vec<Bytes>,
    /// None is for ever.
    pub(super) timeout: Option<Duration>,
    /// What it is answered with when its time is up.
    pub(super) late: Reply,
    /// What it is answered with in a transaction, where nothing waits.
    pub(super) in_transaction: Reply,
}

impl Wait {
    pub(super) fn new(what_for: WhatFor, keys: Vec<Bytes>, args: Args<'_>, timeout: Option<Duration>) -> Self {
        let (late, in_transaction) = (Reply::NullArray, Reply::NullArray);
        Self { what_for, keys, args: args.0.to_vec(), timeout, late, in_transaction }
    }
}

/// What makes a command worth another attempt.
#[derive(Clone, Copy)]
pub(super) enum WhatFor {
    /// Nothing that happens to a key.
    Time,
    List,
    Stream,
    /// A stream's group: that it is gone concerns who waits for it, too.
    Group,
}

impl WhatFor {
    fn is_there(self, value: Option<&Value>) -> bool {
        match self {
            Self::Time => false,
            Self::List => matches!(value, Some(Value::List(_))),
            Self::Stream => matches!(value, Some(Value::Stream(_))),
            Self::Group => true,
        }
    }
}

struct Waiter {
    attempt: Attempt,
    what_for: WhatFor,
    keys: Vec<Bytes>,
    args: Vec<Bytes>,
    reply: oneshot::Sender<Reply>,
}

/// Who waits, by a number that tells who came first.
#[derive(Default)]
pub(super) struct Waiting {
    waiters: BTreeMap<u64, Waiter>,
    interest: Interest,
    last: u64,
    /// Keys that somebody waits for, and that have changed since those who wait were served.
    changed: Vec<Bytes>,
}

impl Waiting {
    /// Lets a command wait; what it goes by, and where its reply will come.
    pub(super) fn add(&mut self, attempt: Attempt, wait: Wait) -> (u64, oneshot::Receiver<Reply>) {
        self.last += 1;
        let (reply, receiver) = oneshot::channel();
        for key in &wait.keys {
            self.interest.add(key, self.last);
        }
        let Wait { what_for, keys, args, .. } = wait;
        self.waiters.insert(self.last, Waiter { attempt, what_for, keys, args, reply });
        (self.last, receiver)
    }

    pub(super) fn count(&self) -> usize {
        self.waiters.len()
    }

    /// Forgets one; whether it was still waiting.
    pub(super) fn remove(&mut self, number: u64) -> bool {
        self.take(number).is_some()
    }

    fn take(&mut self, number: u64) -> Option<Waiter> {
        let waiter = self.waiters.remove(&number)?;
        for key in &waiter.keys {
            self.interest.remove(key, number);
        }
        Some(waiter)
    }

    pub(super) fn touch(&mut self, key: &[u8]) {
        if self.interest.has(key) && !self.changed.iter().any(|changed| changed == key) {
            self.changed.push(key.to_vec());
        }
    }

    /// Ends those whose keys are no longer served here, each with what it is to be told.
    pub(super) fn redirect(&mut self, refusal: impl Fn(&[Bytes]) -> Option<Problem>) {
        let refused = self.waiters.iter().filter_map(|(number, waiter)| Some((*number, refusal(&waiter.keys)?)));
        for (number, problem) in refused.collect::<Vec<_>>() {
            self.end(number, problem.into_reply());
        }
    }

    fn end(&mut self, number: u64, reply: Reply) {
        if let Some(waiter) = self.take(number) {
            // Whoever is gone has been removed before.
            _ = waiter.reply.send(reply);
        }
    }
}

impl Data {
    /// Serves those who wait for what has changed, first come, first served. What one of them does may be what another
    /// one waits for.
    pub(super) fn serve_waiting(&mut self) {
        while !self.waiting.changed.is_empty() {
            let key = self.waiting.changed.remove(0);
            for number in self.waiting.interest.of(&key) {
                if let Some(reply) = self.try_again(number, &key) {
                    self.waiting.end(number, reply);
                }
            }
        }
    }

    fn try_again(&mut self, number: u64, key: &[u8]) -> Option<Reply> {
        let waiter = self.waiting.waiters.get(&number)?;
        let (what_for, attempt, args) = (waiter.what_for, waiter.attempt, waiter.args.clone());
        if !what_for.is_there(self.entry(key).map(|entry| &entry.value)) {
            return None;
        }
        match attempt(self, Args(&args)) {
            Ok(Attempted::Waits(_)) => None,
            Ok(Attempted::Done(reply)) => Some(reply),
            Err(problem) => Some(problem.into_reply()),
        }
    }
}

/// `WAIT replicas milliseconds`. There are no replicas, so that one who wants some waits for as long as it may.
pub(super) fn wait(_: &mut Data, args: Args<'_>) -> Result<Attempted, Problem> {
    let (replicas, timeout) = (args.integer(0)?, args.milliseconds(1)?);
    if replicas <= 0 {
        return Ok(Attempted::Done(Reply::Int(0)));
    }
    let wait = Wait::new(WhatFor::Time, Vec::new(), args, timeout);
    Ok(Attempted::Waits(Wait { late: Reply::Int(0), in_transaction: Reply::Int(0), ..wait }))
}
