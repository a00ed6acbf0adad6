//! One connection to Redis: opened, authenticated, shared by commands, re-authenticated, closed.

mod alone;
mod check;
mod condition;
mod confirm;
mod context;
mod counts;
mod departures;
mod driver;
mod entry;
mod handshake;
mod inbox;
mod liveness;
mod multi;
mod open;
mod push;
mod queue;
mod reauth;
mod reply;
mod setup;
mod spare;
#[cfg(test)]
mod tests;
mod wire;

use crate::{
    lock::lock,
    observe::stats::{LinkPurpose, LinkState, LinkStats},
};
use reauth::Authenticated;
use redis::{Cmd, Pipeline};
use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use wire::Wire;

pub(crate) use crate::resp::claims::{NOAUTH, READONLY};
pub(crate) use condition::{Access, Condition, EXPIRED};
pub(crate) use driver::SILENCE;
pub(crate) use multi::{Refused, is_for_good};
pub(crate) use push::PushReceiver;
pub(crate) use queue::Queue;
pub(crate) use reply::{Completion, LARGE, Outcome, PendingReply};
pub(crate) use setup::Setup;
pub(crate) use wire::{Queued, outcome};

/// One multiplexed connection, and what the pool has to know about it.
pub(crate) struct Link {
    id: u64,
    /// The address of the server, as it is shown.
    node: Arc<str>,
    wire: Wire,
    /// The pending reply to the question for the topology, if that went with the first `AUTH`.
    slots: Mutex<Option<PendingReply>>,
    authenticated: Mutex<Authenticated>,
    /// Notified at the end of each `AUTH` with a new token.
    reauthenticated: Notify,
    /// Whether its only user holds it, so that neither `AUTH` nor `PING` comes between that user's commands.
    held: Mutex<bool>,
    last_used: AtomicU64,
    reauths: AtomicU64,
    /// Links that were lost in its place before it.
    reconnects: AtomicU64,
}

impl Link {
    /// Queues a command, which must not be empty; none if the link does not take it now.
    ///
    /// `asking` lets it be served by a node that is just taking over its slot.
    pub(crate) fn command(&self, access: Access, cmd: &Cmd, deadline: Option<Instant>, asking: bool) -> Option<Queued> {
        self.wire.command(access, cmd, deadline, asking)
    }

    /// Queues a pipeline, which must not be empty. Of its replies the first `kept.0` are passed over, and the next
    /// `kept.1` are kept.
    pub(crate) fn pipeline(
        &self,
        access: Access,
        pipeline: &Pipeline,
        kept: (usize, usize),
        deadline: Option<Instant>,
        asking: bool,
    ) -> Option<Queued> {
        self.wire.pipeline(access, pipeline, kept, deadline, asking)
    }

    /// Whether the commands of a transaction must not follow `MULTI` before its reply is there.
    pub(crate) fn must_ask_for_multi(&self, would_block: impl FnOnce() -> bool) -> bool {
        self.wire.multi.must_be_asked_for(would_block)
    }

    /// Sends `MULTI` and `DISCARD` in place of a transaction, to find out whether `MULTI` may be used. The transaction
    /// itself is not sent.
    pub(crate) fn ask_for_multi(&self, access: Access, deadline: Option<Instant>) -> Option<Queued> {
        self.wire.ask_for_multi(access, deadline)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The address of the server, as it is shown.
    pub(crate) fn node(&self) -> &Arc<str> {
        &self.node
    }

    pub(crate) fn generation(&self) -> u64 {
        self.authenticated().generation
    }

    /// How often it has authenticated with a new token.
    pub(crate) fn reauths(&self) -> u64 {
        self.reauths.load(Relaxed)
    }

    /// How many links were lost in its place before it.
    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects.load(Relaxed)
    }

    pub(crate) fn succeeds(&self, lost: u64) {
        self.reconnects.store(lost, Relaxed);
    }

    /// Until when the token of this link may be used.
    pub(crate) fn authenticated_until(&self) -> Instant {
        self.authenticated().until
    }

    /// Whether an `AUTH` is under way: until its end nobody knows when the link's life ends.
    pub(crate) fn is_validating(&self) -> bool {
        self.wire.liveness.is_validating()
    }

    /// Whether an `AUTH` is what Redis has to answer next, which may take it seconds: it has answered all commands
    /// before that, and will answer those behind it.
    pub(crate) fn awaits_auth(&self) -> bool {
        self.is_validating() && self.wire.queue.awaits_auth()
    }

    /// How long Redis took to answer the last `AUTH` that it took.
    pub(crate) fn auth_took(&self) -> Duration {
        self.authenticated().took
    }

