//! A link that one caller has alone for several commands: what has been set on it, and what may come between them.

mod step;

use super::{
    blocking::{Record, failed, last_ids},
    core::Core,
    exec_abort,
    lease::{NoLease, Place},
    order::Memory,
    slices::{End, Slices, is_due, make_way},
    slow_path::{lost, unreadable},
};
use crate::{
    cluster::{node::Node, redirect::explain_moved},
    command::{Operation, Profile, guard, profile},
    error::{Error, ErrorKind, Stage},
    link::{Condition, Link, Outcome, PushReceiver, Queued, SILENCE},
    pool::Lease,
};
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};
use std::{sync::Arc, time::Duration};
use step::{Reply, Step};
use tokio::time::Instant;

/// Until when a command is waited for that nobody has set a limit.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// What is set on a connection, as its replies have told.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Between `MULTI` and its end.
    in_multi: bool,
    is_watching: bool,
    /// The next command alone is served differently.
    is_for_next: bool,
    db: i64,
    /// Something that is undone only by the connection's end.
    is_changed: bool,
    /// A command is under way, or its caller has given it up.
    is_pending: bool,
    /// The end of a transaction is on its way.
    end_is_out: bool,
    /// The end of a transaction was sent, and it has come to be, or nobody knows whether it has.
    may_have_committed: bool,
}

impl State {
    /// Whether nothing may come between the commands.
    fn is_held(&self) -> bool {
        self.in_multi || self.is_watching || self.is_for_next
    }

    /// Whether somebody else finds nothing of it.
    fn is_clean(&self) -> bool {
        !self.is_held() && self.db == 0 && !self.is_changed && !self.is_pending
    }

    /// Takes note of a step and its reply.
    fn note(&mut self, step: &Step, reply: &Value) {
        let is_ok = !matches!(reply, Value::ServerError(_));
        let was_in_multi = self.in_multi;
        self.is_for_next = false;
        match step {
            Step::Multi => self.in_multi |= is_ok,
            // Whatever Redis says, there is no transaction any more, and nothing is watched.
            Step::Exec | Step::Discard if was_in_multi => {
                (self.in_multi, self.is_watching) = (false, false);
                self.end_is_out &= is_ok && *reply != Value::Nil;
                // It may be one that Redis has not run, and the transaction is still open.
                self.is_changed |= matches!(reply, Value::ServerError(error) if error.code() != "EXECABORT");
            }
            Step::Watch if !was_in_multi => self.is_watching |= is_ok,
            Step::Unwatch if !was_in_multi && is_ok => self.is_watching = false,
            // It is done with the transaction, if that is.
            Step::Select(_) if was_in_multi => self.is_changed = true,
            Step::Select(db) if is_ok => match db {
                Some(db) => self.db = *db,
                None => self.is_changed = true,
            },
            Step::ForNext => self.is_for_next = is_ok,
            Step::Changes => self.is_changed = true,
            _ => {}
        }
    }
}

/// A connection for one caller alone. It goes to the next one when nothing is left on it, and is closed otherwise.
pub(crate) struct Session {
    /// None once it has failed.
    lease: Option<Lease>,
    node: Arc<Node>,
    state: State,
    replies: Reply,
    /// How long each command may take, if its caller has said so.
    limit: Option<Duration>,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take()
            && self.state.is_clean()
            && lease.link().has_answered(lease.link().commands_queued())
            // One that leads to a replica by now is of no use to the next one.
            && !lease.link().has_claims()
        {
            lease.give_back();
        }
    }
}

impl Session {
    /// Waits for a link to `place`, for the command timeout at most.
    pub(crate) async fn open(core: &Core, memory: &mut Memory, place: &Place) -> RedisResult<Self> {
        let deadline = Instant::now() + core.command_timeout;
        core.in_order(memory, deadline).await.map_err(|error| failed(core, error))?;
        let (node, lease) = core.lease(place, deadline).await.map_err(|NoLease { error, .. }| {
            if error.kind() == ErrorKind::Timeout(Stage::Command) {
                core.admission.note_unserved();
            }
            failed(core, error)
        })?;
        let (state, replies) = (State::default(), Reply::On);
        Ok(Self { lease: Some(lease), node, state, replies, limit: None })
    }

