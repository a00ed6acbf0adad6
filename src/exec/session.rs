//! A link that one caller has alone for several commands: what has been set on it, and what may come between them.

mod asking;
mod commands;
mod ending;
mod pipelines;
mod state;
mod step;

use super::{
    core::Core,
    lease::Place,
    order::Memory,
    record::{failed, failed_with_link},
    slices::{FOR_EVER, is_due, make_way},
};
use crate::{
    cluster::node::Node,
    error::{Error, ErrorKind, Stage},
    link::{Condition, Link, Outcome, PushReceiver, Queued, SILENCE},
    pool::Lease,
};
use redis::{Cmd, RedisResult, Value};
use state::State;
use std::{sync::Arc, time::Duration};
use step::{ReplyMode, Step};
use tokio::time::Instant;

pub(crate) use asking::Gone;

/// A connection for one caller alone. It goes to the next one when nothing is left on it, and is closed otherwise.
pub(crate) struct Session {
    /// None once it has failed.
    lease: Option<Lease>,
    node: Arc<Node>,
    state: State,
    replies: ReplyMode,
    /// How long each command may take, if its caller has said so.
    limit: Option<Duration>,
    /// What its node serves of a slot that it is just taking over.
    gone: Option<Gone>,
    /// Whether the `MULTI` of the open transaction, or the last one, went behind `ASKING`.
    multi_asks: bool,
}

/// When a command has begun, and how long it may take.
struct Time {
    began: Instant,
    patience: Duration,
}

impl Time {
    /// The end of it, for a command that blocks for as long besides.
    fn deadline(&self, blocks: Option<Duration>) -> Instant {
        self.began + self.patience.saturating_add(blocks.unwrap_or_default()).min(FOR_EVER)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.part();
    }
}

impl Session {
    /// Waits for a link to `place`, for the command timeout at most; commands with keys that are `gone` to there from
    /// their slot's owner are served there.
    pub(crate) async fn open(core: &Core, memory: &mut Memory, place: &Place, gone: Option<Gone>) -> RedisResult<Self> {
        let deadline = Instant::now() + core.command_timeout;
        core.in_order(memory, deadline).await.map_err(|error| failed(core, error))?;
        let (node, lease) = core.lease(place, deadline).await.map_err(|none| failed(core, none.error))?;
        let (state, replies) = (State::default(), ReplyMode::On);
        Ok(Self { lease: Some(lease), node, state, replies, limit: None, gone, multi_asks: false })
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
            // One of which an error has said something, that it leads to a replica for example, is not handed on.
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
    fn queue(&mut self, link: &Link, cmd: &Cmd, step: Step, deadline: Instant) -> Option<Queued> {
        let asking = self.is_behind_asking(cmd, step);
        // Within a transaction, Redis refuses another MULTI, and the first one holds.
        if step == Step::Multi && !self.state.in_multi {
            self.multi_asks = asking;
        }
        if asking {
            link.command_alone_behind_asking(cmd, Some(deadline))
        } else {
            link.command_alone(cmd, Some(deadline))
        }
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

    /// Before a command of this time: the link has a token that will do, nothing comes between from now on if it must
    /// not.
    async fn prepare(&mut self, core: &Core, time: &Time, is_to_be_held: bool) -> RedisResult<()> {
        if core.is_closed() {
            return Err(failed(core, Error::closed()));
        }
        if self.state.is_pending {
            // Only the reply to what its caller has given up would say what that has done to the connection.
            self.part();
        }
        let Some(lease) = &self.lease else {
            return Err(failed(core, self.gone()));
        };
        if is_to_be_held && !self.state.is_held() {
            // Before it is held, so that its token lives as long as possible.
            if is_due(lease) {
                let deadline = time.deadline(None);
                make_way(core, lease, None, deadline).await;
                if Instant::now() >= deadline {
                    return Err(failed_with_link(core, unanswered(time.patience)));
                }
            }
            lease.link().hold();
        }
        self.state.is_pending = true;
        Ok(())
    }

    fn link(&self) -> RedisResult<Arc<Link>> {
        self.lease.as_ref().map(|lease| Arc::clone(lease.link())).ok_or_else(|| self.gone().into())
    }

    /// The time of a command that begins now.
    fn time(&self, core: &Core) -> Time {
        let patience = self.limit.unwrap_or(core.command_timeout).min(FOR_EVER);
        Time { began: Instant::now(), patience }
    }

    /// Until when a command of this time may take, which blocks for as long besides; the link is not doubted before.
    fn deadline(&self, time: &Time, blocks: Option<Duration>) -> Instant {
        let deadline = time.deadline(blocks);
        if let Some(lease) = &self.lease
            && (blocks.is_some() || self.limit.is_some())
            && deadline > Instant::now() + SILENCE
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
}

/// The error of a command before which a new token was to reach the link.
fn unanswered(patience: Duration) -> Error {
    let text = format!(
        "no reply within {patience:?} to the `AUTH` with a new token that comes before it; the command was not sent"
    );
    Error::new(ErrorKind::Timeout(Stage::Command), text)
}
