//! How fast links are dialed.

use std::time::Duration;
use tokio::time::Instant;

/// Dials that may follow each other at once, after a time without any.
const BURST: f64 = 16.0;

/// Dials per second after that. Azure limits the rate of new connections, and a thousand clients that lost theirs at
/// the same moment must not come back at the same moment.
const RATE: f64 = 100.0;

/// A bucket of allowances for dials, which fills at a jittered rate.
pub(super) struct Pace {
    allowance: f64,
    since: Instant,
    rate: f64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { allowance: BURST, since: Instant::now(), rate: RATE }
    }

    /// Whether a dial may start now; it counts then.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
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
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let lacking = 1.0 - self.allowance;
        let wait = Duration::try_from_secs_f64(lacking / self.rate).ok().filter(|_| lacking > 0.0)?;
        // A remainder below the clock's resolution is some time, too.
        Some((self.since + wait).max(now + Duration::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_a_bounded_rate() {
        let mut pace = Pace::new();
        let mut dials = 0;
        for _ in 0..10_000 {
            dials += u32::from(pace.admits(Instant::now()));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        // 16 at once, then 100 a second for ten seconds, jittered.
        assert!((800..=1_300).contains(&dials), "{dials} dials in ten seconds");
        while pace.admits(Instant::now()) {}
        let next = pace.next(Instant::now()).unwrap();
        tokio::time::advance(next - Instant::now() + Duration::from_millis(1)).await;
        assert!(pace.admits(Instant::now()));
    }
}