    pub(crate) fn db(&self) -> i64 {
        self.state.db
    }

    pub(crate) fn set_limit(&mut self, limit: Duration) {
        self.limit = Some(limit);
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Whether it may take commands.
    pub(crate) fn is_open(&self) -> bool {
        let is_up = |lease: &Lease| !matches!(lease.link().condition(), Condition::Down(_));
        !self.state.is_pending && self.lease.as_ref().is_some_and(is_up)
    }

    /// Whether something is watched, or a transaction is open.
    pub(crate) fn is_watching(&self) -> bool {
        self.state.is_watching || self.state.in_multi
    }

    pub(crate) fn is_in_multi(&self) -> bool {
        self.state.in_multi
    }

    /// Whether a transaction has come to be since [`begin`](Self::begin), or may have.
    pub(crate) fn may_have_committed(&self) -> bool {
        self.state.may_have_committed || self.state.end_is_out
    }

    /// From now on another transaction is meant.
    pub(crate) fn begin(&mut self) {
        self.state.may_have_committed = false;
    }

    /// Has `receiver` get what Redis sends without being asked; only the first one counts.
    pub(crate) fn hand_pushes_to(&mut self, receiver: Arc<dyn PushReceiver>) {
        self.state.is_changed = true;
        match &self.lease {
            Some(lease) if lease.link().tells_pushes_apart() => lease.link().hand_pushes_to(receiver),
            _ => receiver.end(),
        }
    }

    /// Sends a command and waits for its reply.
    pub(crate) async fn command(&mut self, core: &Core, cmd: &Cmd) -> RedisResult<Value> {
        let what = profile(cmd);
        let mut record = Record::of(core, Operation::Command(what));
        let result = self.run(core, cmd, what).await;
        record.end(&result);
        result
    }

    async fn run(&mut self, core: &Core, cmd: &Cmd, what: Profile) -> RedisResult<Value> {
        let step = Step::of(what, cmd).inspect_err(|_| core.admission.note_refused())?;
        if let Step::Reply(replies) = step {
            self.replies = replies;
            return Ok(if replies == Reply::On { Value::Okay } else { Value::Nil });
        }
        let is_quiet = self.replies != Reply::On || cmd.is_no_response();
        if self.replies == Reply::SkipNext {
            self.replies = Reply::On;
        }
        self.prepare(core, step == Step::Watch || step == Step::Multi || step == Step::ForNext).await?;
        let outcome = if matches!(step, Step::Blocks) && !self.state.in_multi {
            self.block(core, cmd, what).await?
        } else {
            // What is to be known of the connection is in the replies.
            let wants_reply = !is_quiet || step != Step::Plain;
            let changed = (wants_reply == cmd.is_no_response()).then(|| {
                let mut changed = cmd.clone();
                changed.set_no_response(!wants_reply);
                changed
            });
            let cmd = changed.as_ref().unwrap_or(cmd);
            let deadline = self.deadline(core, None);
            let link = self.link()?;
            self.state.end_is_out = step == Step::Exec && self.state.in_multi;
            self.outcome(link.command_alone(cmd, Some(deadline))).await
        };
        let value = match outcome {
            Outcome::Answered(value) => value,
            Outcome::Written => Value::Nil,
            Outcome::Unreadable(_, problem) => {
                self.noted(&[step], &[Value::Nil]);
                return Err(unreadable(None, problem));
            }
            other => return Err(self.failed(core, &other, step == Step::Exec)),
        };
        self.noted(&[step], std::slice::from_ref(&value));
        if is_quiet && !matches!(value, Value::ServerError(_)) {
            return Ok(Value::Nil);
        }
        Ok(if core.cluster().is_none() { explain_moved(value) } else { value })
    }

    /// Sends a pipeline; of its replies, `count` after the first `offset`.
    pub(crate) async fn pipeline(
        &mut self,
        core: &Core,
        pipeline: &Pipeline,
        kept: (usize, usize),
    ) -> RedisResult<Vec<Value>> {
        let is_transaction = pipeline.is_transaction();
        let mut record = Record::of(core, if is_transaction { Operation::Transaction } else { Operation::Pipeline });
        let result = self.run_pipeline(core, pipeline, kept).await;
        record.end_with(result.as_ref().map(Vec::as_slice));
        result
    }

    async fn run_pipeline(
        &mut self,
        core: &Core,
        pipeline: &Pipeline,
        kept: (usize, usize),
    ) -> RedisResult<Vec<Value>> {
        let is_transaction = pipeline.is_transaction();
        let steps = Step::of_pipeline(pipeline, self.state.in_multi).inspect_err(|_| core.admission.note_refused())?;
        let is_quiet = self.replies != Reply::On;
        if self.replies == Reply::SkipNext {
            self.replies = Reply::On;
        }
        let is_plain = is_transaction || steps.iter().all(|step| *step == Step::Plain);
        let wanted = if is_plain { kept } else { (0, pipeline.len()) };
        self.prepare(core, !is_plain).await?;
        let blocks = if is_transaction { None } else { guard::block_in_turn(pipeline) };
        let deadline = self.deadline(core, blocks);
        let link = self.link()?;
        self.state.end_is_out = is_transaction || steps.contains(&Step::Exec);
        let outcome = self.outcome(link.pipeline_alone(pipeline, wanted, Some(deadline))).await;
        let values = match outcome {
            Outcome::Answered(Value::Array(values)) => values,
            Outcome::Answered(value) => vec![value],
            Outcome::Written => Vec::new(),
            Outcome::Unreadable(place, problem) => {
                // The replies are gone, and with them what they say of the connection.
                self.state.is_changed |= !is_plain;
                self.transacted(is_transaction);
                self.noted(&[], &[]);
                return Err(unreadable(place, problem));
            }
            Outcome::Aborted(refused) => {
                // Without MULTI the commands have run one by one.
                let was_opened = refused.errors.first().is_none_or(|(place, _)| *place > 0);
                self.state.end_is_out &= !was_opened && refused.sent;
                self.transacted(was_opened);
                self.noted(&[], &[]);
                return exec_abort::aborted(pipeline.len(), refused).await;
            }
            other => return Err(self.failed(core, &other, is_transaction || steps.contains(&Step::Exec))),
        };
        if is_plain {
            // Those that are queued in a transaction change nothing before its end.
            self.state.end_is_out &= !matches!(values.as_slice(), [Value::Nil]);
            self.transacted(is_transaction);
            self.state.is_changed |= steps.iter().any(|step| matches!(step, Step::Changes | Step::Select(_)));
            self.noted(&[], &[]);
            return Ok(if is_quiet { vec![Value::Nil; values.len()] } else { values });
        }
        self.noted(&steps, &values);
        let (offset, count) = kept;
        Ok(values.into_iter().skip(offset).take(count).collect())
    }

    /// Takes note that nothing is watched any more, if so.
    fn transacted(&mut self, is_over: bool) {
        if is_over {
            self.state.is_watching = false;
        }
    }

    /// Before a command: the link has a token that will do, nothing comes between from now on if it must not.
    async fn prepare(&mut self, core: &Core, is_to_be_held: bool) -> RedisResult<()> {
        if core.is_closed() {
            return Err(failed(core, Error::closed()));
        }
        if self.state.is_pending {
            // The reply to what its caller has given up says what it has done to the connection.
            self.lease = None;
        }
        let Some(lease) = &self.lease else {
            return Err(failed(core, self.gone()));
        };
        if is_to_be_held && !self.state.is_held() {
            // So it has as much time as there is.
            if is_due(lease) {
                make_way(core, lease, None, Instant::now() + core.command_timeout).await;
            }
            lease.link().hold();
        }
        self.state.is_pending = true;
        Ok(())
    }

    fn link(&self) -> RedisResult<Arc<Link>> {
        self.lease.as_ref().map(|lease| Arc::clone(lease.link())).ok_or_else(|| self.gone().into())
    }

    /// Until when the next command may take, which blocks for as long besides; the link is not doubted before.
    fn deadline(&self, core: &Core, blocks: Option<Duration>) -> Instant {
        let limit = self.limit.unwrap_or(core.command_timeout);
        let deadline = Instant::now() + limit.saturating_add(blocks.unwrap_or_default()).min(FOR_EVER);
        if let Some(lease) = &self.lease
            && (blocks.is_some() || self.limit.is_some())
            && limit > SILENCE
        {
            lease.link().hold();
            lease.link().block_until(deadline);
        }
        deadline
    }

    async fn outcome(&self, queued: Option<Queued>) -> Outcome {
        match queued {
            Some((reply, _)) => reply.await.outcome,
            None => Outcome::Unsent(None),
        }
    }

    /// A command that blocks, in slices, between which `AUTH` passes if nothing is watched.
    async fn block(&mut self, core: &Core, cmd: &Cmd, what: Profile) -> RedisResult<Outcome> {
        if !what.blocks_for_a_time() {
            // It is not known for how long.
            let deadline = self.deadline(core, Some(Duration::ZERO));
            let link = self.link()?;
            return Ok(self.outcome(link.command_alone(cmd, Some(deadline))).await);
        }
        let resolved = last_ids(core, &mut Memory::default(), cmd, what).await?;
        let cmd = resolved.as_ref().unwrap_or(cmd);
        let slices = Slices::new(core, cmd, what.blocks(cmd), super::replicas::counts(what));
        let Some(lease) = &self.lease else {
            return Err(self.gone().into());
        };
        let all = async {
            loop {
                match slices.next(lease.link(), false).await {
                    End::Passed if self.state.is_held() => {}
                    End::Passed => slices.make_way(lease).await,
                    End::Answered(value) => return Outcome::Answered(value),
                    End::Unreadable(problem) => return Outcome::Unreadable(None, problem),
                    End::Unsent => return Outcome::Unsent(None),
                    End::Lost(reason) => return Outcome::Lost(reason, Arc::clone(lease.link().node())),
                    End::TimedOut => return Outcome::TimedOut,
                }
            }
        };
        tokio::select! {
            biased;
            () = core.availability.until_closed() => Err(failed(core, Error::closed())),
            outcome = all => Ok(outcome),
        }
    }

    /// Takes note of what has been answered, and lets `AUTH` pass again if it may.
    fn noted(&mut self, steps: &[Step], replies: &[Value]) {
        for (step, reply) in steps.iter().zip(replies) {
            self.state.note(step, reply);
        }
        self.state.may_have_committed |= std::mem::take(&mut self.state.end_is_out);
        self.state.is_pending = false;
        if let Some(lease) = &self.lease
            && !self.state.is_held()
            && lease.link().is_held()
        {
            lease.release();
        }
    }

    /// The error of a command that has no reply; the connection ends with it.
    fn failed(&mut self, core: &Core, outcome: &Outcome, is_end: bool) -> RedisError {
        let was = self.state;
        let server = core.cluster().map_or_else(|| "Redis".to_owned(), |_| format!("Redis at {}", self.node.name()));
        let limit = self.limit.unwrap_or(core.command_timeout);
        self.lease = None;
        match outcome {
            Outcome::Unsent(_) | Outcome::HeldBack(_) | Outcome::TimedOutHeldBack => {
                self.state.end_is_out = false;
                let error = self.gone();
                failed(core, error)
            }
            Outcome::Lost(..) if was.in_multi && !is_end => failed(core, interrupted()),
            Outcome::Lost(reason, _) => {
                self.state.may_have_committed |= is_end;
                lost(core, &server, reason)
            }
            _ => {
                self.state.may_have_committed |= is_end;
                let text = format!(
                    "no reply from {server} within {limit:?}; the command may have run, and the connection is closed"
                );
                failed(core, Error::new(ErrorKind::Timeout(Stage::Command), text))
            }
        }
    }

    /// Why a command is not sent: the connection is not there any more.
    fn gone(&self) -> Error {
        if self.state.end_is_out {
            let text =
                "the caller has given up on the end of a transaction, which may have run; the connection is closed";
            return Error::new(ErrorKind::Connect, text);
        }
        if self.state.is_held() {
            return interrupted();
        }
        let text = "the connection that this caller has alone is closed; the command was not sent: take another one";
        Error::new(ErrorKind::Connect, text).not_run()
    }
}

/// The error of a transaction that has ended before its end was sent.
fn interrupted() -> Error {
    let text = "the connection ended, or its token was about to expire, in the middle of a transaction: nothing of it \
                has been done; begin it again on another connection";
    Error::new(ErrorKind::Interrupted, text).not_run()
}
