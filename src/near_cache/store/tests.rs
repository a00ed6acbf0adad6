use super::*;
use std::{
    future::pending,
    sync::atomic::{AtomicI64, Ordering::SeqCst},
};

const SECOND: Duration = Duration::from_secs(1);

thread_local! {
    /// When the test began, by the clock that it has paused.
    static BEGAN: Instant = Instant::now();
    /// How far the wall clock is ahead of that: the machine has been suspended, or its clock set.
    static AHEAD: AtomicI64 = const { AtomicI64::new(0) };
}

/// A wall clock that goes on with the one that the test has paused.
fn wall_clock() -> SystemTime {
    let passed = BEGAN.with(|began| Instant::now() - *began);
    let ahead = AHEAD.with(|ahead| ahead.load(SeqCst));
    let time = SystemTime::UNIX_EPOCH + 1_000_000 * SECOND + passed;
    let by = Duration::from_millis(ahead.unsigned_abs());
    if ahead < 0 { time - by } else { time + by }
}

fn set_clock(ahead_by_millis: i64) {
    AHEAD.with(|ahead| ahead.store(ahead_by_millis, SeqCst));
}

fn store(max_bytes: u64) -> Arc<Store> {
    set_clock(0);
    Store::by_clock(Limits { max_bytes, ttl: 60 * SECOND, max_staleness: SECOND }, wall_clock)
}

/// A coverage that begins now.
fn cover(store: &Store) -> Arc<Coverage> {
    Coverage::from(store.now())
}

fn came(number: i64, life: Option<Duration>) -> Came {
    Came { value: Value::Int(number), life, may_come_elsewhere: false }
}

/// Reads it, as the server would answer it.
async fn read(store: &Arc<Store>, coverage: &Arc<Coverage>, key: &[u8], came: Option<Came>) -> Option<i64> {
    let flight = store.fetch(Query::get(key), coverage, || Some(async { came })).unwrap();
    flight.await.map(|value| if let Value::Int(number) = *value { number } else { panic!("{value:?}") })
}

fn kept(store: &Store, key: &[u8]) -> Option<Value> {
    store.get(Query::get(key), 0)
}

#[tokio::test(start_paused = true)]
async fn what_has_been_read_is_served_until_it_is_invalidated() {
    let store = store(1 << 20);
    let coverage = cover(&store);
    assert_eq!(read(&store, &coverage, b"key", Some(came(1, None))).await, Some(1));
    assert_eq!(kept(&store, b"key"), Some(Value::Int(1)));
    assert_eq!(kept(&store, b"other"), None);
    store.invalidate(b"key");
    assert_eq!(kept(&store, b"key"), None);
    let stats = store.stats();
    assert_eq!((stats.hits, stats.misses, stats.invalidations, stats.entries), (1, 2, 1, 0));
}

/// The placeholder comes first: what is invalidated while it is under way is given, and not kept.
#[tokio::test(start_paused = true)]
async fn what_is_invalidated_while_it_is_read_is_not_kept() {
    let store = store(1 << 20);
    let coverage = cover(&store);
    let old = store.fetch(Query::get(b"key"), &coverage, || Some(async { Some(came(1, None)) })).unwrap();
    store.invalidate(b"key");
    // Nobody joins it any more.
    let new = store.fetch(Query::get(b"key"), &coverage, || Some(async { Some(came(2, None)) })).unwrap();
    assert_eq!(new.await.as_deref(), Some(&Value::Int(2)));
    assert_eq!(old.await.as_deref(), Some(&Value::Int(1)));
    assert_eq!(kept(&store, b"key"), Some(Value::Int(2)));
}

