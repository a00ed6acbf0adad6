//! The owner of the pool and the token actor: from `connect` to `shutdown`.

mod start;
mod tasks;

use super::{pubsub::PubSubs, snapshot::Sources};
use crate::{
    exec::core::Core,
    observe::{
        event::{Counters, Event},
        health::Health,
        stats::Stats,
    },
};
use futures_util::future::join_all;
#[cfg(feature = "near-cache")]
use redis::ProtocolVersion;
use std::{sync::Arc, time::Duration};
use tasks::Tasks;
use tokio::{
    sync::{Mutex, broadcast},
    time::Instant,
};
use tokio_util::task::TaskTracker;

/// Owns the connections and the token, for as long as a handle exists.
///
/// On a cluster it owns those to all nodes, which share the token, the pace of dials and `max_in_flight`;
/// [`stats`](Self::stats) tells of each node, [`health`](Self::health) names nodes without connections.
///
/// Obtained from [`EntraRedis::manager`](crate::EntraRedis::manager).
pub struct ConnectionManager {
    /// What calls need.
    core: Core,
    pub(super) sources: Sources,
    #[cfg(feature = "near-cache")]
    pub(super) protocol: ProtocolVersion,
    /// If it is not the command timeout.
    shutdown_timeout: Option<Duration>,
    /// The token actor, and the watch of a cluster.
    background: Mutex<Tasks>,
    /// The tasks of the nodes, which end when commands are refused.
    pub(super) keepers: TaskTracker,
    /// The tasks of the connections, those that are just being opened included.
    pub(super) connections: TaskTracker,
    /// Passes on figures; ended last, so that it sees everything.
    publishing: Mutex<Tasks>,
    /// Subscriptions, if there are any.
    pub(super) pubsub: PubSubs,
    /// Holds what marks the timers as ended.
    timers: Mutex<Tasks>,
}

impl ConnectionManager {
    /// What calls need.
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Whether commands can be sent right now: some link is up, on a cluster to some node, and `shutdown` has not been
    /// called.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.core.is_closed() && self.core.nodes().iter().any(|node| node.takes_commands())
    }

    /// What the connection manager is doing right now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.sources.stats()
    }

    /// Whether all is well, and if not, what is wrong.
    #[must_use]
    pub fn health(&self) -> Health {
        self.sources.health()
    }

    /// Counters since `connect`; cheaper than a whole [`Stats`].
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.sources.journal.counters()
    }

    /// What happens from now on. A subscriber that falls behind misses events and is told how many; nothing waits for
    /// it.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.sources.journal.subscribe()
    }

    /// Asks for a new token before its time, when a role or an access policy has changed, say.
    ///
    /// It returns at once; any number of calls while a request is under way make one. The minimum refresh interval
    /// holds, and so does a `Retry-After` of the identity provider; a delay between retries is cut short.
    pub fn refresh_token(&self) {
        self.core.tokens.request_refresh();
    }

    /// Refuses new commands, waits for those in flight, for [`shutdown_timeout`](crate::Config::shutdown_timeout) at
    /// most, and ends everything: when it returns, no task of this connection manager's is left.
    ///
    /// What is not answered by then fails as if its connection had been lost. Calling it again, from anywhere, waits
    /// for the same end; a caller that drops its future cuts nothing short for the others.
    pub async fn shutdown(&self) {
        self.core.availability.close();
        // The lock makes a second caller wait until the first is through.
        let mut background = self.background.lock().await;
        // The watch first, so that there are no more nodes after these.
        background.end().await;
        self.core.end_keepers();
        self.keepers.close();
        self.keepers.wait().await;
        let nodes = self.core.nodes();
        let deadline = Instant::now() + self.shutdown_timeout.unwrap_or(self.core.command_timeout);
        let links = nodes.iter().flat_map(|node| node.pool().all_links());
        let drained = join_all(links.map(async |link| {
            link.retire("shut down");
            let drained = self.core.timers.timeout_at(deadline, link.drained()).await.is_some();
            (drained && !link.has_ended()).then(|| (link.id(), Arc::clone(link.node())))
        }))
        .await;
        // They close with their last owner.
        for node in &nodes {
            node.pool().clear();
        }
        self.connections.close();
        self.connections.wait().await;
        for (link, node) in drained.into_iter().flatten() {
            self.sources.journal.record(Event::LinkDrained { node, link });
        }
        self.publishing.lock().await.end().await;
        self.timers.lock().await.end().await;
    }
}

impl std::fmt::Debug for ConnectionManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionManager")
            .field("ready", &self.ready())
            .field("nodes", &self.core.nodes())
            .finish_non_exhaustive()
    }
}
