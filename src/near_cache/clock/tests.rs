use super::*;

#[test]
fn only_a_clock_that_is_set_back_is_noticed() {
    let second = Duration::from_secs(1);
    let (wall, monotonic) = (Moment(1_000_000_000), Instant::now());
    let both = Both { wall, monotonic };
    let later = |wall, passed| both.was_set_back_until(Both { wall, monotonic: monotonic + passed });
    assert!(!later(wall, Duration::ZERO) && !later(wall.after(second), second));
    // Suspended for an hour, set forward, or slower than it should be.
    assert!(!later(wall.after(3600 * second), second));
    assert!(!later(wall.after(second.saturating_sub(SLACK)), second));
    assert!(!later(wall.after(3599 * second), 3600 * second));
    assert!(later(wall, second) && later(Moment(1), second) && later(Moment(1), Duration::ZERO));
}