#[tokio::test(start_paused = true)]
async fn a_read_under_way_is_joined_while_it_is_worth_it() {
    let store = store(1 << 20);
    let coverage = cover(&store);
    let first = store.fetch(Query::get(b"key"), &coverage, || Some(async { Some(came(1, None)) })).unwrap();
    let none = || None::<std::future::Ready<Option<Came>>>;
    let joined = store.fetch(Query::get(b"key"), &coverage, none).expect("it is under way");
    assert!(first.ptr_eq(&joined));
    assert!(store.fetch(Query::get(b"other"), &coverage, none).is_none());
    // What has been sent longer ago than a change may be unknown.
    tokio::time::advance(2 * SECOND).await;
    assert!(store.fetch(Query::get(b"key"), &coverage, none).is_none());
    drop((first, joined));
    // The same under a coverage that is lost.
    let second = store.fetch(Query::get(b"key"), &coverage, || Some(async { Some(came(1, None)) })).unwrap();
    coverage.lose();
    assert!(store.fetch(Query::get(b"key"), &coverage, none).is_none());
    assert!(second.await.is_some());
    assert_eq!(store.stats().entries, 0, "a coverage that is lost covers nothing");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_nobody_waits_for_any_more_leaves_nothing_behind() {
    let store = store(1 << 20);
    let coverage = cover(&store);
    let flight = store.fetch(Query::get(b"key"), &coverage, || Some(pending())).unwrap();
    drop(flight);
    assert_eq!(read(&store, &coverage, b"key", Some(came(2, None))).await, Some(2));
    assert_eq!(read(&store, &coverage, b"failed", None).await, None);
    assert_eq!(read(&store, &coverage, b"failed", Some(came(3, None))).await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_after_its_time() {
    let store = store(1 << 20);
    let coverage = cover(&store);
    let life = Duration::from_millis(500);
    assert_eq!(read(&store, &coverage, b"short", Some(came(1, Some(life)))).await, Some(1));
    assert_eq!(read(&store, &coverage, b"long", Some(came(2, None))).await, Some(2));
    let missing = Some(Came { value: Value::Int(0), life: None, may_come_elsewhere: true });
    assert_eq!(read(&store, &coverage, b"missing", missing).await, Some(0));
    tokio::time::advance(life).await;
    assert_eq!((kept(&store, b"short"), kept(&store, b"long")), (None, Some(Value::Int(2))));
    // Nothing has been heard for a second.
    tokio::time::advance(life).await;
    assert_eq!(kept(&store, b"long"), None);
    coverage.told(store.now());
    assert_eq!(kept(&store, b"long"), Some(Value::Int(2)));
    assert_eq!(kept(&store, b"missing"), None, "it may have come to be elsewhere");
    for _ in 0..60 {
        tokio::time::advance(SECOND).await;
        coverage.told(store.now());
    }
    assert_eq!(kept(&store, b"long"), None, "the ttl has passed");
    store.sweep();
    assert_eq!(store.stats().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn what_it_takes_stays_within_bounds() {
    let most = 2 << 20;
    let store = store(most);
    let coverage = cover(&store);
    for key in 0..20_000_u32 {
        let value = Value::BulkString(vec![0; usize::try_from(key % 700).unwrap()]);
        let came = Some(Came { value, life: None, may_come_elsewhere: false });
        let key = key.to_le_bytes();
        store.fetch(Query::get(&key), &coverage, || Some(async { came })).unwrap().await;
        assert!(store.stats().bytes <= most);
    }
    assert!(store.stats().bytes > most / 2, "{:?}", store.stats());
}

/// The monotonic clock stands still meanwhile, and invalidations do not come.
#[tokio::test(start_paused = true)]
async fn a_machine_that_was_suspended_serves_nothing_before_the_server_has_answered() {
    let store = store(1 << 20);
    let coverage = cover(&store);
    assert_eq!(read(&store, &coverage, b"key", Some(came(1, None))).await, Some(1));
    assert_eq!(read(&store, &coverage, b"short", Some(came(2, Some(10 * SECOND)))).await, Some(2));
    let under_way = store.fetch(Query::get(b"other"), &coverage, || Some(pending())).unwrap();
    set_clock(30_000);
    assert_eq!((kept(&store, b"key"), kept(&store, b"short")), (None, None));
    assert!(!store.holds(&coverage));
    let none = || None::<std::future::Ready<Option<Came>>>;
    assert!(store.fetch(Query::get(b"other"), &coverage, none).is_none(), "what it was sent for is old");
    coverage.told(store.now());
    assert_eq!(kept(&store, b"key"), Some(Value::Int(1)), "all changes of that time have been told");
    assert_eq!(kept(&store, b"short"), None, "it has expired meanwhile");
    drop(under_way);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_serves_nothing_before_the_server_has_answered() {
    let store = store(1 << 20);
    let coverage = cover(&store);
    assert_eq!(read(&store, &coverage, b"key", Some(came(1, None))).await, Some(1));
    set_clock(-3_600_000);
    assert_eq!(kept(&store, b"key"), None);
    coverage.told(store.now());
    assert_eq!(kept(&store, b"key"), Some(Value::Int(1)));
}

/// Of two connections nobody knows which one's news is the newer one.
#[tokio::test(start_paused = true)]
async fn what_was_read_over_another_connection_goes_when_a_key_is_read_anew() {
    let store = store(1 << 20);
    let (old, new) = (cover(&store), cover(&store));
    let (all, one) = (redis::cmd("HGETALL").arg("h").take(), redis::cmd("HGET").arg("h").arg("f").take());
    let [all, one] = [&all, &one].map(|cmd| match crate::near_cache::Read::of(cmd) {
        crate::near_cache::Read::Kept(query) => query,
        other => panic!("{other:?}"),
    });
    let answer = |number| move || Some(async move { Some(came(number, None)) });
    store.fetch(all, &old, answer(1)).unwrap().await;
    store.fetch(one, &old, answer(1)).unwrap().await;
    assert!(store.get(all, 0).is_some() && store.get(one, 0).is_some(), "over one they go together");
    store.fetch(one, &new, answer(2)).unwrap().await;
    assert_eq!((store.get(all, 0), store.get(one, 0)), (None, Some(Value::Int(2))));
}
