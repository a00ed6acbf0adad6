//! What the nodes say of the cluster, and waiting until all say the same.

use super::{
    Servers,
    node::Node,
    view::{self, Member, View},
    wait::{Patience, not_yet},
};
use std::{io, sync::Arc};

/// What all nodes that live agree on.
pub(super) struct Roll(View);

impl Roll {
    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.0.get(id)
    }

    /// The id of the slot's owner.
    pub(super) fn owner(&self, slot: u16) -> Option<&str> {
        self.0.iter().find(|(_, member)| member.owns(slot)).map(|(id, _)| id.as_str())
    }

    pub(super) fn replicas_of(&self, primary: &str) -> impl Iterator<Item = &str> {
        let follows = move |member: &Member| member.primary.as_deref() == Some(primary);
        self.0.iter().filter(move |(_, member)| follows(member)).map(|(id, _)| id.as_str())
    }
}

impl Servers {
    /// Waits until all nodes that live are known to each other by their ports, see each other in good health, agree on
    /// roles and slots, and what they agree on is what is waited for.
    pub(super) async fn agreed(&self, what: &str, wanted: impl Fn(&Roll) -> bool) -> io::Result<Roll> {
        let patience = Patience::new(what);
        loop {
            let failure = match self.roll().await {
                Ok(roll) if wanted(&roll) => return Ok(roll),
                Ok(_) => not_yet("the nodes agree on something else"),
                Err(error) => error,
            };
            patience.after(failure).await?;
        }
    }

    /// What the nodes agree on now, if they do.
    async fn roll(&self) -> io::Result<Roll> {
        let live = self.live();
        let mut views = Vec::with_capacity(live.len());
        for node in &live {
            views.push(view_of(node).await?);
        }
        common(&live, views)
    }

    /// Waits until a node has all data of its primary, if it is a replica.
    pub(super) async fn in_sync(&self, node: &Node) -> io::Result<()> {
        let patience = Patience::new("a replica is in sync");
        loop {
            let info: io::Result<String> = node.server.ask(redis::cmd("INFO").arg("replication")).await;
            let info = info.unwrap_or_default();
            if info.lines().any(|line| line == "role:master" || line == "master_link_status:up") {
                return Ok(());
            }
            patience.after(not_yet("its link to the primary is down")).await?;
        }
    }
}

/// What the node tells of all that it knows; an error while the cluster is not in order for it.
async fn view_of(node: &Node) -> io::Result<View> {
    let mut admin = node.server.admin().await?;
    let info: String = admin.ask(redis::cmd("CLUSTER").arg("INFO")).await?;
    if !info.contains("cluster_state:ok") {
        return Err(not_yet(format!("the node {} does not say that the cluster is in order", node.index)));
    }
    let text: String = admin.ask(redis::cmd("CLUSTER").arg("NODES")).await?;
    Ok(view::read(&text))
}

/// What the views have in common, if they differ in nothing but the health of nodes that do not live.
fn common(live: &[Arc<Node>], mut views: Vec<View>) -> io::Result<Roll> {
    for (node, view) in live.iter().zip(&mut views) {
        for other in live {
            let index = (node.index, other.index);
            let known = view.get(&other.id).ok_or_else(|| not_yet(format!("{} does not know {}", index.0, index.1)))?;
            if !known.healthy || known.port != other.site.address().port() {
                return Err(not_yet(format!("for {}, {} is not what it is", index.0, index.1)));
            }
        }
        for member in view.values_mut() {
            member.healthy = true;
        }
    }
    let first = views.pop().ok_or_else(|| io::Error::other("no node of the cluster lives"))?;
    if views.iter().all(|view| *view == first) { Ok(Roll(first)) } else { Err(not_yet("the nodes do not agree")) }
}
