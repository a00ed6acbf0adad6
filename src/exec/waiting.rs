//! Waiting for a permit and for a link, above the pools: what a command waits for may come up in another one.

use super::{
    core::{Core, Way},
    order::Memory,
    record::failed,
    request::Request,
    texts::not_sent_in_time,
};
use crate::{
    admission::{Overload, Permit},
    cluster::{node::Node, router::Seeker, slot::Slot},
    error::{Error, ErrorKind, Stage},
    link::{LARGE, Link, PendingReply, Queued},
};
use redis::RedisError;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often a command looks again whose handle has something unanswered on a link that takes no commands.
const RECHECK: Duration = Duration::from_millis(50);

/// Whether a request has been let in before.
pub(super) enum Turn {
    First,
    /// It has been, and has not been sent; with the permit that it has kept since, if it has.
    Unsent(Option<Permit>),
    /// It has been sent before.
    Again,
}

/// The error of a part whose node has lost its slots to others before it was sent.
#[cold]
fn strayed() -> Error {
    Error::new(ErrorKind::Connect, "the node has left the cluster before the command was sent").not_run()
}

/// Whether an error says that a part was not sent because its node has lost its slots.
pub(super) fn is_strayed(error: &Error) -> bool {
    error.kind() == ErrorKind::Connect && !error.may_have_run()
}

/// The same of a command's error.
pub(super) fn has_strayed(error: &RedisError) -> bool {
    Error::from_redis(error).is_some_and(is_strayed)
}

/// What became of a request that is given up before it is sent: in both cases it has not run since.
pub(super) fn unsent(was_sent: bool) -> &'static str {
    if was_sent { "it was not sent again" } else { "it was not sent" }
}

/// A request on its way.
pub(crate) struct Sent {
    pub(crate) reply: PendingReply,
    /// The number of the link that carries it.
    pub(super) link: u64,
    /// Whether it has many bytes.
    pub(super) large: bool,
}

impl Sent {
    pub(super) fn new(link: &Link, (reply, bytes): Queued) -> Self {
        Self { reply, link: link.id(), large: bytes > LARGE }
    }
}

impl Core {
    /// Queues a request on a link. It waits, if it has to, until one is up, and `deadline` at most.
    ///
    /// One that has been let in before is not refused if there is no room: it still has its permit, or waits for one.
    #[cold]
    pub(super) async fn send<R: Request>(
        &self,
        request: &R,
        deadline: Instant,
        memory: &mut Memory,
        turn: Turn,
        way: Way,
    ) -> Result<Sent, Error> {
        let _waiting = self.admission.wait();
        let was_sent = matches!(turn, Turn::Again);
        let permit = match turn {
            Turn::First => self.permit(deadline, self.overload, was_sent).await?,
            Turn::Unsent(None) | Turn::Again => self.permit(deadline, Overload::Wait, was_sent).await?,
            Turn::Unsent(Some(permit)) => permit,
        };
        self.wait_for_link(permit, request, deadline, memory, was_sent, way).await
    }

    /// Queues a request that has its permit, once a link is up.
    async fn wait_for_link<R: Request>(
        &self,
        permit: Permit,
        request: &R,
        deadline: Instant,
        memory: &mut Memory,
        was_sent: bool,
        mut way: Way,
    ) -> Result<Sent, Error> {
        let mut seeker = None;
        loop {
            let changed = self.availability.changed();
            tokio::pin!(changed);
            // Enabled before the look, so that no change falls between the two.
            changed.as_mut().enable();
            if self.is_closed() {
                return Err(Error::closed());
            }
            match &way {
                // Whoever named it may have known of a change, and not of the next one.
                Way::Redirected { to, .. } if to.is_unreachable() => way = Way::Owner,
                Way::Part { to, .. } if to.is_unreachable() && !self.owns_slots(to) => return Err(strayed()),
                _ => {}
            }
            // `route` does that only where there is a node: nobody is to wait for what has been answered.
            memory.forget_answered();
            if let Some(sent) = self.route(request, deadline, memory, &way) {
                permit.hand_on();
                return Ok(sent);
            }
            if let Some(error) = self.tokens.dead() {
                return Err(error.for_want_of_a_token());
            }
            seeker = self.sought(request.slot(), seeker);
            if memory.unanswered.is_empty() {
                if self.timers.timeout_at(deadline, changed).await.is_none() {
                    return Err(self.no_link(request, &way, was_sent));
                }
                continue;
            }
            // Nobody is told when a link is given up.
            let look_again = deadline.min(Instant::now() + RECHECK);
            let settled = async {
                tokio::select! {
                    () = changed => {}
                    () = memory.settled() => {}
                }
            };
            if self.timers.timeout_at(look_again, settled).await.is_none() && Instant::now() >= deadline {
                return Err(self.not_in_order(was_sent));
            }
        }
    }

    /// Waits until nothing of a handle's is under way that its next command could overtake.
    pub(super) async fn in_order(&self, memory: &mut Memory, deadline: Instant) -> Result<(), Error> {
        loop {
            memory.forget_answered();
            if memory.unanswered.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(self.not_in_order(false));
            }
            // Nobody is told when a link is given up.
            _ = self.timers.timeout_at(deadline.min(now + RECHECK), memory.settled()).await;
            if self.is_closed() {
                return Err(Error::closed());
            }
        }
    }

    fn not_in_order(&self, was_sent: bool) -> Error {
        if self.is_closed() {
            return Error::closed();
        }
        let unsent = unsent(was_sent);
        let text = format!(
            "an earlier command of the same handle, for which nobody waits, has no answer yet, and this one may not \
             overtake it; {unsent}"
        );
        Error::new(ErrorKind::Timeout(Stage::Command), text).not_run()
    }

    /// Whether the node is one that commands are sent to, by what is known now.
    fn owns_slots(&self, node: &Arc<Node>) -> bool {
        self.cluster().is_none_or(|cluster| {
            let map = cluster.map();
            map.primaries().iter().any(|member| Arc::ptr_eq(&member.node, node))
        })
    }

    /// Has the topology asked for if nobody serves the slot, again and again for as long as this is held.
    pub(super) fn seeker(&self, slot: Option<Slot>) -> Option<Seeker<'_>> {
        self.sought(slot, None)
    }

    /// The same for somebody who has `held` one, and lets go of it once the slot has an owner.
    fn sought<'a>(&'a self, slot: Option<Slot>, held: Option<Seeker<'a>>) -> Option<Seeker<'a>> {
        let (cluster, slot) = (self.cluster()?, slot?);
        let is_served = cluster.map().get(slot).is_some();
        if is_served { None } else { held.or_else(|| Some(cluster.seek_owner())) }
    }

    /// The error of what has [strayed](has_strayed) until its deadline.
    #[cold]
    pub(super) fn strayed_till_the_end(&self) -> RedisError {
        if self.is_closed() {
            return failed(self, Error::closed());
        }
        let text = "the node that was to get it has left the cluster, and no other one took it within the command's \
                    deadline; it was not sent";
        failed(self, not_sent_in_time(text, None))
    }

    fn no_link<R: Request>(&self, request: &R, way: &Way, was_sent: bool) -> Error {
        if self.is_closed() {
            return Error::closed();
        }
        let unsent = unsent(was_sent);
        let text = format!("no connection to Redis came up within the command's deadline; {unsent}");
        let last_error = || match way {
            Way::Owner => self.last_error(request),
            Way::Redirected { to, .. } | Way::Part { to, .. } => to.pool().last_error(),
        };
        not_sent_in_time(text, self.tokens.late().or_else(last_error))
    }
}

#[cfg(test)]
mod tests;
