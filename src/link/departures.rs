//! Those who wait until commands of a link are through.

use crate::sync::{AtomicUsize, Notify};
use std::sync::atomic::Ordering::SeqCst;

pub(super) struct Departures {
    /// Notified whenever commands are through, if anybody waits.
    departed: Notify,
    watchers: AtomicUsize,
}

impl Departures {
    pub(super) fn new() -> Self {
        Self { departed: Notify::new(), watchers: AtomicUsize::new(0) }
    }

    /// Commands are through: has those who wait look again.
    pub(super) fn tell(&self) {
        if self.watchers.load(SeqCst) > 0 {
            self.departed.notify_waiters();
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn awaited(&self) -> usize {
        self.watchers.load(SeqCst)
    }

    /// Waits until `is_so` is true; it is called whenever commands are through.
    pub(super) async fn until(&self, is_so: impl Fn() -> bool) {
        let _watching = Watching::new(&self.watchers);
        loop {
            let departed = self.departed.notified();
            tokio::pin!(departed);
            // Enabled before the look, so that no departure falls between the two.
            departed.as_mut().enable();
            if is_so() {
                return;
            }
            departed.await;
        }
    }
}

/// Somebody who waits for commands to be through, until dropped.
struct Watching<'a>(&'a AtomicUsize);

impl<'a> Watching<'a> {
    fn new(watchers: &'a AtomicUsize) -> Self {
        watchers.fetch_add(1, SeqCst);
        Self(watchers)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
