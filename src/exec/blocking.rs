//! The way of a command that blocks: over a link that nobody else uses meanwhile, after its slot's owner, for as long
//! as it wants to wait.

use super::{
    call::Call,
    core::{Core, Way},
    last_ids::LastIds,
    lease::{NoLease, Place},
    order::Memory,
    record::{Record, failed},
    redirects::Redirects,
    replicas,
    request::{CommandRequest, Request as _, slot_of},
    retry::{self, Remedy, Retries},
    slices::{End, Slices},
    slow_path::{lost, unreadable},
};
use crate::{
    cluster::node::Node,
    command::{self, Operation, Profile},
    error::{Error, ErrorKind, Stage},
    link::SILENCE,
    pool::Lease,
    timer,
};
use redis::{Cmd, RedisResult, ServerError, Value};
use std::sync::Arc;
use tokio::time::Instant;

/// What Redis answers to a command that blocks, before it closes the connection, when it is no primary any more.
const UNBLOCKED: &str = "force unblock from blocking operation, instance state changed";

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
    let slices = Slices::new(core, cmd, profile.blocks(cmd), replicas::counts(profile));
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

/// Asks something that a command which blocks needs to know first. For a link to come up, it is waited as long as that
/// command waits.
async fn ask(core: &Core, memory: &mut Memory, request: CommandRequest<'_>, deadline: Instant) -> RedisResult<Value> {
    let place = Place::Owner(request.slot());
    loop {
        core.until_up(&place, deadline).await.map_err(|error| failed(core, error))?;
        match Call::new(core, &mut *memory, request).await {
            // The link that was there is gone again.
            Err(error)
                if error.is_timeout()
                    && Error::from_redis(&error).is_some_and(|error| !error.may_have_run())
                    && !core.is_up(&place) => {}
            result => return result,
        }
    }
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

impl<'a> Blocking<'a> {
    pub(super) async fn run(&self) -> RedisResult<Value> {
        tokio::select! {
            biased;
            // Dropped, what is under way closes its link.
            () = self.core.availability.until_closed() => Err(failed(self.core, Error::closed())),
            result = self.follow() => result,
        }
    }

    /// Goes after what nodes say of where it is to be sent, and over new links, until there is a reply.
    async fn follow(&self) -> RedisResult<Value> {
        let deadline = self.slices.deadline;
        let mut way = Way::Owner;
        let mut leased: Option<Leased> = None;
        let mut refused: Option<Value> = None;
        let mut is_let_in = false;
        let (mut retries, mut redirects) = self.budgets();
        loop {
            let Leased { node, lease } = match leased.take() {
                Some(leased) => leased,
                None => match self.lease(&way, std::mem::replace(&mut is_let_in, true)).await {
                    Ok(leased) => leased,
                    Err(error) => {
                        timer::let_others_run().await;
                        return match refused.take().filter(|_| error.is_timeout()) {
                            Some(refusal) => Ok(refusal),
                            None => Err(error),
                        };
                    }
                },
            };
            let value = match self.slices.next(lease.link(), way.is_asking()).await {
                End::Passed => {
                    (retries, redirects) = self.budgets();
                    (way, refused) = (Way::Owner, None);
                    self.slices.make_way(&lease).await;
                    if self.slices.is_too_late(lease.link()) {
                        lease.give_back();
                        return Ok(Value::Nil);
                    }
                    if self.is_right(&node) {
                        leased = Some(Leased { node, lease });
                    } else {
                        lease.give_back();
                    }
                    continue;
                }
                End::Answered(value) => value,
                End::Unreadable(problem) => {
                    lease.give_back();
                    return Err(unreadable(None, problem));
                }
                End::Unsent => {
                    self.core.admission.note_retry();
                    continue;
                }
                // Nobody knows whether it has taken something at that moment. Its caller waits on: it is sent again.
                end @ (End::Lost(_) | End::TimedOut) => {
                    let reason = match end {
                        End::Lost(reason) => reason,
                        _ => "no reply within its time",
                    };
                    drop(lease);
                    way = Way::Owner;
                    if Instant::now() >= deadline || !retries.allow(Remedy::Later).await {
                        return Err(lost(self.core, &self.server(&node), reason));
                    }
                    self.core.admission.note_retry();
                    continue;
                }
            };
            let reply = Ok(value);
            let asked = way.is_asking();
            if let Some(redirects) = &mut redirects
                && let Some(redirect) = redirects.said_by(node.name(), &self.request, &reply, asked)
            {
                way = redirects.heed(&redirect, None);
                if redirect.target().is_some_and(|to| to == node.name()) {
                    // The link leads to a process that is not at this address any more.
                    drop(lease);
                } else {
                    lease.give_back();
                }
                if !redirects.allow(&redirect).await {
                    return reply;
                }
                refused = reply.ok();
                self.core.admission.note_retry();
                continue;
            }
            way = Way::Owner;
            let remedy = match &reply {
                Ok(Value::ServerError(error)) => remedy(error),
                _ => None,
            };
            let Some(remedy) = remedy else {
                lease.give_back();
                return if redirects.is_none() { self.request.explain_moved(reply) } else { reply };
            };
            match remedy {
                Remedy::Later => lease.give_back(),
                Remedy::Elsewhere | Remedy::Reconnect => drop(lease),
            }
            if !retries.allow(remedy).await {
                return reply;
            }
            refused = reply.ok();
            self.core.admission.note_retry();
        }
    }

    /// What may still be tried after an error. It begins again whenever a slice has gone well.
    fn budgets(&self) -> (Retries<'a>, Option<Redirects<'a>>) {
        let (core, deadline) = (self.core, self.slices.deadline);
        let redirects = core.cluster().map(|cluster| Redirects::new(core, cluster, deadline));
        (Retries::new(deadline, &core.timers), redirects)
    }

    /// A link to where it goes. For a link to come up, it is waited as long as the command waits; for one that others
    /// use, as long as any command may take, or as the command waits if it `is_let_in` since it has had one.
    pub(super) async fn lease(&self, way: &Way, is_let_in: bool) -> RedisResult<Leased> {
        let deadline = self.slices.deadline;
        let patience = if is_let_in { deadline } else { deadline.min(Instant::now() + self.core.command_timeout) };
        loop {
            let (place, limit) = match way {
                Way::Redirected { to, .. } if !to.is_unreachable() => (Place::Node(Arc::clone(to)), SILENCE),
                _ => (self.place.clone(), self.core.command_timeout),
            };
            match self.core.lease(&place, deadline.min(Instant::now() + limit)).await {
                Ok((node, lease)) => {
                    self.slices.begin(&lease).await;
                    return Ok(Leased { node, lease });
                }
                Err(NoLease { error, are_in_use }) => {
                    let is_timeout = error.kind() == ErrorKind::Timeout(Stage::Command);
                    // A node that has left opens no link any more, and what is for that node alone goes nowhere else.
                    let has_left = matches!(&self.place, Place::Node(node) if node.pool().has_ended());
                    let now = Instant::now();
                    if !is_timeout || are_in_use && now >= patience || has_left || now >= deadline {
                        return Err(failed(self.core, error));
                    }
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

    /// Whom a link leads to, in words.
    pub(super) fn server(&self, node: &Node) -> String {
        self.core.cluster().map_or_else(|| "Redis".to_owned(), |_| format!("Redis at {}", node.name()))
    }
}

/// What to do with a command that Redis has not served: as with other commands. One that was ended because the server
/// is no primary any more ([`UNBLOCKED`]) goes on elsewhere.
fn remedy(error: &ServerError) -> Option<Remedy> {
    let is_let_go = error.code() == "UNBLOCKED" && error.details().is_some_and(|why| why.starts_with(UNBLOCKED));
    if is_let_go { Some(Remedy::Reconnect) } else { retry::remedy(error) }
}
