//! What every link of a connection manager is opened with.

use super::multi::Multi;
use crate::transport::dialer::Dialer;
use redis::ProtocolVersion;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio_util::task::TaskTracker;

#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) dialer: Dialer,
    /// Whether its callers have other nodes, too, which work while this one waits.
    pub(crate) is_one_of_several: bool,
    /// Host and port of the node, as they are shown.
    pub(crate) node: Arc<str>,
    /// What the server shows as the name of each link.
    pub(crate) client_name: Option<Arc<str>>,
    pub(crate) protocol: ProtocolVersion,
    pub(crate) auth_timeout: Duration,
    pub(crate) command_timeout: Duration,
    /// Links that were opened in all, which numbers them.
    pub(crate) links_opened: Arc<AtomicU64>,
    /// Whether the next link asks for the topology right behind its `AUTH`, so that `connect` takes no round trip more
    /// for that.
    pub(crate) asks_for_slots: Arc<AtomicBool>,
    /// The name of the pool that the links are for.
    pub(crate) pool: Arc<str>,
    /// Where the connections' tasks are counted.
    pub(crate) tasks: TaskTracker,
    /// Whether the user may open transactions.
    pub(crate) multi: Arc<Multi>,
}

impl Setup {
    pub(super) fn next_id(&self) -> u64 {
        self.links_opened.fetch_add(1, Relaxed) + 1
    }
}
