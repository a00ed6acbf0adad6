use super::*;

/// Starts as many dials as may follow each other at once.
pub(in crate::pool) fn exhaust(pace: &Arc<DialPace>) -> usize {
    let now = Instant::now();
    let admitted = (0..1_000).take_while(|_| pace.admit(now, 0).is_some()).count();
    assert!(admitted < 1_000, "there is no end of it");
    admitted
}

#[tokio::test(start_paused = true)]
async fn a_burst_then_a_bounded_rate() {
    let pace = DialPace::new();
    let dials = |now| pace.admit(now, 0).is_some();
    let mut count = 0;
    for _ in 0..10_000 {
        count += u32::from(dials(Instant::now()));
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    // 16 at once, then 100 a second for ten seconds, jittered.
    assert!((800..=1_300).contains(&count), "{count} dials in ten seconds");
    exhaust(&pace);
    let next = pace.next(Instant::now(), 0).unwrap();
    tokio::time::advance(next - Instant::now() + Duration::from_millis(1)).await;
    assert!(dials(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn only_so_many_are_under_way_in_a_pool_and_in_all() {
    let pace = DialPace::new();
    assert!(pace.admit(Instant::now(), AT_ONCE_IN_A_POOL).is_none());
    let mut under_way = Vec::new();
    for _ in 0..1_000 {
        under_way.extend(pace.admit(Instant::now(), 1));
        tokio::time::advance(Duration::from_millis(20)).await;
    }
    assert_eq!(under_way.len(), AT_ONCE);
    assert!(pace.next(Instant::now(), 1).is_some() && pace.next(Instant::now(), AT_ONCE_IN_A_POOL).is_none());
    let first_of_a_pool = pace.admit(Instant::now(), 0);
    assert!(first_of_a_pool.is_some(), "dead nodes keep others from being dialed");
    drop(first_of_a_pool);
    under_way.pop();
    assert!(pace.admit(Instant::now(), 1).is_some());
}

#[tokio::test(start_paused = true)]
async fn so_many_follow_each_other_at_once() {
    let pace = DialPace::new();
    assert_eq!(exhaust(&pace), 16);
}

/// Whoever was not admitted is admitted when he was told, and no sooner.
#[tokio::test(start_paused = true)]
async fn the_moment_that_is_told_is_the_moment_of_the_next_dial() {
    let millisecond = Duration::from_millis(1);
    let pace = DialPace::new();
    exhaust(&pace);
    let mut waits = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        tokio::time::advance(3 * millisecond).await;
        assert!(pace.admit(Instant::now(), 0).is_none());
        let next = pace.next(Instant::now(), 0).unwrap();
        tokio::time::advance((next - Instant::now()).saturating_sub(millisecond)).await;
        assert!(pace.admit(Instant::now(), 0).is_none(), "a millisecond too early");
        // The clock counts in milliseconds here.
        tokio::time::advance(2 * millisecond).await;
        assert!(pace.admit(Instant::now(), 0).is_some());
        waits.push(next - began);
    }
    let (shortest, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    // 150 to 50 a second; some have gained up to a millisecond before.
    assert!((5 * millisecond..9 * millisecond).contains(shortest), "{shortest:?}");
    assert!((15 * millisecond..=20 * millisecond).contains(longest), "{longest:?}");
}

/// A keeper that was told of now would look again at once, and again.
#[tokio::test(start_paused = true)]
async fn what_is_told_is_later_than_now() {
    let pace = DialPace::new();
    let now = Instant::now();
    assert!(pace.next(now, 0).unwrap() > now && pace.next(now, 1).unwrap() > now);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_other_pools_looks_again_soon() {
    let pace = DialPace::new();
    let mut under_way = Vec::new();
    for _ in 0..1_000 {
        under_way.extend(pace.admit(Instant::now(), 1));
        tokio::time::advance(Duration::from_millis(20)).await;
    }
    assert_eq!(under_way.len(), AT_ONCE);
    let now = Instant::now();
    assert_eq!(pace.next(now, 1), Some(now + Duration::from_millis(50)));
    assert!(pace.next(now, 0).unwrap() < now + Duration::from_millis(20), "the first of a pool does not wait for them");
    under_way.pop();
    assert!(pace.next(now, 1).unwrap() < now + Duration::from_millis(20));
}
