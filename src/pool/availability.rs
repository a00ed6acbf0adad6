//! Tells commands that wait that something has changed, for all pools together: what a command waits for may come up
//! in another pool than the one that it looked at.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::sync::{Notify, futures::Notified};

#[derive(Default)]
pub(crate) struct Availability {
    changed: Notify,
    closed: AtomicBool,
}

impl Availability {
    /// Completes with the next [`announce`](Self::announce), once it has been enabled or polled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Lets all commands that wait look again.
    pub(crate) fn announce(&self) {
        self.changed.notify_waiters();
    }

    /// Refuses commands from now on; those that wait for a link are refused too.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        self.announce();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }
}
