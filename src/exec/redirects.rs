//! Following a node's word that a command is to be sent elsewhere.

use super::{
    core::{Core, Way},
    request::Request,
};
use crate::cluster::{
    node::Node,
    redirect::{Redirect, RedirectBudget},
};
use redis::RedisResult;
use std::sync::Arc;
use tokio::time::Instant;

/// Why a link goes whose server names its own address as that of the slot's owner: the connection leads to a process
/// that is not the one that has the address now.
const CIRCLE: &str = "its node says that the node of this address is another one";

/// What one request may still follow.
pub(super) struct Redirects<'a> {
    core: &'a Core,
    deadline: Instant,
    budget: RedirectBudget,
}

impl<'a> Redirects<'a> {
    pub(super) fn new(core: &'a Core, deadline: Instant) -> Self {
        Self { core, deadline, budget: RedirectBudget::default() }
    }

    /// What the reply says of where the request is to go; none on a single endpoint.
    pub(super) fn of<R: Request>(&self, request: &R, reply: &RedisResult<R::Reply>, link: u64) -> Option<Redirect> {
        self.core.cluster()?;
        let node = self.core.node_of(link).or_else(|| self.owner(request))?;
        request.redirect(reply, node.name())
    }

    fn owner<R: Request>(&self, request: &R) -> Option<Arc<Node>> {
        self.core.cluster()?.map().get(request.slot()?).map(Arc::clone)
    }

    /// The way of the next attempt, when it is time for it; none if there is to be none.
    pub(super) async fn follow(&mut self, redirect: Redirect, link: u64) -> Option<Way> {
        let cluster = self.core.cluster()?;
        let delay = self.budget.next_delay(&redirect, Instant::now(), self.deadline);
        let way = match &redirect {
            Redirect::Moved { slot, to } => {
                cluster.moved(*slot, to);
                if self.core.node_of(link).is_some_and(|node| node.name() == to) {
                    self.retire(link);
                }
                Way { to: Some(cluster.nodes.get(to)), asking: false }
            }
            Redirect::Ask { to, .. } => Way { to: Some(cluster.nodes.get(to)), asking: true },
            Redirect::TryAgain => Way::default(),
            Redirect::ClusterDown => {
                cluster.doubt();
                Way::default()
            }
            Redirect::CrossSlot => return None,
        };
        let delay = delay?;
        if !delay.is_zero() {
            self.core.timers.sleep_until(Instant::now() + delay).await;
        }
        Some(way)
    }

    fn retire(&self, link: u64) {
        if let Some(link) = self.core.link(link) {
            link.retire(CIRCLE);
        }
        self.core.wake_keepers();
    }
}
