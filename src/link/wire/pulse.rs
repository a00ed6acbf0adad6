//! When a link's server last spoke.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio::time::Instant;

/// When a link's server last sent something, in milliseconds since the link began.
pub(crate) struct Pulse {
    began: Instant,
    last_read: AtomicU64,
    /// Somebody wants to know whether it still speaks.
    suspect: AtomicBool,
    /// It has left requests without a byte for too long.
    silent: AtomicBool,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            last_read: AtomicU64::new(0),
            suspect: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        }
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

    /// Has the keeper find out whether the server is still there.
    pub(crate) fn suspect(&self) {
        self.suspect.store(true, Relaxed);
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect.load(Relaxed)
    }

    /// As [`suspect`](Self::suspect), and commands go elsewhere until a byte comes.
    pub(super) fn doubt(&self) {
        self.silent.store(true, Relaxed);
        self.suspect();
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Relaxed)
    }

    pub(super) fn beat(&self) {
        if self.is_suspect() {
            self.suspect.store(false, Relaxed);
            self.silent.store(false, Relaxed);
        }
        // Milliseconds of uptime fit for 584 million years.
        #[allow(clippy::cast_possible_truncation)]
        self.last_read.store(self.now().as_millis() as u64, Relaxed);
    }
}
