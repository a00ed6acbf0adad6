//! `src/link/reply.rs`.

use crate::{
    link::reply::{Answer, Outcome, Reply, Slot},
    models::check,
    sync::Arc,
};
use loom::{future::block_on, thread};
use redis::Value;
use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};
use tokio::time::Instant;

fn answer(number: i64) -> Answer {
    Answer { outcome: Outcome::Answered(Value::Int(number)), large: false, deadline: Instant::now() }
}

fn number(answer: &Answer) -> i64 {
    match answer.outcome {
        Outcome::Answered(Value::Int(number)) => number,
        ref other => panic!("not answered: {other:?}"),
    }
}

fn fill(slot: &Slot, number: i64) {
    if let Some(waker) = slot.fill(answer(number)) {
        waker.wake();
    }
}

/// Polls once; the answer if it is there.
fn poll(reply: &mut Reply, waker: &Waker) -> Option<Answer> {
    match Pin::new(reply).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// The answer comes before, while or after its caller looks.
pub fn a_caller_gets_its_answer() {
    check(|| {
        let slot = Arc::<Slot>::default();
        let reply = Reply(Arc::clone(&slot));
        let caller = thread::spawn(move || number(&block_on(reply)));
        fill(&slot, 1);
        assert_eq!(caller.join().unwrap(), 1);
    });
}

/// A future may go from one task to another: the last one that has looked is woken.
pub fn the_last_task_that_has_looked_is_woken() {
    check(|| {
        let slot = Arc::<Slot>::default();
        let mut reply = Reply(Arc::clone(&slot));
        let caller = thread::spawn(move || {
            let answer = poll(&mut reply, Waker::noop()).unwrap_or_else(|| block_on(reply));
            number(&answer)
        });
        fill(&slot, 1);
        assert_eq!(caller.join().unwrap(), 1);
    });
}

/// A caller looks once, or never, and is gone; the slot goes to another request as soon as nobody else holds it.
pub fn a_slot_that_is_used_again_has_no_other_ones_answer() {
    for looks in [false, true] {
        check(move || {
            let mut slot = Arc::<Slot>::default();
            let mut reply = Reply(Arc::clone(&slot));
            let leaving = thread::spawn(move || {
                if looks && let Some(answer) = poll(&mut reply, Waker::noop()) {
                    assert_eq!(number(&answer), 1);
                }
            });
            fill(&slot, 1);
            let mut leaving = Some(leaving);
            if !Slot::reset(&mut slot) {
                if let Some(leaving) = leaving.take() {
                    leaving.join().unwrap();
                }
                assert!(Slot::reset(&mut slot), "nobody else holds it");
            }
            let next = Reply(Arc::clone(&slot));
            let caller = thread::spawn(move || number(&block_on(next)));
            fill(&slot, 2);
            assert_eq!(caller.join().unwrap(), 2);
            if let Some(leaving) = leaving {
                leaving.join().unwrap();
            }
        });
    }
}

/// A slot is not anybody else's for as long as its caller has not had the answer.
pub fn a_slot_is_kept_until_its_caller_is_through() {
    check(|| {
        let mut slot = Arc::<Slot>::default();
        let reply = Reply(Arc::clone(&slot));
        let caller = thread::spawn(move || number(&block_on(reply)));
        fill(&slot, 1);
        // If it succeeds, the caller has the answer, as it holds the slot no more.
        let is_free = Slot::reset(&mut slot);
        assert_eq!(caller.join().unwrap(), 1);
        assert!(is_free || Slot::reset(&mut slot));
    });
}
