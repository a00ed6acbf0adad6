//! Tells commands that wait that something has changed, for all pools together: what a command waits for may come up
//! in another pool than the one that it looked at.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::sync::{Notify, futures::Notified};

#[derive(Default)]
pub(crate) struct Availability {
    changed: Notify,
    /// Rung once, for those who wait for nothing else: hundreds that block are not to be woken by each change.
    closing: Notify,
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
        self.closing.notify_waiters();
        self.announce();
    }

    /// Waits for [`close`](Self::close).
    pub(crate) async fn until_closed(&self) {
        let closing = self.closing.notified();
        tokio::pin!(closing);
        // Enabled before the look, so that the end does not fall between the two.
        closing.as_mut().enable();
        if !self.is_closed() {
            closing.await;
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }
}
