//! One server that commands are sent to: its address, the links to it, and their keeper.

use super::address::NodeAddress;
use crate::{
    error::Error,
    link::{Link, Setup},
    pool::{Keeper, Pool, Shared},
};
use std::{fmt, sync::Arc};
use tokio::{sync::oneshot, task::AbortHandle};
use tokio_util::task::TaskTracker;

/// Owns a pool and its keeper, which ends with it.
pub(crate) struct Node {
    /// What the topology calls it, and redirects do.
    name: NodeAddress,
    pool: Arc<Pool>,
    keeper: AbortHandle,
}

/// Told how the first dial of a node went.
pub(crate) type Ready = oneshot::Receiver<Result<(), Error>>;

impl Node {
    /// Starts the keeper of `size` links with this setup, in `keepers`. Must be called on a runtime.
    pub(crate) fn start(
        name: NodeAddress,
        size: usize,
        setup: Setup,
        shared: &Shared,
        keepers: &TaskTracker,
    ) -> (Arc<Self>, Ready) {
        let (keeper, pool, ready) = Keeper::new(size, setup, shared.clone());
        let keeper = keepers.spawn(keeper.run()).abort_handle();
        (Arc::new(Self { name, pool, keeper }), ready)
    }

    /// A node whose links stay as they are. Must be called on a runtime.
    #[cfg(any(test, feature = "bench-api"))]
    pub(crate) fn without_keeper(name: NodeAddress, pool: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self { name, pool, keeper: tokio::spawn(async {}).abort_handle() })
    }

    pub(crate) fn name(&self) -> &NodeAddress {
        &self.name
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Opens no more links, and re-authenticates none.
    pub(crate) fn end_keeper(&self) {
        self.keeper.abort();
    }

    /// Whether some link is up.
    pub(crate) fn takes_commands(&self) -> bool {
        self.pool.open_links() > 0
    }

    /// Whether no link is up, and the last try to open one has failed, or nobody tries any more.
    pub(crate) fn is_unreachable(&self) -> bool {
        !self.takes_commands() && (self.pool.last_error().is_some() || self.pool.has_ended())
    }

    /// A link that is up, to ask the node something.
    pub(super) fn open_link(&self) -> Option<Arc<Link>> {
        let links = self.pool.snapshot();
        let is_well = |link: &&Arc<Link>| link.is_open() && !link.is_silent();
        links.iter().find(is_well).or_else(|| links.iter().find(|link| link.is_open())).map(Arc::clone)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name).finish_non_exhaustive()
    }
}
