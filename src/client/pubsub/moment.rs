//! When something happened, by the clock of this machine, whether or not the machine was suspended meanwhile.

use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// A moment of both clocks. The monotonic one stands still while the machine is suspended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Both {
    pub(super) wall: SystemTime,
    pub(super) monotonic: Instant,
}

impl Both {
    pub(super) fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    /// When it was, by the wall clock, that something which has begun at this moment was last heard of, if by the
    /// monotonic clock it has been silent for so long `now`.
    ///
    /// In all of the time since the beginning in which that clock stood still, nothing may have been heard. (A wall
    /// clock that was set forward looks the same; then it is too early.)
    pub(super) fn last_heard(self, now: Self, silent: Duration) -> SystemTime {
        let by_wall = now.wall.duration_since(self.wall).unwrap_or_default();
        let suspended = by_wall.saturating_sub(now.monotonic.saturating_duration_since(self.monotonic));
        now.wall.checked_sub(silent.saturating_add(suspended)).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_lasts_while_the_machine_is_suspended() {
        let seconds = Duration::from_secs;
        let began = Both::now();
        let later = |wall: u64, monotonic: u64| Both {
            wall: began.wall + seconds(wall),
            monotonic: began.monotonic + seconds(monotonic),
        };
        let heard = |now: Both, silent: u64| began.last_heard(now, seconds(silent)).duration_since(began.wall).unwrap();
        assert_eq!(heard(later(100, 100), 10), seconds(90));
        // An hour of it by the wall clock alone.
        assert_eq!(heard(later(3700, 100), 10), seconds(90));
        // The wall clock was set back.
        assert_eq!(heard(later(50, 100), 10), seconds(40));
        assert_eq!(began.last_heard(began, Duration::MAX), SystemTime::UNIX_EPOCH);
    }
}
