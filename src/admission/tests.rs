use super::*;
use crate::error::Stage;
use std::{
    pin::Pin,
    task::{Context, Waker},
};

#[test]
fn no_more_get_a_permit_than_may() {
    let admission = Admission::new(2);
    assert!(admission.try_acquire() && admission.try_acquire() && !admission.try_acquire() && !admission.try_acquire());
    assert_eq!(admission.stats().in_flight, 2);
    admission.release(1);
    assert!(admission.try_acquire() && !admission.try_acquire());
}

/// Polls once; whether it is through.
fn poll(future: &mut Pin<Box<impl Future<Output = ()>>>) -> bool {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn who_waits_for_a_place_is_through_once_it_has_one() {
    let admission = Admission::new(1);
    assert!(admission.try_acquire());
    let mut first = Box::pin(admission.acquire());
    assert!(!poll(&mut first) && !poll(&mut first) && admission.has_queue());
    assert_eq!(admission.stats().in_flight, 1);
    admission.release(1);
    assert!(admission.has_queue() && admission.stats().in_flight == 0, "it takes the permit itself");
    assert!(poll(&mut first));
    assert!(admission.stats().in_flight == 1 && !admission.try_acquire() && !admission.has_queue());
}

#[test]
fn those_who_came_first_get_their_places_first() {
    let admission = Admission::new(1);
    assert!(admission.try_acquire());
    let [mut first, mut second] = [admission.acquire(), admission.acquire()].map(Box::pin);
    assert!(!poll(&mut first) && !poll(&mut second));
    admission.release(1);
    assert!(!poll(&mut second) && poll(&mut first) && !poll(&mut second));
    // Who gives up leaves its turn to the next one, also after it has been notified.
    let mut third = Box::pin(admission.acquire());
    assert!(!poll(&mut third));
    admission.release(1);
    drop(second);
    assert!(poll(&mut third));
}

/// Nobody is woken for a permit that is not there: it would stand behind the others afterwards.
#[test]
fn who_comes_second_stays_second_when_the_first_is_served() {
    let admission = Admission::new(1);
    assert!(admission.try_acquire());
    let mut waiting = [admission.acquire(), admission.acquire(), admission.acquire()].map(Box::pin);
    assert!(waiting.iter_mut().all(|one| !poll(one)));
    for served in 0..waiting.len() {
        admission.release(1);
        assert!(poll(&mut waiting[served]), "{served}");
        assert!(waiting[served + 1..].iter_mut().all(|one| !poll(one)), "{served}");
    }
}

/// Two permits are free and one waiter is notified: whoever takes the first one has the next waiter take the second.
#[test]
fn a_place_that_is_left_over_goes_to_the_next_one() {
    let admission = Admission::new(2);
    assert!(admission.try_acquire() && admission.try_acquire());
    let [mut first, mut second] = [admission.acquire(), admission.acquire()].map(Box::pin);
    assert!(!poll(&mut first));
    admission.release(2);
    assert!(!poll(&mut second), "it stands behind the first one");
    assert!(poll(&mut first) && poll(&mut second));
    assert_eq!(admission.stats().in_flight, 2);
}

/// On two threads, so that one may come at any moment of the other's coming and going.
#[test]
fn nobody_waits_beside_a_free_place() {
    const ROUNDS: usize = 30_000;
    let admission = Admission::new(2);
    let (arrived, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let all_at = |counter: &AtomicUsize, round: usize| {
        counter.fetch_add(1, SeqCst);
        for turn in 1.. {
            if counter.load(SeqCst) >= 2 * (round + 1) {
                return;
            }
            // The other one may have no processor to run on.
            if turn % 1000 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    };
    let work = || {
        let mut served = 0;
        for round in 0..ROUNDS {
            all_at(&arrived, round);
            let mut permit = Box::pin(admission.acquire());
            let mut through = poll(&mut permit);
            all_at(&left, round);
            // Whoever was in front is through by now, and has notified the one behind.
            through = through || poll(&mut permit);
            served += usize::from(through);
            if through {
                admission.release(1);
            }
        }
        served
    };
    let served = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work() + other.join().unwrap()
    });
    assert_eq!(served, 2 * ROUNDS);
}

#[test]
fn a_place_is_given_back_once_unless_somebody_else_does_it() {
    let admission = Admission::new(3);
    assert!(admission.try_acquire() && admission.try_acquire());
    let (kept, handed_on) = (Permit::acquired(&admission), Permit::acquired(&admission));
    handed_on.hand_on();
    assert_eq!(admission.stats().in_flight, 2);
    drop(kept);
    assert_eq!(admission.stats().in_flight, 1);
}

/// Each count is another number, so that none is taken for another one.
#[test]
fn each_event_of_a_command_is_counted_in_its_own_place() {
    let admission = Admission::new(2);
    assert!(admission.try_acquire());
    admission.note_sent(2);
    admission.note_sent(7);
    (0..8).for_each(|_| admission.note_retry());
    (0..6).for_each(|_| admission.note_lost());
    (0..5).for_each(|_| admission.note_refused());
    for (times, kind) in [
        (8, ErrorKind::Timeout(Stage::Command)),
        (3, ErrorKind::Overloaded),
        (2, ErrorKind::Closed),
        (1, ErrorKind::CredentialRejected),
    ] {
        (0..times).for_each(|_| admission.note_failure(&Error::new(kind, "x")));
    }
    // Part of those that came too late.
    let unsent = Error::new(ErrorKind::Timeout(Stage::Command), "x").not_run();
    (0..7).for_each(|_| admission.note_failure(&unsent));
    let waiting = [admission.wait(), admission.wait(), admission.wait()];
    let failed = FailedCommands { timed_out: 15, lost: 6, unauthenticated: 1, overloaded: 3, closed: 2, refused: 5 };
    assert_eq!(failed.total(), 32);
    let stats = CommandStats { sent: 9, in_flight: 1, waiting: 3, retried: 8, unserved: 7, failed };
    assert_eq!(admission.stats(), stats);
    drop(waiting);
    assert_eq!(admission.stats().waiting, 0);
}

/// There may be room in a moment; for more parts than there may ever be there will be none.
#[test]
fn that_there_is_no_room_passes_and_that_there_is_never_room_does_not() {
    let admission = Admission::new(2);
    assert!(admission.overloaded().is_transient());
    assert!(!admission.too_many(3).is_transient());
}

#[test]
fn the_error_of_a_refused_command_says_how_many_there_may_be() {
    let error = Admission::new(4711).overloaded();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.to_string().contains("4711") && error.to_string().contains("max_in_flight"), "{error}");
}

/// While there is room, what is sent again takes it at once, and nobody else is refused meanwhile.
#[test]
fn who_finds_room_is_nobody_who_waits() {
    let admission = Admission::new(8);
    std::thread::scope(|scope| {
        let again = scope.spawn(|| {
            for _ in 0..100_000 {
                assert!(futures_util::FutureExt::now_or_never(admission.acquire()).is_some(), "there is room");
                admission.release(1);
            }
        });
        while !again.is_finished() {
            assert!(!admission.has_queue(), "somebody waits beside room");
        }
    });
}
