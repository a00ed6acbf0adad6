//! One server that commands are sent to: its address, the links to it, and their keeper.

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
    /// Host and port, as they are shown.
    address: Arc<str>,
    pool: Arc<Pool>,
    keeper: AbortHandle,
}

/// Told how the first dial of a node went.
pub(crate) type Ready = oneshot::Receiver<Result<(), Error>>;

impl Node {
    /// Starts the keeper of `size` links with this setup, in `keepers`. Must be called on a runtime.
    pub(crate) fn start(size: usize, setup: Setup, shared: &Shared, keepers: &TaskTracker) -> (Arc<Self>, Ready) {
        let address = Arc::clone(&setup.node);
        let (keeper, pool, ready) = Keeper::new(size, setup, shared.clone());
        let keeper = keepers.spawn(keeper.run()).abort_handle();
        (Arc::new(Self { address, pool, keeper }), ready)
    }

    /// A node whose links stay as they are. Must be called on a runtime.
    #[cfg(feature = "bench-api")]
    pub(crate) fn without_keeper(pool: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self { address: "none".into(), pool, keeper: tokio::spawn(async {}).abort_handle() })
    }

    pub(crate) fn address(&self) -> &Arc<str> {
        &self.address
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Opens no more links, and re-authenticates none.
    pub(crate) fn end_keeper(&self) {
        self.keeper.abort();
    }

    /// The link of this number, if its connection has not ended, in use or not.
    pub(crate) fn any_link(&self, id: u64) -> Option<Arc<Link>> {
        self.pool.any_link(id)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("address", &self.address).finish_non_exhaustive()
    }
}
