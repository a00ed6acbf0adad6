//! Following a node's word that a command is to be sent elsewhere.

use super::{
    core::{Core, Way},
    request::Request,
};
use crate::cluster::{
    address::NodeAddress,
    redirect::{Redirect, RedirectBudget},
    router::Cluster,
};
use redis::RedisResult;
use tokio::time::Instant;

/// Why a link goes whose server names its own address as that of the slot's owner: the connection leads to a process
/// that is not the one that has the address now.
const CIRCLE: &str = "its node says that the node of this address is another one";

/// What one request, or the parts of one, may still follow.
pub(super) struct Redirects<'a> {
    core: &'a Core,
    cluster: &'a Cluster,
    deadline: Instant,
    budget: RedirectBudget,
}

impl<'a> Redirects<'a> {
    pub(super) fn new(core: &'a Core, cluster: &'a Cluster, deadline: Instant) -> Self {
        Self { core, cluster, deadline, budget: RedirectBudget::default() }
    }

    /// What the reply, which came over this link, says of where the request is to go.
    pub(super) fn of<R: Request>(
        &self,
        request: &R,
        reply: &RedisResult<R::Reply>,
        link: u64,
        way: &Way,
    ) -> Option<Redirect> {
        let node = match self.core.any_link(link) {
            Some((node, _)) => node,
            // Its connection has ended since. Only a redirect without a host depends on who said it.
            None => self.cluster.map().get(request.slot()?)?.clone(),
        };
        self.said_by(node.name(), request, reply, way.is_asking())
    }

    /// The same of a reply that came from the node of this name.
    pub(super) fn said_by<R: Request>(
        &self,
        name: &NodeAddress,
        request: &R,
        reply: &RedisResult<R::Reply>,
        asking: bool,
    ) -> Option<Redirect> {
        let redirect = request.redirect(reply, name).filter(|redirect| *redirect != Redirect::CrossSlot)?;
        Some(self.read(redirect, asking))
    }

    /// What a redirect means for a request that was sent behind `ASKING`, or was not.
    ///
    /// A node that does not know `ASKING`, as in Azure Managed Redis, sends the request back to the slot's owner, which
    /// sends it here again for as long as the slot is on its way.
    pub(super) fn read(&self, redirect: Redirect, asking: bool) -> Redirect {
        match &redirect {
            Redirect::Moved { slot, to } if asking => {
                let is_back = self.cluster.map().owner(*slot).is_some_and(|owner| owner.address == *to);
                if is_back { Redirect::TryAgain } else { redirect }
            }
            _ => redirect,
        }
    }

    /// Takes note of a redirect that came over `link`, if that is known; returns where it leads.
    pub(super) fn heed(&self, redirect: &Redirect, link: Option<u64>) -> Way {
        match redirect {
            Redirect::Moved { slot, to } => {
                self.cluster.moved(*slot, to);
                if let Some((node, link)) = link.and_then(|link| self.core.any_link(link))
                    && node.name() == to
                {
                    link.retire(CIRCLE);
                    node.pool().wake_keeper();
                }
                Way::Redirected { to: self.cluster.nodes.get(to), asking: false }
            }
            Redirect::Ask { to, .. } => Way::Redirected { to: self.cluster.nodes.get(to), asking: true },
            Redirect::ClusterDown => {
                self.cluster.doubt();
                Way::Owner
            }
            Redirect::TryAgain | Redirect::CrossSlot => Way::Owner,
        }
    }

    /// Waits until the request may be sent again; false if it may not.
    pub(super) async fn allow(&mut self, redirect: &Redirect) -> bool {
        let now = Instant::now();
        let Some(delay) = self.budget.next_delay(redirect, now, self.deadline) else {
            return false;
        };
        if !delay.is_zero() {
            self.core.timers.sleep_until(now + delay).await;
        }
        true
    }
}
