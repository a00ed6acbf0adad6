//! When a link's server last spoke.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::Instant;

/// When a link's server last sent something, in milliseconds since the link began.
pub(crate) struct Pulse {
    began: Instant,
    last_read: AtomicU64,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), last_read: AtomicU64::new(0) }
    }

    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn last_read(&self) -> u64 {
        self.last_read.load(Relaxed)
    }

    /// Whether nothing has come since `moment`, which is rounded down: a doubt speaks for the server.
    pub(crate) fn silent_since(&self, moment: Instant) -> bool {
        let moment = moment.saturating_duration_since(self.began).as_millis();
        u128::from(self.last_read()) < moment
    }

    pub(super) fn beat(&self) {
        // Milliseconds of uptime fit for 584 million years.
        #[allow(clippy::cast_possible_truncation)]
        self.last_read.store(self.now().as_millis() as u64, Relaxed);
    }
}
