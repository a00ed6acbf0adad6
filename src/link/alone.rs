//! A link that one user has alone: what it holds up, and what may come between its commands.

use super::{
    Link,
    check::verdict,
    condition::Access,
    handshake,
    push::PushReceiver,
    wire::{Queued, outcome},
};
use crate::{error::Error, lock::lock, resp::claims::READONLY, token::Current};
use redis::{Cmd, Pipeline, PushKind};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

impl Link {
    /// Queues a command, which must not be empty, of the link's only user; none if the link is down. It needs no
    /// permit.
    pub(crate) fn command_alone(&self, cmd: &Cmd, deadline: Option<Instant>) -> Option<Queued> {
        self.touch();
        self.wire.command(Access::Alone, cmd, deadline, false)
    }

    /// The same for a command that changes subscriptions, whose name must be one word. Redis answers it with a push of
    /// this `kind` for each of its channels, or with an error.
    pub(crate) fn subscription_alone(&self, cmd: &Cmd, kind: PushKind, deadline: Option<Instant>) -> Option<Queued> {
        self.touch();
        self.wire.subscription(cmd, kind, deadline)
    }

    /// As [`command_alone`](Self::command_alone), behind `ASKING`: a node that is just taking over the slot serves it.
    pub(crate) fn command_alone_behind_asking(&self, cmd: &Cmd, deadline: Option<Instant>) -> Option<Queued> {
        self.touch();
        self.wire.command(Access::Alone, cmd, deadline, true)
    }

    /// As [`command_alone`](Self::command_alone), for a pipeline, which must not be empty. Of its replies the first
    /// `kept.0` are passed over, and the next `kept.1` are kept. `asking` lets it be served by a node that is just
    /// taking over its slot.
    pub(crate) fn pipeline_alone(
        &self,
        pipeline: &Pipeline,
        kept: (usize, usize),
        deadline: Option<Instant>,
        asking: bool,
    ) -> Option<Queued> {
        self.touch();
        self.wire.pipeline(Access::Alone, pipeline, kept, deadline, asking)
    }

    /// From now on neither `AUTH` nor `PING` comes between its user's commands, until [`release`](Self::release). One
    /// that has been queued before comes before them.
    pub(crate) fn hold(&self) {
        *lock(&self.held) = true;
    }

    /// Whether nothing may come between its user's commands.
    pub(crate) fn is_held(&self) -> bool {
        *lock(&self.held)
    }

    pub(crate) fn release(&self) {
        self.unblock();
        *lock(&self.held) = false;
    }

    /// Notes that Redis will not answer until `moment`, because a command of the user blocks. Until then its silence is
    /// no reason to doubt it.
    pub(crate) fn block_until(&self, moment: Instant) {
        self.wire.liveness.block_until(moment);
    }

    /// Notes that nothing blocks any more: from now on its silence counts.
    pub(crate) fn unblock(&self) {
        self.wire.liveness.unblock();
    }

    /// Has `receiver` get what Redis sends without being asked; only the first one counts.
    pub(crate) fn hand_pushes_to(&self, receiver: Arc<dyn PushReceiver>) {
        self.wire.pushes.hand_to(receiver);
    }

    /// Whether Redis takes no `AUTH` on it: over RESP2, once it has a receiver of pushes. Such a link ends with its
    /// token.
    pub(crate) fn refuses_auth(&self) -> bool {
        self.wire.pushes.may_be_arrays()
    }

    /// Whether pushes can be told from replies: over RESP3.
    pub(crate) fn tells_pushes_apart(&self) -> bool {
        self.wire.pushes.are_told_apart()
    }

    /// Ends the connection, whoever holds the link.
    pub(crate) fn end(&self) {
        self.wire.end();
    }

    /// As [`reauthenticate`](Self::reauthenticate), unless the link is held or takes no `AUTH`. It is queued when this
    /// returns: what its user sends comes after it.
    pub(crate) fn reauthenticate_unheld(
        self: &Arc<Self>,
        current: &Arc<Current>,
        limit: Duration,
    ) -> Option<impl Future<Output = Result<(), Error>> + Send + use<>> {
        if self.refuses_auth() {
            return None;
        }
        let limit = self.auth_limit(limit);
        let started = Instant::now();
        let (validating, auth) = {
            let held = lock(&self.held);
            if *held {
                return None;
            }
            let validating = self.wire.liveness.validate();
            (validating, self.wire.auth(&handshake::auth_command(current), started + limit.duration()))
        };
        let (link, current) = (Arc::clone(self), Arc::clone(current));
        Some(async move {
            let outcome = outcome(auth).await;
            link.conclude(outcome, &current, limit, started, validating)
        })
    }

    /// Finds out within `limit` whether Redis still answers and still knows the user, unless the link is held.
    pub(crate) fn check_unheld(
        self: &Arc<Self>,
        limit: Duration,
    ) -> Option<impl Future<Output = Result<(), &'static str>> + Send + use<>> {
        let asked = Instant::now();
        let ping = {
            let held = lock(&self.held);
            if *held {
                return None;
            }
            self.wire.command(Access::Own, &redis::cmd("PING"), Some(asked + limit), false).map(|(reply, _)| reply)
        };
        self.touch();
        let claims = self.wire.liveness.take_claims();
        let link = Arc::clone(self);
        Some(async move {
            verdict(&outcome(ping).await, &link.wire, asked)?;
            // Another link costs less than the question which role the server has.
            if claims.is_read_only() { Err(READONLY) } else { Ok(()) }
        })
    }
}
