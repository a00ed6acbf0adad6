//! One step of an iteration: over a hash, a set or a sorted set, and on a single endpoint over all keys.
//!
//! A cursor means something to the server process that has given it, and to no other one: where an element stands in a
//! table depends on a seed that each process makes up. Who goes on at another one, because a slot has moved or a
//! replica has been promoted, misses up to a quarter of the elements, and nothing tells.
//!
//! So a cursor that a caller gets tells which process it is of, in bits that cursors of servers do not reach:
//!
//! | bits | meaning |
//! |---|---|
//! | 63 | 0, so that it also fits a signed number |
//! | 62 | 1 |
//! | 61–59 | how often the iteration has begun again |
//! | 58–40 | the process: a hash of its `run_id` |
//! | 39–0 | the cursor of the server |
//!
//! A step with such a cursor is sent in a transaction with `INFO server`, so that both are answered by the same
//! process. If it is another one, the iteration begins again there: what was there all the time comes at least once,
//! some of it twice, as `SCAN` and its kind allow. Small collections come in one step, without a cursor, and cost
//! nothing more.

use super::{
    core::Core,
    order::Memory,
    request::{CommandRequest, PipelineRequest, Request},
    scatter::recorded,
    slow_path::SlowPath,
};
use crate::command::{Operation, Profile, cursor};
use futures_util::future::BoxFuture;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    slice::from_ref,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};
use tokio::time::Instant;

const IS_SIGNED: u64 = 1 << 62;
const RESTARTS_SHIFT: u32 = 59;
const MOST_RESTARTS: u64 = (1 << 3) - 1;
const PROCESS_SHIFT: u32 = 40;
const PROCESS_MASK: u64 = (1 << 19) - 1;
const CURSOR_MASK: u64 = (1 << PROCESS_SHIFT) - 1;

/// Whether cursors tell which server they are of. They do not if the server does not say who it is, refuses
/// transactions, or gives cursors that leave no room.
#[derive(Default)]
pub(crate) struct SignedCursors {
    are_impossible: AtomicBool,
}

impl SignedCursors {
    fn are_possible(&self) -> bool {
        !self.are_impossible.load(Relaxed)
    }

    fn give_up(&self) {
        self.are_impossible.store(true, Relaxed);
    }
}

/// A cursor that tells which process it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signed {
    restarts: u64,
    process: u64,
    cursor: u64,
}

impl Signed {
    fn read(cursor: u64) -> Option<Self> {
        (cursor >> 62 == 1).then_some(Self {
            restarts: cursor >> RESTARTS_SHIFT & MOST_RESTARTS,
            process: cursor >> PROCESS_SHIFT & PROCESS_MASK,
            cursor: cursor & CURSOR_MASK,
        })
    }

    fn number(self) -> u64 {
        IS_SIGNED | self.restarts << RESTARTS_SHIFT | self.process << PROCESS_SHIFT | self.cursor
    }
}

/// What a process has answered.
struct StepReply {
    /// None if it does not say who it is.
    process: Option<u64>,
    reply: Value,
}

/// Sends one step.
pub(crate) async fn step(core: &Core, memory: &mut Memory, cmd: &Cmd, profile: Profile) -> RedisResult<Value> {
    let deadline = Instant::now() + core.command_timeout;
    let mut steps = Steps { core, memory, cmd, profile };
    let work = async {
        let given = profile.cursor().and_then(|at| cursor::cursor_of(cmd, at));
        match given.filter(|_| core.signed_cursors.are_possible() && !cmd.is_no_response()) {
            Some(0) => steps.first().await,
            Some(given) => match Signed::read(given) {
                Some(signed) => core.within(deadline, steps.next(signed)).await,
                None => steps.alone().await,
            },
            None => steps.alone().await,
        }
    };
    recorded(core, Operation::Command(profile), work, from_ref).await
}

struct Steps<'a> {
    core: &'a Core,
    memory: &'a mut Memory,
    cmd: &'a Cmd,
    profile: Profile,
}

