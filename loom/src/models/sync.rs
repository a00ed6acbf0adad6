//! What stands in for `src/sync.rs` is neither stronger nor weaker than what it stands in for.

use super::check;
use crate::sync::{Arc, AtomicUsize, Notify};
use loom::{future::block_on, thread};
use std::{
    collections::BTreeSet,
    pin::pin,
    sync::{
        Mutex,
        atomic::{AtomicUsize as Counter, Ordering::SeqCst},
    },
};

/// Of two threads that store and then look at what the other one stores, one sees it; and each of them may be the only
/// one.
pub fn stores_and_looks_have_one_order() {
    let seen = std::sync::Arc::new(Mutex::new(BTreeSet::new()));
    let outcomes = std::sync::Arc::clone(&seen);
    check(move || {
        let atomics = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let look = |mine: usize| {
            let [mine, other] = [mine, 1 - mine].map(|at| Arc::clone(&atomics[at]));
            move || {
                mine.fetch_add(1, SeqCst);
                other.load(SeqCst)
            }
        };
        let other = thread::spawn(look(1));
        let here = look(0)();
        outcomes.lock().unwrap().insert((here, other.join().unwrap()));
    });
    assert_eq!(seen.lock().unwrap().iter().copied().collect::<Vec<_>>(), [(0, 1), (1, 0), (1, 1)]);
}

/// One ring wakes one, before or after it waits; it is not lost with one who is gone before having heard it.
pub fn a_ring_for_one_is_heard_by_one() {
    check(|| {
        let bell = Arc::new(Notify::new());
        let leaver = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || {
                let mut heard = pin!(bell.notified());
                heard.as_mut().enable()
            })
        };
        let stayer = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || block_on(bell.notified()))
        };
        bell.notify_one();
        // Whoever was there at the ring and took it has gone with it.
        if leaver.join().unwrap() {
            bell.notify_one();
        }
        stayer.join().unwrap();
    });
}

/// A ring for all wakes those who have asked, and leaves nothing for those who come later.
pub fn a_ring_for_all_is_not_kept() {
    let rung_before = std::sync::Arc::new(Counter::new(0));
    let found = std::sync::Arc::clone(&rung_before);
    check(move || {
        let bell = Arc::new(Notify::new());
        let mut asked = pin!(bell.notified());
        let ringer = {
            let bell = Arc::clone(&bell);
            thread::spawn(move || bell.notify_waiters())
        };
        found.fetch_add(usize::from(asked.as_mut().enable()), SeqCst);
        block_on(asked);
        ringer.join().unwrap();
        assert!(!pin!(bell.notified()).enable());
    });
    assert!(rung_before.load(SeqCst) > 0, "no order was tried in which the ring came first");
}
