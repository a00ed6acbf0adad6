//! `src/link/queue.rs` between callers and a driver, with the driver's way to hand answers over
//! (`src/link/driver/handing.rs`).

use crate::{
    admission::{Admission, Permit},
    link::{
        condition::{Access, Condition},
        driver::{Driver, REASON},
        entry::NewRequest,
        queue::Queue,
        reply::{Expect, Outcome, PendingReply},
    },
    models::check,
    sync::Arc,
};
use loom::{
    future::block_on,
    thread::{self, JoinHandle},
};
use redis::Value;
use std::{future::poll_fn, task::Poll};
use tokio::time::Instant;

/// A link as its callers and its driver see it.
#[derive(Clone)]
struct Link {
    queue: Arc<Queue>,
    admission: Arc<Admission>,
}

impl Link {
    fn new(most: usize) -> Self {
        let admission = Admission::new(most);
        Self { queue: Arc::new(Queue::new(Arc::clone(&admission))), admission }
    }

    fn driver(&self) -> Driver<()> {
        Driver::new(Arc::clone(&self.queue), Arc::clone(&self.admission))
    }

    /// Queues a command, with its permit.
    fn push(&self) -> Option<PendingReply> {
        assert!(self.admission.try_acquire(), "no permit is free");
        let permit = Permit::acquired(&self.admission);
        let (reply, _) = self.push_as(Access::Open)?;
        permit.hand_on();
        Some(reply)
    }

    fn push_as(&self, access: Access) -> Option<(PendingReply, usize)> {
        let deadline = Some(Instant::now());
        let request = NewRequest { deadline, expect: Expect::One, quiet: false, alone: false };
        self.queue.push(access, request, |bytes| bytes.push(b'x'))
    }

    /// A thread that sends a command and waits for how it ends; none if it is not taken.
    fn call(&self) -> JoinHandle<Option<Outcome>> {
        let link = self.clone();
        thread::spawn(move || link.push().map(|reply| block_on(reply).outcome))
    }

    /// A thread that sends a command and does not wait for how it ends.
    fn leave(&self) -> JoinHandle<()> {
        let link = self.clone();
        thread::spawn(move || drop(link.push()))
    }

    /// Nothing is left behind.
    fn assert_idle(&self) {
        assert_eq!((self.queue.in_flight(), self.admission.stats().in_flight), (0, 0));
    }
}

/// Runs a driver until it has answered so many.
fn drive(driver: &mut Driver<()>, count: usize, patience: bool) {
    block_on(poll_fn(|cx| {
        driver.send(patience, cx);
        driver.answer();
        if driver.answered == count { Poll::Ready(()) } else { Poll::Pending }
    }));
}

fn answered(outcome: Option<Outcome>) -> i64 {
    match outcome {
        Some(Outcome::Answered(Value::Int(number))) => number,
        other => panic!("not answered: {other:?}"),
    }
}

/// Two callers, one of whom does not wait for the answer, send while the driver works, goes to sleep or sleeps. With
/// patience, it lets one chance to take their requests pass.
pub fn no_request_is_left_with_a_driver_that_sleeps() {
    for patience in [false, true] {
        check(move || {
            let link = Link::new(2);
            let (call, leaving) = (link.call(), link.leave());
            drive(&mut link.driver(), 2, patience);
            answered(call.join().unwrap());
            leaving.join().unwrap();
            link.assert_idle();
        });
    }
}

/// A caller sends one command after the other with the only permit that there is: when it has the first answer, the
/// permit is free, and nothing is counted as under way.
pub fn permits_are_back_before_answers_are_seen() {
    check(|| {
        let link = Link::new(1);
        let caller = thread::spawn({
            let link = link.clone();
            move || {
                for number in 1..=2 {
                    assert_eq!(answered(link.push().map(|reply| block_on(reply).outcome)), number);
                    assert!(link.queue.in_flight() == 0 && link.queue.has_answered(number.cast_unsigned()));
                }
            }
        });
        drive(&mut link.driver(), 2, false);
        caller.join().unwrap();
        link.assert_idle();
    });
}

