//! `src/admission.rs`.

use super::{Boxed, check, poll_once};
use crate::{admission::Admission, sync::Arc};
use loom::{
    future::block_on,
    thread::{self, JoinHandle},
};
use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

fn acquire(admission: &Arc<Admission>) -> Boxed<()> {
    let admission = Arc::clone(admission);
    Box::pin(async move { admission.acquire().await })
}

/// Holds permits for a moment, and watches that there are no more than may be. What it counts with is no part of the
/// model: the count changes together with the step before it.
fn hold(held: &AtomicUsize, count: usize, most: usize) {
    assert!(held.fetch_add(count, SeqCst) + count <= most, "more permits are held than there are");
    thread::yield_now();
    held.fetch_sub(count, SeqCst);
}

/// Takes one, waiting for it, and gives it back.
fn serve(admission: &Arc<Admission>, held: &std::sync::Arc<AtomicUsize>, most: usize) -> JoinHandle<()> {
    let (admission, held) = (Arc::clone(admission), std::sync::Arc::clone(held));
    thread::spawn(move || {
        block_on(admission.acquire());
        hold(&held, 1, most);
        admission.release(1);
    })
}

/// However permits are taken, there are never more than may be; and whoever waits gets one.
pub fn there_are_no_more_permits_than_may_be() {
    check(|| {
        const MOST: usize = 2;
        let (admission, held) = (Admission::new(MOST), std::sync::Arc::new(AtomicUsize::new(0)));
        let waiting = serve(&admission, &held, MOST);
        let trying = {
            let (admission, held) = (Arc::clone(&admission), std::sync::Arc::clone(&held));
            thread::spawn(move || {
                if admission.try_acquire() {
                    hold(&held, 1, MOST);
                    admission.release(1);
                }
            })
        };
        if admission.try_acquire_many(2) {
            hold(&held, 2, MOST);
            admission.release(2);
        }
        waiting.join().unwrap();
        trying.join().unwrap();
        assert_eq!(admission.stats().in_flight, 0);
    });
}

/// There is one for each of two, who come in any order and keep what they get: neither may wait for the other.
pub fn nobody_waits_beside_a_free_permit() {
    check(|| {
        let admission = Admission::new(2);
        let other = thread::spawn({
            let admission = Arc::clone(&admission);
            move || block_on(admission.acquire())
        });
        block_on(admission.acquire());
        other.join().unwrap();
        assert_eq!(admission.stats().in_flight, 2);
    });
}

/// Two wait, and as many permits come back at once, or one after the other.
pub fn each_permit_that_comes_back_is_passed_on() {
    for releases in [&[2][..], &[1, 1]] {
        check(move || {
            let admission = Admission::new(2);
            assert!(admission.try_acquire_many(2));
            let keeping = [(); 2].map(|()| {
                let admission = Arc::clone(&admission);
                thread::spawn(move || block_on(admission.acquire()))
            });
            for count in releases {
                admission.release(*count);
            }
            for keeping in keeping {
                keeping.join().unwrap();
            }
            assert!(admission.stats().in_flight == 2 && !admission.has_queue());
        });
    }
}

/// One permit goes from hand to hand.
pub fn everybody_who_waits_is_served() {
    check(|| {
        let (admission, held) = (Admission::new(1), std::sync::Arc::new(AtomicUsize::new(0)));
        assert!(admission.try_acquire());
        let served = [(); 2].map(|()| serve(&admission, &held, 1));
        admission.release(1);
        for served in served {
            served.join().unwrap();
        }
        assert!(admission.stats().in_flight == 0 && !admission.has_queue());
    });
}

/// Somebody who waits gives up at any moment, also when the permit has been offered to it already.
pub fn who_gives_up_leaves_the_turn_to_the_next_one() {
    check(|| {
        let admission = Admission::new(1);
        assert!(admission.try_acquire());
        let leaving = thread::spawn({
            let mut first = acquire(&admission);
            let admission = Arc::clone(&admission);
            move || {
                if poll_once(&mut first).is_some() {
                    admission.release(1);
                }
            }
        });
        let served = thread::spawn({
            let admission = Arc::clone(&admission);
            move || block_on(admission.acquire())
        });
        admission.release(1);
        leaving.join().unwrap();
        served.join().unwrap();
        assert!(admission.stats().in_flight == 1 && !admission.has_queue());
    });
}

/// The first one waits already when the permit comes back; the second one does too, or it comes just then.
pub fn who_came_first_is_served_first() {
    for those_who_wait in [1, 2] {
        first_come_first_served(those_who_wait);
    }
}

fn first_come_first_served(those_who_wait: usize) {
    check(move || {
        let admission = Admission::new(1);
        assert!(admission.try_acquire());
        let mut waiting = [acquire(&admission), acquire(&admission)];
        assert!(waiting[..those_who_wait].iter_mut().all(|waiting| poll_once(waiting).is_none()));
        let served = std::sync::Arc::new(Mutex::new(Vec::new()));
        let mut number = 0;
        let threads = waiting.map(|waiting| {
            number += 1;
            let (number, served, admission) = (number, std::sync::Arc::clone(&served), Arc::clone(&admission));
            thread::spawn(move || {
                block_on(waiting);
                served.lock().unwrap().push(number);
                admission.release(1);
            })
        });
        admission.release(1);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*served.lock().unwrap(), [1, 2]);
    });
}