impl Steps<'_> {
    /// The step as it is.
    async fn alone(&mut self) -> RedisResult<Value> {
        let request = CommandRequest { cmd: self.cmd, profile: self.profile };
        send(self.core, self.memory, request).await
    }

    /// The first step. If it is not the only one, it is made once more, together with the question who answers.
    async fn first(&mut self) -> RedisResult<Value> {
        let reply = self.alone().await?;
        if matches!(cursor::answered(&reply), None | Some(0)) {
            return Ok(reply);
        }
        match self.with_process(0).await {
            Ok(StepReply { process: Some(process), reply }) => Ok(self.signed(reply, 0, process)),
            Ok(StepReply { process: None, reply }) => {
                self.core.signed_cursors.give_up();
                Ok(reply)
            }
            // Alone it was answered: so it is the transaction, or `INFO`, that is refused.
            Err(error) if is_refusal(&error) => {
                self.core.signed_cursors.give_up();
                Ok(reply)
            }
            Err(error) => Err(error),
        }
    }

    /// Another step, from the beginning if it is answered by another process than the one before.
    async fn next(&mut self, Signed { restarts, process, cursor }: Signed) -> RedisResult<Value> {
        let answer = match self.with_process(cursor).await {
            Err(error) if is_refusal(&error) => {
                // Alone it may be refused for a reason of its own.
                let reply = self.alone().await?;
                if matches!(reply, Value::ServerError(_)) {
                    return Ok(reply);
                }
                self.core.signed_cursors.give_up();
                return Err(cannot_go_on(self.profile, "the server does not say any more which one it is"));
            }
            answer => answer?,
        };
        if answer.process == Some(process) || matches!(answer.reply, Value::ServerError(_)) {
            return Ok(self.signed(answer.reply, restarts, process));
        }
        if restarts == MOST_RESTARTS {
            let times = MOST_RESTARTS + 1;
            let why = format!("another server than before has answered {times} times");
            return Err(cannot_go_on(self.profile, &why));
        }
        let StepReply { process, reply } = self.with_process(0).await?;
        Ok(match process {
            Some(process) => self.signed(reply, restarts + 1, process),
            None => reply,
        })
    }

    /// The reply, with a cursor for the caller.
    fn signed(&self, reply: Value, restarts: u64, process: u64) -> Value {
        match cursor::answered(&reply) {
            Some(cursor @ 1..=CURSOR_MASK) => {
                let signed = Signed { restarts, process, cursor };
                cursor::with_answer(reply, signed.number())
            }
            // Cursors of such servers could be taken for signed ones.
            Some(1..) => {
                self.core.signed_cursors.give_up();
                reply
            }
            _ => reply,
        }
    }

    /// Makes the step with this cursor, and asks who answers.
    async fn with_process(&mut self, cursor: u64) -> RedisResult<StepReply> {
        let at = self.profile.cursor().unwrap_or_default();
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.atomic().add_command(cursor::with_cursor(self.cmd, at, cursor)).cmd("INFO").arg("server");
        let request = PipelineRequest { pipeline: &pipeline, offset: pipeline.len() + 1, count: 1 };
        let mut replies = send(self.core, self.memory, request).await?;
        match replies.pop() {
            Some(Value::Array(parts)) => {
                let mut parts = parts.into_iter();
                let reply = parts.next().unwrap_or(Value::Nil);
                Ok(StepReply { process: parts.next().as_ref().and_then(process_of), reply })
            }
            other => Ok(StepReply { process: None, reply: other.unwrap_or(Value::Nil) }),
        }
    }
}

/// Sends a request, at once if it can be. Boxed: it is large, and there are several in a step.
fn send<'a, R: Request + 'a>(
    core: &'a Core,
    memory: &'a mut Memory,
    request: R,
) -> BoxFuture<'a, RedisResult<R::Reply>> {
    Box::pin(async move {
        let sent = core.try_send(&request, memory);
        let mut slow_path = SlowPath::new(core, memory);
        let first = match sent {
            Some(sent) => Some(slow_path.answered(&request, sent).await),
            None => None,
        };
        slow_path.run(request, first).await
    })
}

/// What tells a process from others, by what it says of itself.
fn process_of(info: &Value) -> Option<u64> {
    let text = match info {
        Value::BulkString(text) => str::from_utf8(text).ok()?,
        Value::VerbatimString { text, .. } => text,
        _ => return None,
    };
    let run_id = text.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    let mut hasher = DefaultHasher::new();
    run_id.hash(&mut hasher);
    Some(hasher.finish() & PROCESS_MASK)
}

/// Whether the server has refused it for what it is, and not for the state that the server is in.
fn is_refusal(error: &RedisError) -> bool {
    use ServerErrorKind::{ExecAbort, NoPerm, ResponseError};
    matches!(error.kind(), ErrorKind::Server(ResponseError | ExecAbort | NoPerm))
}

#[cold]
fn cannot_go_on(profile: Profile, why: &str) -> RedisError {
    let detail = format!("{why}: begin {} again with the cursor 0", profile.full_name());
    (ErrorKind::Client, "the iteration cannot go on", detail).into()
}

#[cfg(test)]
mod tests;
