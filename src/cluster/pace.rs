//! When the topology is asked for: at once when something has changed, and never too often.
//!
//! One refresh at a time. The first one that is asked for starts at once; further ones start [`SHORTEST_GAP`] after the
//! one before, and the gap doubles up to [`LONGEST_GAP`] while they keep being asked for. Without any request there is
//! one each `interval`. The gaps are drawn a little longer, and the interval a little shorter or longer, so that the
//! many clients of one cluster do not ask together.

use std::time::Duration;
use tokio::time::Instant;

/// The shortest time from the start of one refresh to the start of the next, however many ask for it.
pub(crate) const SHORTEST_GAP: Duration = Duration::from_millis(100);

/// Where the gap stops growing.
pub(crate) const LONGEST_GAP: Duration = Duration::from_secs(1);

/// By how much of itself a gap is drawn longer at most.
const GAP_JITTER: f64 = 0.25;

/// By how much of itself the interval is drawn shorter or longer at most.
const INTERVAL_JITTER: f64 = 0.1;

/// The state of one cluster's refreshes, without a clock of its own.
///
/// The task that refreshes waits for [`due`](Self::due) or for a request, whichever comes first;
/// [`start`](Self::start)s; and says when it has [`finish`](Self::finish)ed.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    gap: Duration,
    /// From when on the next one may start; none before the first one.
    earliest: Option<Instant>,
    /// If there is no request until then, the next ones begin with the shortest gap again.
    quiet: Option<Instant>,
    periodic: Instant,
    is_wanted: bool,
    is_running: bool,
}

impl Pace {
    /// The pace from now on, with a refresh each `interval` (`Config::topology_refresh_interval`).
    pub(crate) fn new(now: Instant, interval: Duration) -> Self {
        Self {
            interval,
            gap: SHORTEST_GAP,
            earliest: None,
            quiet: None,
            periodic: later(now, jittered(interval)),
            is_wanted: false,
            is_running: false,
        }
    }

    /// The topology may have changed: `MOVED`, a lost link, an answer that is in doubt.
    ///
    /// A request that comes while a refresh runs is for the next one: its answer may be older than the request.
    pub(crate) fn request(&mut self) {
        self.is_wanted = true;
    }

    /// When the next refresh may start; in the past if it is overdue. None while one runs.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        if self.is_running {
            return None;
        }
        let due = if self.is_wanted { now.min(self.periodic) } else { self.periodic };
        Some(self.earliest.map_or(due, |earliest| due.max(earliest)))
    }

    /// A refresh starts, if one is due and none runs.
    pub(crate) fn start(&mut self, now: Instant) -> bool {
        if self.due(now).is_none_or(|due| due > now) {
            return false;
        }
        let was_wanted = std::mem::take(&mut self.is_wanted);
        self.is_running = true;
        let goes_on = was_wanted && self.quiet.is_some_and(|quiet| now < quiet);
        self.gap = if goes_on { (self.gap * 2).min(LONGEST_GAP) } else { SHORTEST_GAP };
        let gap = self.gap.mul_f64(1.0 + GAP_JITTER * fastrand::f64());
        self.earliest = Some(now + gap);
        self.quiet = Some(now + gap + self.gap.max(SHORTEST_GAP * 2));
        true
    }

    /// The refresh that ran has ended; a failed one is followed by another one, at the pace of requests.
    pub(crate) fn finish(&mut self, now: Instant, is_ok: bool) {
        self.is_running = false;
        self.is_wanted |= !is_ok;
        self.periodic = later(now, jittered(self.interval));
    }
}

fn jittered(interval: Duration) -> Duration {
    let factor = 1.0 - INTERVAL_JITTER + 2.0 * INTERVAL_JITTER * fastrand::f64();
    Duration::try_from_secs_f64(interval.as_secs_f64() * factor).unwrap_or(interval)
}

/// An interval may be set so long that no clock has its end.
fn later(now: Instant, delay: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    now + delay.min(FAR)
}

#[cfg(test)]
mod tests;
