use super::*;
use std::future::pending;

const SECOND: Duration = Duration::from_secs(1);

fn store(max_bytes: u64) -> Arc<Store> {
    Store::new(Limits { max_bytes, ttl: 60 * SECOND, max_staleness: SECOND })
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
    let coverage = store.cover(Instant::now());
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
    let coverage = store.cover(Instant::now());
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
    let coverage = store.cover(Instant::now());
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
    let coverage = store.cover(Instant::now());
    let flight = store.fetch(Query::get(b"key"), &coverage, || Some(pending())).unwrap();
    drop(flight);
    assert_eq!(read(&store, &coverage, b"key", Some(came(2, None))).await, Some(2));
    assert_eq!(read(&store, &coverage, b"failed", None).await, None);
    assert_eq!(read(&store, &coverage, b"failed", Some(came(3, None))).await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_served_after_its_time() {
    let store = store(1 << 20);
    let coverage = store.cover(Instant::now());
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
    store.told(&coverage, Instant::now());
    assert_eq!(kept(&store, b"long"), Some(Value::Int(2)));
    assert_eq!(kept(&store, b"missing"), None, "it may have come to be elsewhere");
    for _ in 0..60 {
        tokio::time::advance(SECOND).await;
        store.told(&coverage, Instant::now());
    }
    assert_eq!(kept(&store, b"long"), None, "the ttl has passed");
    store.sweep();
    assert_eq!(store.stats().entries, 0);
}

#[tokio::test(start_paused = true)]
async fn what_it_takes_stays_within_bounds() {
    let most = 2 << 20;
    let store = store(most);
    let coverage = store.cover(Instant::now());
    for key in 0..20_000_u32 {
        let value = Value::BulkString(vec![0; usize::try_from(key % 700).unwrap()]);
        let came = Some(Came { value, life: None, may_come_elsewhere: false });
        let key = key.to_le_bytes();
        store.fetch(Query::get(&key), &coverage, || Some(async { came })).unwrap().await;
        assert!(store.stats().bytes <= most);
    }
    assert!(store.stats().bytes > most / 2, "{:?}", store.stats());
}
