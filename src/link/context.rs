//! What a connection is told when it begins.

use super::{multi::Multi, push::Pushes};
use crate::admission::Admission;
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

/// What a connection is told when it begins.
#[derive(Clone)]
pub(super) struct WireContext {
    /// Notified when the connection ends, or is in doubt.
    pub(super) keeper: Arc<Notify>,
    /// Shared by all links.
    pub(super) admission: Arc<Admission>,
    /// How long a request may take that comes without a deadline of its own.
    pub(super) patience: Duration,
    /// Bytes that one TLS record holds.
    pub(super) record: usize,
    /// Whether the callers have other nodes, too.
    pub(super) is_one_of_several: bool,
    /// The pool's name.
    pub(super) pool: Arc<str>,
    /// The address of the server, as it is shown.
    pub(super) node: Arc<str>,
    /// Where the connection's task is counted.
    pub(super) tasks: TaskTracker,
    /// Whether transactions may be opened.
    pub(super) multi: Arc<Multi>,
    /// Who gets what the server sends without being asked.
    pub(super) pushes: Arc<Pushes>,
}