/// The cells of two requests, whose callers may be gone, are used for a third one.
pub fn a_slot_from_the_queue_has_no_other_ones_answer() {
    check(|| {
        let link = Link::new(3);
        let leaving = thread::spawn({
            let reply = link.push();
            move || drop(reply)
        });
        let mut driver = link.driver();
        drive(&mut driver, 1, false);
        let call = link.call();
        drive(&mut driver, 2, false);
        assert_eq!(answered(call.join().unwrap()), 2);
        leaving.join().unwrap();
        link.assert_idle();
    });
}

/// How a request may end whose link goes.
fn assert_told(outcome: Option<Outcome>) {
    match outcome {
        // Refused, or unsent: the permit is the caller's. Otherwise the driver has given it back.
        None | Some(Outcome::Unsent(Some(_)) | Outcome::Answered(Value::Int(_)) | Outcome::Lost(REASON, _)) => {}
        Some(other) => panic!("ended as no request may: {other:?}"),
    }
}

/// The connection ends at any moment: whoever comes is refused, or is told how it ended, and keeps its permit only if
/// it goes over another link.
pub fn nobody_is_forgotten_when_a_connection_ends() {
    check(|| {
        let link = Link::new(2);
        let calls = [link.call(), link.call()];
        let mut driver = link.driver();
        block_on(poll_fn(|cx| {
            driver.send(false, cx);
            Poll::Ready(())
        }));
        drop(driver);
        for call in calls {
            assert_told(call.join().unwrap());
        }
        assert!(link.queue.has_ended() && link.push().is_none());
        link.assert_idle();
    });
}

/// What was not taken is given back and the rest is answered; the driver goes on with the link's own requests.
pub fn nobody_is_forgotten_when_requests_are_given_back() {
    check(|| {
        let link = Link::new(2);
        let call = link.call();
        let mut driver = link.driver();
        block_on(poll_fn(|cx| {
            driver.send(false, cx);
            Poll::Ready(())
        }));
        let second = link.call();
        driver.give_back();
        driver.answer();
        for call in [call, second] {
            assert_told(call.join().unwrap());
        }
        assert!(link.push().is_none());
        let (reply, _) = link.push_as(Access::Own).unwrap();
        let answered_before = driver.answered;
        drive(&mut driver, answered_before + 1, false);
        answered(Some(block_on(reply).outcome));
        link.assert_idle();
    });
}

/// Somebody waits until nothing is in flight, and somebody until the first command is answered, while a command comes
/// and is answered, or its connection ends.
pub fn those_who_wait_for_a_link_are_woken() {
    for ends in [false, true] {
        check(move || {
            let link = Link::new(1);
            drop(link.push());
            let waiting = [false, true].map(|for_all| {
                let queue = Arc::clone(&link.queue);
                thread::spawn(move || {
                    if for_all {
                        block_on(queue.drained());
                    } else {
                        block_on(queue.answered(1));
                    }
                })
            });
            let mut driver = link.driver();
            if !ends {
                drive(&mut driver, 1, false);
            }
            drop(driver);
            for waiting in waiting {
                waiting.join().unwrap();
            }
            link.assert_idle();
        });
    }
}

/// A command that is being queued is not taken for an answered one, nor does it hide that the one before it is.
pub fn a_command_that_is_just_queued_does_not_count_as_answered() {
    check(|| {
        let link = Link::new(2);
        drop(link.push());
        let second = link.leave();
        assert!(!link.queue.has_answered(1));
        second.join().unwrap();
        assert!(!link.queue.has_answered(1));
        drive(&mut link.driver(), 2, false);
        assert!(link.queue.has_answered(2));
    });
}

/// A link is taken out of use for ever, whatever else is said of it at the same time.
pub fn a_link_that_is_down_stays_down() {
    check(|| {
        let link = Link::new(1);
        let queue = Arc::clone(&link.queue);
        let diverting = thread::spawn(move || {
            queue.swap(Condition::Open, Condition::Reauthenticating);
            queue.swap(Condition::Reauthenticating, Condition::Open);
        });
        link.queue.set(Condition::Down(REASON));
        diverting.join().unwrap();
        assert!(link.queue.condition() == Condition::Down(REASON) && !link.queue.is_open());
        assert!(link.push().is_none());
    });
}
