//! How fast links are dialed, over all pools together.

use crate::lock::lock;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Dials that may follow each other at once, after a time without any.
const BURST: f64 = 16.0;

/// Dials per second after that. Azure limits the rate of new connections, and a thousand clients that lost theirs at
/// the same moment must not come back at the same moment.
const RATE: f64 = 100.0;

/// Dials under way in one pool.
const AT_ONCE_IN_A_POOL: usize = 4;

/// Dials under way in all pools. The first one of a pool is not bound by it, so that nodes that do not answer a dial,
/// however many they are, do not keep the others from being dialed.
const AT_ONCE: usize = 32;

/// Says when links may be dialed, and how many at a time.
pub(crate) struct DialPace {
    bucket: Mutex<Bucket>,
    under_way: AtomicUsize,
}

impl DialPace {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { bucket: Mutex::new(Bucket::new()), under_way: AtomicUsize::new(0) })
    }

    /// Lets a dial start now, if it may, in a pool with this many under way.
    pub(super) fn admit(self: &Arc<Self>, now: Instant, in_pool: usize) -> Option<Dialing> {
        let has_room = in_pool == 0 || in_pool < AT_ONCE_IN_A_POOL && self.under_way.load(SeqCst) < AT_ONCE;
        let may = has_room && lock(&self.bucket).admits(now);
        may.then(|| {
            self.under_way.fetch_add(1, SeqCst);
            Dialing(Arc::clone(self))
        })
    }

    /// When a dial may start that was not admitted, in a pool with this many under way; none if one of those has to end
    /// before.
    pub(super) fn next(&self, now: Instant, in_pool: usize) -> Option<Instant> {
        if in_pool >= AT_ONCE_IN_A_POOL {
            return None;
        }
        if in_pool > 0 && self.under_way.load(SeqCst) >= AT_ONCE {
            // Nobody is told when another pool's dial ends.
            return Some(now + Duration::from_millis(50));
        }
        Some(lock(&self.bucket).next(now))
    }
}

/// A dial under way; it has ended when this is dropped.
#[must_use]
pub(super) struct Dialing(Arc<DialPace>);

impl Drop for Dialing {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, SeqCst);
    }
}

/// A bucket of allowances for dials, which fills at a jittered rate.
struct Bucket {
    allowance: f64,
    since: Instant,
    rate: f64,
}

impl Bucket {
    fn new() -> Self {
        Self { allowance: BURST, since: Instant::now(), rate: RATE }
    }

    /// Whether a dial may start now; it counts then.
    fn admits(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.since).as_secs_f64() * self.rate;
        (self.allowance, self.since) = ((self.allowance + gained).min(BURST), now);
        if self.allowance < 1.0 {
            return false;
        }
        self.allowance -= 1.0;
        self.rate = RATE * (0.5 + fastrand::f64());
        true
    }

    /// When a dial may start that may not now.
    fn next(&self, now: Instant) -> Instant {
        let wait = Duration::try_from_secs_f64((1.0 - self.allowance) / self.rate).unwrap_or_default();
        // A remainder below the clock's resolution is some time, too.
        (self.since + wait).max(now + Duration::from_millis(1))
    }
}

#[cfg(test)]
pub(super) mod tests;
