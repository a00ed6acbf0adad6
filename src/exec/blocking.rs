//! The way of a command that blocks: over a link that nobody else uses meanwhile, after its slot's owner, for as long
//! as it wants to wait.

mod slice_loop;

use super::{
    call::Call,
    core::{Core, Way},
    last_ids::LastIds,
    lease::{NoLease, Place, Search, is_late},
    order::Memory,
    record::{Record, failed, failed_with_link},
    replicas,
    request::{CommandRequest, Request as _, slot_of},
    slices::Slices,
};
use crate::{
    cluster::node::Node,
    command::{self, Operation, Profile},
    error::{Error, ErrorKind, Stage},
    link::SILENCE,
    pool::Lease,
};
use redis::{Cmd, RedisResult, Value};
use slice_loop::SliceLoop;
use std::sync::Arc;
use tokio::time::Instant;

/// Sends a command that blocks, and waits for as long as it does.
pub(crate) async fn command(core: &Core, memory: &mut Memory, cmd: &Cmd, profile: Profile) -> RedisResult<Value> {
    let mut record = Record::of(core, Operation::Command(profile));
    let result = run(core, memory, cmd, profile).await;
    record.end(&result);
    // Its caller wants no reply; an error is returned all the same.
    match result {
        Ok(value) if cmd.is_no_response() && !matches!(value, Value::ServerError(_)) => Ok(Value::Nil),
        result => result,
    }
}

async fn run(core: &Core, memory: &mut Memory, cmd: &Cmd, profile: Profile) -> RedisResult<Value> {
    let slices = Slices::new(core, cmd, profile.blocks(cmd), replicas::counts(profile), None);
    if !core.is_found() {
        let found = core.until_found_without_permit(slices.deadline).await;
        found.map_err(|error| failed(core, error))?;
    }
    let limit = slices.deadline.min(Instant::now() + core.command_timeout);
    let in_order = core.in_order(memory, limit).await;
    in_order.map_err(|error| failed(core, error))?;
    if replicas::counts(profile) {
        return replicas::wait(core, cmd, profile, &slices).await;
    }
    let mut last_ids = LastIds::of(cmd, profile);
    while let Some(question) = last_ids.question() {
        let request = CommandRequest { cmd: question, profile: command::profile(question) };
        if let Err(refusal) = last_ids.note(ask(core, memory, request, slices.deadline).await?) {
            return Ok(refusal);
        }
    }
    let resolved = last_ids.resolved(cmd);
    let slices = match &resolved {
        Some(cmd) => slices.of(cmd),
        None => slices,
    };
    let place = Place::Owner(slot_of(cmd, profile));
    Blocking { core, request: CommandRequest { cmd, profile }, place, slices: &slices }.run().await
}

/// Asks something that a command which blocks needs to know first. For a link to come up, and for all that it asks, it
/// is waited as long as that command waits.
async fn ask(core: &Core, memory: &mut Memory, request: CommandRequest<'_>, deadline: Instant) -> RedisResult<Value> {
    let place = Place::Owner(request.slot());
    loop {
        core.until_up(&place, deadline).await.map_err(|error| failed(core, error))?;
        match core.timers.timeout_at(deadline, Call::new(core, &mut *memory, request)).await {
            // The link that was there is gone again.
            Some(Err(error))
                if error.is_timeout()
                    && Error::from_redis(&error).is_some_and(|error| !error.may_have_run())
                    && !core.is_up(&place) => {}
            Some(result) => return result,
            None => return Err(failed_with_link(core, unanswered())),
        }
    }
}

/// The error of a command that was to be sent behind a question.
fn unanswered() -> Error {
    let text = "no reply within the command's time to what had to be asked before it; it was not sent";
    Error::new(ErrorKind::Timeout(Stage::Command), text)
}

/// A command that blocks, on its way.
pub(super) struct Blocking<'a> {
    pub(super) core: &'a Core,
    pub(super) request: CommandRequest<'a>,
    /// Where it goes if no node says something else.
    pub(super) place: Place,
    pub(super) slices: &'a Slices<'a>,
}

/// A link that the command has alone, and the node that it leads to.
pub(super) struct Leased {
    pub(super) node: Arc<Node>,
    pub(super) lease: Lease,
}

impl Blocking<'_> {
    pub(super) async fn run(&self) -> RedisResult<Value> {
        tokio::select! {
            biased;
            // Dropped, what is under way closes its link.
            () = self.core.availability.until_closed() => Err(failed(self.core, Error::closed())),
            result = SliceLoop::new(self).follow() => result,
        }
    }

    /// A link to where it goes. For a link to come up, it is waited as long as the command waits; for one that others
    /// use, as long as any command may take, or as the command waits if it `is_let_in` since it has had one.
    pub(super) async fn lease(&self, way: &Way, is_let_in: bool) -> Result<Leased, Error> {
        let deadline = self.slices.deadline;
        let patience = if is_let_in { deadline } else { deadline.min(Instant::now() + self.core.command_timeout) };
        let mut search = Search::leased();
        loop {
            let (place, limit) = match way {
                Way::Redirected { to, .. } if !to.is_unreachable() => (Place::Node(Arc::clone(to)), SILENCE),
                _ => (self.place.clone(), self.core.command_timeout),
            };
            match self.core.lease_by(&mut search, &place, deadline.min(Instant::now() + limit)).await {
                Ok((node, lease)) => {
                    self.slices.begin(&lease).await;
                    return Ok(Leased { node, lease });
                }
                Err(NoLease { error, are_in_use }) => {
                    // A node that has left opens no link any more, and what is for that node alone goes nowhere else.
                    let has_left = matches!(&self.place, Place::Node(node) if node.pool().has_ended());
                    let now = Instant::now();
                    if !is_late(&error) || are_in_use && now >= patience || has_left || now >= deadline {
                        return Err(error);
                    }
                    search.let_pass(&self.core.leases);
                }
            }
        }
    }

    /// Whether the command goes to this node by what is known now.
    fn is_right(&self, node: &Arc<Node>) -> bool {
        match (&self.place, self.core.cluster()) {
            (Place::Owner(Some(slot)), Some(cluster)) => {
                cluster.map().get(*slot).is_none_or(|owner| Arc::ptr_eq(owner, node))
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