    fn authenticated(&self) -> MutexGuard<'_, Authenticated> {
        lock(&self.authenticated)
    }

    /// What it is doing, as it is shown, and for whom.
    pub(crate) fn stats(&self, purpose: LinkPurpose) -> LinkStats {
        let state = match self.condition() {
            Condition::Open => LinkState::Open,
            Condition::Reauthenticating => LinkState::Reauthenticating,
            Condition::Down(_) => LinkState::Down,
        };
        LinkStats {
            link: self.id(),
            purpose,
            node: self.node.to_string(),
            state,
            generation: self.generation(),
            in_flight: self.in_flight(),
            reauths: self.reauths(),
            reconnects: self.reconnects(),
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.wire.queue.in_flight()
    }

    pub(crate) fn condition(&self) -> Condition {
        self.wire.queue.condition()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.wire.queue.is_open()
    }

    pub(crate) fn is_reauthenticating(&self) -> bool {
        self.wire.queue.is_reauthenticating()
    }

    /// Whether a large reply is on its way, behind which others wait.
    pub(crate) fn is_congested(&self) -> bool {
        self.wire.queue.is_congested()
    }

    /// Whether requests have waited on it for too long without a sign of life.
    pub(crate) fn is_silent(&self) -> bool {
        self.wire.liveness.is_silent()
    }

    /// Whether it is silent, and no `AUTH` is the reason: Redis, or the way there, may be at fault.
    pub(crate) fn is_stuck(&self) -> bool {
        self.is_silent() && !self.awaits_auth()
    }

    /// Whether its connection has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.wire.queue.has_ended()
    }

    /// Takes the link out of traffic, for ever; what is in flight may finish.
    pub(crate) fn retire(&self, reason: &'static str) {
        self.wire.queue.set(Condition::Down(reason));
    }

    /// Commands queued on it since it was opened.
    pub(crate) fn commands_queued(&self) -> u64 {
        self.wire.queue.commands_queued()
    }

    /// Whether the first `count` commands are answered.
    pub(crate) fn has_answered(&self, count: u64) -> bool {
        self.wire.queue.has_answered(count)
    }

    /// The queue between its callers and its connection. Whoever holds the queue does not keep the connection open,
    /// which ends with the link.
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.wire.queue
    }

    /// How long nothing has been received.
    pub(crate) fn since_heard(&self) -> Duration {
        self.wire.liveness.now().saturating_sub(Duration::from_millis(self.wire.liveness.last_sign()))
    }

    /// How long nothing has been sent or received.
    pub(crate) fn idle(&self) -> Duration {
        let last = self.wire.liveness.last_sign().max(self.last_used.load(Relaxed));
        self.wire.liveness.now().saturating_sub(Duration::from_millis(last))
    }

    /// Has the keeper find out whether Redis is still there.
    pub(crate) fn suspect(&self) {
        self.wire.liveness.suspect();
    }

    /// Whether somebody doubts that Redis is still there.
    pub(crate) fn is_suspect(&self) -> bool {
        self.wire.liveness.is_suspect()
    }

    /// How long ago the link was opened.
    pub(crate) fn age(&self) -> Duration {
        self.wire.liveness.now()
    }

    /// Waits until every command has been answered, those that nobody waits for included. Meant for a link that is not
    /// open.
    pub(crate) async fn drained(&self) {
        self.wire.queue.drained().await;
    }

    fn touch(&self) {
        // Milliseconds of uptime fit for 584 million years.
        #[allow(clippy::cast_possible_truncation)]
        self.last_used.store(self.wire.liveness.now().as_millis() as u64, Relaxed);
    }

    /// Whether an error has claimed something about this link that [`check`](Self::check) has not verified.
    pub(crate) fn has_claims(&self) -> bool {
        self.wire.liveness.has_claims()
    }

    /// Finds out within `limit` whether Redis still answers and still knows the user; if a command was answered
    /// `READONLY`, also whether it is a primary, within `limit` again. The error is why the link is of no use.
    pub(crate) async fn check(&self, limit: Duration) -> Result<(), &'static str> {
        self.touch();
        let claims = self.wire.liveness.take_claims();
        check::check(&self.wire, claims, limit).await
    }

    /// Asks who has which slots, whatever condition the link is in; if the question went with the first `AUTH`, the
    /// reply is that one's. Whoever waits for it does not keep the connection open.
    pub(crate) fn ask_for_slots(&self, deadline: Instant) -> Option<PendingReply> {
        let asked = lock(&self.slots).take();
        asked.or_else(|| {
            let (reply, _) = self.wire.command(Access::Own, &handshake::slots_command(), Some(deadline), false)?;
            Some(reply)
        })
    }

    /// Whether Redis has given no sign of life since `moment`, and is not validating a token either.
    pub(crate) fn silent_since(&self, moment: Instant) -> bool {
        self.wire.liveness.silent_since(moment) && !self.is_validating()
    }
}
