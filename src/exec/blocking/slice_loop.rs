//! Where a command that blocks goes next: to where nodes say, and over new links.

use super::{Blocking, Leased};
use crate::{
    cluster::{node::Node, redirect::Redirect},
    exec::{
        core::Way,
        lease::is_late,
        record::failed,
        redirects::Redirects,
        request::Replies as _,
        retry::{self, Remedy, Retries},
        slices::{End, LATE},
        slow_path::{lost, unreadable},
        texts::server,
    },
    timer,
};
use redis::{RedisResult, ServerError, Value};
use std::sync::Arc;
use tokio::time::Instant;

/// What Redis answers to a command that blocks, before it closes the connection, when it is no primary any more.
const UNBLOCKED: &str = "force unblock from blocking operation, instance state changed";

/// A command that blocks, on its way from slice to slice.
pub(super) struct SliceLoop<'b, 'a> {
    blocking: &'b Blocking<'a>,
    way: Way,
    /// The link of the last slice, if the next one goes over it.
    kept: Option<Leased>,
    /// Whether it has had a link.
    is_let_in: bool,
    /// What Redis has answered last, if that has not run it.
    refused: Option<Value>,
    /// What may still be tried after an error. It begins again whenever a slice has gone well.
    retries: Retries<'a>,
    redirects: Option<Redirects<'a>>,
}

impl<'b, 'a> SliceLoop<'b, 'a> {
    pub(super) fn new(blocking: &'b Blocking<'a>) -> Self {
        let (retries, redirects) = budgets(blocking);
        Self { blocking, way: Way::Owner, kept: None, is_let_in: false, refused: None, retries, redirects }
    }

    /// Goes on until there is a reply.
    pub(super) async fn follow(mut self) -> RedisResult<Value> {
        loop {
            let leased = match self.link().await {
                Ok(leased) => leased,
                Err(result) => return result,
            };
            let end = self.blocking.slices.next(leased.lease.link(), self.way.is_asking()).await;
            let result = match end {
                End::Passed => self.passed(leased).await,
                End::Answered(value) => self.answered(leased, value).await,
                End::Unreadable(problem) => {
                    leased.lease.give_back();
                    Some(Err(unreadable(None, problem)))
                }
                End::Unsent => {
                    self.blocking.core.admission.note_retry();
                    None
                }
                End::Lost(reason) => self.lost(leased, reason).await,
                End::TimedOut => self.lost(leased, LATE).await,
            };
            if let Some(result) = result {
                return result;
            }
        }
    }

    /// A link for the next slice; or what becomes of the command, if there is none.
    async fn link(&mut self) -> Result<Leased, RedisResult<Value>> {
        if let Some(leased) = self.kept.take() {
            return Ok(leased);
        }
        match self.blocking.lease(&self.way, std::mem::replace(&mut self.is_let_in, true)).await {
            Ok(leased) => Ok(leased),
            Err(error) => {
                timer::let_others_run().await;
                // That Redis refused it says more than that no link has come up since.
                Err(match self.refused.take().filter(|_| is_late(&error)) {
                    Some(refusal) => Ok(refusal),
                    None => Err(failed(self.blocking.core, error)),
                })
            }
        }
    }

    /// After a slice in which nothing has come.
    async fn passed(&mut self, Leased { node, lease }: Leased) -> Option<RedisResult<Value>> {
        let slices = self.blocking.slices;
        (self.retries, self.redirects) = budgets(self.blocking);
        (self.way, self.refused) = (Way::Owner, None);
        slices.make_way(&lease).await;
        if slices.is_too_late(lease.link()) {
            lease.give_back();
            return Some(Ok(Value::Nil));
        }
        if self.blocking.is_right(&node) {
            self.kept = Some(Leased { node, lease });
        } else {
            lease.give_back();
        }
        None
    }

    /// After a slice that has no end. Nobody knows whether it has taken something at that moment. Its caller waits on:
    /// it is sent again.
    async fn lost(&mut self, Leased { node, lease }: Leased, reason: &'static str) -> Option<RedisResult<Value>> {
        let Blocking { core, slices, .. } = self.blocking;
        drop(lease);
        self.way = Way::Owner;
        if Instant::now() >= slices.deadline || !self.retries.allow(Remedy::Later).await {
            return Some(Err(lost(core, &server(core, Some(node.name())), reason)));
        }
        core.admission.note_retry();
        None
    }

    /// After a reply, which is the command's own, or says why Redis has not run it.
    async fn answered(&mut self, leased: Leased, value: Value) -> Option<RedisResult<Value>> {
        let reply = Ok(value);
        let goes_on = if let Some(redirect) = self.redirect(&leased.node, &reply) {
            self.redirected(leased, &redirect).await
        } else if let Some(remedy) = remedy(&reply) {
            self.remedied(leased, remedy).await
        } else {
            leased.lease.give_back();
            let is_single = self.redirects.is_none();
            return Some(if is_single { self.blocking.request.explain_moved(reply) } else { reply });
        };
        if !goes_on {
            return Some(reply);
        }
        self.refused = reply.ok();
        self.blocking.core.admission.note_retry();
        None
    }

    /// Where the reply, which came from this node, sends the command.
    fn redirect(&self, node: &Arc<Node>, reply: &RedisResult<Value>) -> Option<Redirect> {
        let redirects = self.redirects.as_ref()?;
        redirects.said_by(node.name(), &self.blocking.request, reply, self.way.is_asking())
    }

    /// Turns to there; whether the command may be sent once more.
    async fn redirected(&mut self, Leased { node, lease }: Leased, redirect: &Redirect) -> bool {
        let Some(redirects) = &mut self.redirects else {
            return false;
        };
        self.way = redirects.heed(redirect, None);
        if redirect.target().is_some_and(|to| to == node.name()) {
            // The link leads to a process that is not at this address any more.
            drop(lease);
        } else {
            lease.give_back();
        }
        redirects.allow(redirect).await
    }

    /// After a refusal with this remedy; whether the command may be sent once more.
    async fn remedied(&mut self, Leased { lease, .. }: Leased, remedy: Remedy) -> bool {
        self.way = Way::Owner;
        match remedy {
            Remedy::Later => lease.give_back(),
            Remedy::Elsewhere | Remedy::Reconnect => drop(lease),
        }
        self.retries.allow(remedy).await
    }
}

fn budgets<'a>(blocking: &Blocking<'a>) -> (Retries<'a>, Option<Redirects<'a>>) {
    let (core, deadline) = (blocking.core, blocking.slices.deadline);
    let redirects = core.cluster().map(|cluster| Redirects::new(core, cluster, deadline));
    (Retries::new(deadline, &core.timers), redirects)
}

/// What to do with a command that Redis has not served: as with other commands. One that was ended because the server
/// is no primary any more ([`UNBLOCKED`]) goes on elsewhere.
fn remedy(reply: &RedisResult<Value>) -> Option<Remedy> {
    let Ok(Value::ServerError(error)) = reply else {
        return None;
    };
    if is_let_go(error) { Some(Remedy::Reconnect) } else { retry::remedy(error) }
}

fn is_let_go(error: &ServerError) -> bool {
    error.code() == "UNBLOCKED" && error.details().is_some_and(|why| why.starts_with(UNBLOCKED))
}
