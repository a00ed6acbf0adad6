use super::*;
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn silence_is_counted_from_the_last_sign() {
    let liveness = Liveness::new();
    let began = Instant::now();
    advance(5 * SECOND).await;
    assert_eq!((liveness.now(), liveness.last_sign()), (5 * SECOND, 0));
    liveness.beat();
    advance(SECOND).await;
    assert_eq!((liveness.last_sign(), liveness.last_sign_at()), (5_000, began + 5 * SECOND));
    assert!(liveness.silent_since(began + 5 * SECOND + MILLISECOND));
    assert!(!liveness.silent_since(began + 5 * SECOND), "in doubt, it has been heard");
    assert!(!liveness.silent_since(began + 4 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_sign_dispels_every_doubt() {
    let liveness = Liveness::new();
    assert!(!liveness.is_suspect() && !liveness.is_silent());
    liveness.suspect();
    assert!(liveness.is_suspect() && !liveness.is_silent());
    liveness.beat();
    assert!(!liveness.is_suspect());
    liveness.doubt();
    assert!(liveness.is_suspect() && liveness.is_silent());
    liveness.beat();
    assert!(!liveness.is_suspect() && !liveness.is_silent());
}

#[tokio::test(start_paused = true)]
async fn a_link_expires_with_its_token() {
    let liveness = Liveness::new();
    let began = Instant::now();
    let year = 365 * 24 * 3600 * SECOND;
    assert!(!liveness.has_expired(began + year), "it has none yet");
    liveness.expires_at(began + SECOND);
    assert!(!liveness.has_expired(began + SECOND.saturating_sub(MILLISECOND)));
    assert!(liveness.has_expired(began + SECOND) && liveness.has_expired(began + 2 * SECOND));
}

#[tokio::test]
async fn an_auth_is_under_way_until_its_end_is_dropped() {
    let liveness = Arc::new(Liveness::new());
    assert!(!liveness.is_validating());
    let validating = liveness.validate();
    assert!(liveness.is_validating());
    drop(validating);
    assert!(!liveness.is_validating());
}
