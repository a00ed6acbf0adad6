//! `src/link/reply.rs`.

use crate::{
    link::reply::{Completion, Outcome, PendingReply, ReplyCell, Rest},
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

fn answer(number: i64) -> Completion {
    Completion { outcome: Outcome::Answered(Value::Int(number)), large: false, deadline: Instant::now() }
}

fn number(answer: &Completion) -> i64 {
    match answer.outcome {
        Outcome::Answered(Value::Int(number)) => number,
        ref other => panic!("not answered: {other:?}"),
    }
}

fn fill(cell: &ReplyCell, number: i64) {
    if let Some(waker) = cell.fill(answer(number)) {
        waker.wake();
    }
}

/// Polls once; the answer if it is there.
fn poll(reply: &mut PendingReply, waker: &Waker) -> Option<Completion> {
    match Pin::new(reply).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// The answer comes before, while or after its caller looks.
pub fn a_caller_gets_its_answer() {
    check(|| {
        let cell = Arc::<ReplyCell>::default();
        let reply = PendingReply(Arc::clone(&cell));
        let caller = thread::spawn(move || number(&block_on(reply)));
        fill(&cell, 1);
        assert_eq!(caller.join().unwrap(), 1);
    });
}

/// A future may go from one task to another: the last one that has looked is woken.
pub fn the_last_task_that_has_looked_is_woken() {
    check(|| {
        let cell = Arc::<ReplyCell>::default();
        let mut reply = PendingReply(Arc::clone(&cell));
        let caller = thread::spawn(move || {
            let answer = poll(&mut reply, Waker::noop()).unwrap_or_else(|| block_on(reply));
            number(&answer)
        });
        fill(&cell, 1);
        assert_eq!(caller.join().unwrap(), 1);
    });
}

/// A caller looks once, or never, and is gone; the cell goes to another request as soon as nobody else holds it, if it
/// is empty then.
pub fn a_slot_that_is_used_again_has_no_other_ones_answer() {
    for looks in [false, true] {
        check(move || {
            let mut cell = Arc::<ReplyCell>::default();
            let mut reply = PendingReply(Arc::clone(&cell));
            let leaving = thread::spawn(move || {
                if looks && let Some(answer) = poll(&mut reply, Waker::noop()) {
                    assert_eq!(number(&answer), 1);
                }
            });
            fill(&cell, 1);
            let mut leaving = Some(leaving);
            let mut rest = ReplyCell::rest(&mut cell);
            if rest == Rest::Held {
                if let Some(leaving) = leaving.take() {
                    leaving.join().unwrap();
                }
                rest = ReplyCell::rest(&mut cell);
                assert_ne!(rest, Rest::Held, "nobody else holds it");
            }
            if rest == Rest::Unread {
                // It has left too early for its answer, and no other request gets the cell.
                if let Some(leaving) = leaving {
                    leaving.join().unwrap();
                }
                return;
            }
            assert!(looks);
            let next = PendingReply(Arc::clone(&cell));
            let caller = thread::spawn(move || number(&block_on(next)));
            fill(&cell, 2);
            assert_eq!(caller.join().unwrap(), 2);
            if let Some(leaving) = leaving {
                leaving.join().unwrap();
            }
        });
    }
}

/// A cell is not anybody else's for as long as its caller has not had the answer.
pub fn a_slot_is_kept_until_its_caller_is_through() {
    check(|| {
        let mut cell = Arc::<ReplyCell>::default();
        let reply = PendingReply(Arc::clone(&cell));
        let caller = thread::spawn(move || number(&block_on(reply)));
        fill(&cell, 1);
        // If it succeeds, the caller has the answer, as it holds the cell no more.
        let rest = ReplyCell::rest(&mut cell);
        assert_eq!(caller.join().unwrap(), 1);
        assert!(rest == Rest::Empty || rest == Rest::Held && ReplyCell::rest(&mut cell) == Rest::Empty);
    });
}
