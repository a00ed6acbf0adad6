//! A link that one caller has alone for several commands: what has been set on it, and what may come between them.

mod asking;
mod step;

use super::{
    blocking::{Record, failed},
    core::Core,
    exec_abort,
    last_ids::LastIds,
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

pub(crate) use asking::Gone;

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
    /// And Redis waits with it for something.
    is_blocked: bool,
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

    /// Takes note that these steps may have been taken, without a reply that says so.
    fn may_have_taken(&mut self, steps: &[Step]) {
        self.may_have_committed |= steps.contains(&Step::Exec);
        if steps.iter().any(|step| matches!(step, Step::Exec | Step::Discard)) {
            (self.in_multi, self.is_watching) = (false, false);
        }
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
    /// What its node serves of a slot that it is just taking over.
    gone: Option<Gone>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.part();
    }
}

impl Session {
    /// Waits for a link to `place`, for the command timeout at most; commands with keys that are `gone` to there from their
    /// slot's owner are served there.
    pub(crate) async fn open(core: &Core, memory: &mut Memory, place: &Place, gone: Option<Gone>) -> RedisResult<Self> {
        let deadline = Instant::now() + core.command_timeout;
        core.in_order(memory, deadline).await.map_err(|error| failed(core, error))?;
        let (node, lease) = core.lease(place, deadline).await.map_err(|NoLease { error, .. }| {
            if error.kind() == ErrorKind::Timeout(Stage::Command) {
                core.admission.note_unserved();
            }
            failed(core, error)
        })?;
        let (state, replies) = (State::default(), Reply::On);
        Ok(Self { lease: Some(lease), node, state, replies, limit: None, gone })
    }

    /// Lets go of the link: for the next user, or when what was sent over it is answered, or at once.
    fn part(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        let link = lease.link();
        if self.state.is_blocked {
            // Dropped, it is closed: what waits in the server would take something that nobody gets.
        } else if self.state.is_clean() && link.has_answered(link.commands_queued()) && !link.has_claims() {
            // One that leads to a replica by now would be of no use to the next one.
            lease.give_back();
        } else {
            lease.drain();
        }
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

    /// Whether its node is just taking over the slot of its keys.
    pub(crate) fn is_asking(&self) -> bool {
        self.gone.is_some()
    }

    /// Queues a command; behind `ASKING` if its keys have gone to this node.
    fn queue(&self, link: &Link, cmd: &Cmd, deadline: Instant) -> Option<Queued> {
        if self.is_behind_asking(cmd) {
            link.command_alone_behind_asking(cmd, Some(deadline))
        } else {
            link.command_alone(cmd, Some(deadline))
        }
    }

    /// Within `MULTI`, `ASKING` would be queued as one of the transaction's commands.
    fn is_behind_asking(&self, cmd: &Cmd) -> bool {
        !self.state.in_multi && self.gone.as_ref().is_some_and(|gone| gone.covers(cmd))
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
            self.state.is_blocked = true;
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
            self.outcome(self.queue(&link, cmd, deadline)).await
        };
        let value = match outcome {
            Outcome::Answered(value) => value,
            Outcome::Written => Value::Nil,
            Outcome::Unreadable(_, problem) => {
                self.noted(&[step], &[Value::Nil]);
                return Err(unreadable(None, problem));
            }
            other => return Err(self.failed(core, &other, &[step])),
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
        self.state.is_blocked = blocks.is_some();
        let deadline = self.deadline(core, blocks);
        let link = self.link()?;
        self.state.end_is_out = is_transaction || steps.contains(&Step::Exec);
        let asking = !self.state.in_multi && self.gone.as_ref().is_some_and(|gone| gone.covers_all(pipeline));
        let outcome = self.outcome(link.pipeline_alone(pipeline, wanted, Some(deadline), asking)).await;
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
            other => {
                let ends: &[Step] = if is_transaction { &[Step::Exec] } else { &steps };
                return Err(self.failed(core, &other, ends));
            }
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
            self.part();
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
        let limit = self.limit.unwrap_or(core.command_timeout).saturating_add(blocks.unwrap_or_default()).min(FOR_EVER);
        let deadline = Instant::now() + limit;
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
        if !what.blocks_for_a_time() || self.state.is_for_next {
            // It is not known for how long, or what was said of the next command holds for this one alone.
            let limit = what.blocks(cmd).map_or(Duration::ZERO, |blocks| blocks.limit().unwrap_or(Duration::MAX));
            let deadline = self.deadline(core, Some(limit));
            let link = self.link()?;
            return Ok(self.outcome(self.queue(&link, cmd, deadline)).await);
        }
        let mut last_ids = LastIds::of(cmd, what);
        while let Some(question) = last_ids.question() {
            let deadline = self.deadline(core, None);
            let link = self.link()?;
            match self.outcome(self.queue(&link, question, deadline)).await {
                Outcome::Answered(value) => {
                    if let Err(refusal) = last_ids.note(value) {
                        return Ok(Outcome::Answered(refusal));
                    }
                }
                other => return Ok(other),
            }
        }
        let resolved = last_ids.resolved(cmd);
        let cmd = resolved.as_ref().unwrap_or(cmd);
        let slices = Slices::new(core, cmd, what.blocks(cmd), super::replicas::counts(what));
        let Some(lease) = &self.lease else {
            return Err(self.gone().into());
        };
        let all = async {
            loop {
                match slices.next(lease.link(), self.is_behind_asking(cmd)).await {
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
        (self.state.is_pending, self.state.is_blocked) = (false, false);
        if let Some(lease) = &self.lease {
            lease.link().unblock();
            if !self.state.is_held() && lease.link().is_held() {
                lease.release();
            }
        }
    }

    /// The error of what has no reply, and had these steps; the connection ends with it.
    fn failed(&mut self, core: &Core, outcome: &Outcome, steps: &[Step]) -> RedisError {
        let is_within = self.state.in_multi && !steps.iter().any(|step| matches!(step, Step::Exec | Step::Discard));
        let server = core.cluster().map_or_else(|| "Redis".to_owned(), |_| format!("Redis at {}", self.node.name()));
        let limit = self.limit.unwrap_or(core.command_timeout);
        self.lease = None;
        match outcome {
            Outcome::Unsent(_) | Outcome::HeldBack(_) | Outcome::TimedOutHeldBack => {
                self.state.end_is_out = false;
                let error = self.gone();
                failed(core, error)
            }
            Outcome::Lost(..) if is_within => failed(core, interrupted()),
            Outcome::Lost(reason, _) => {
                self.state.may_have_taken(steps);
                lost(core, &server, reason)
            }
            _ => {
                self.state.may_have_taken(steps);
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
