use super::*;

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
    while dials(Instant::now()) {}
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
