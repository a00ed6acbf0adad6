//! What a request waits for, and the place where its answer is put.

use crate::{load::Place, lock::lock};
use redis::{ServerError, Value};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};
use tokio::time::Instant;

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Redis answered; a pipeline's answers come as one array.
    Answered(Value),
    /// All of it is written, and it wants no reply.
    Written,
    /// Redis refused commands of a transaction while it was being queued: their replies' places, and why.
    Aborted(Vec<(usize, ServerError)>),
    /// The reply came, and holds what has no value: it, or the one of a pipeline's at this place.
    Unreadable(Option<usize>, Problem),
    /// The connection went down before a byte of the request left this process; with the place in the load that it keeps.
    Unsent(Option<Place>),
    /// The connection went down with the request on its way, for this reason.
    Lost(&'static str),
    /// The deadline passed.
    TimedOut,
}

/// What is wrong inside of a reply whose frame is sound.
pub(crate) type Problem = &'static str;

impl Outcome {
    /// Of a request that gets one reply.
    pub(super) fn of(value: Result<Value, Problem>) -> Self {
        value.map_or_else(|problem| Self::Unreadable(None, problem), Self::Answered)
    }
}

/// Replies larger than this hold up small ones behind them.
pub(crate) const LARGE: usize = 32 << 10;

/// An outcome, and what its request needs to know to try again.
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// Whether it took many bytes on the wire, a pipeline's replies together.
    pub(crate) large: bool,
    pub(crate) deadline: Instant,
}

/// Where the driver puts the outcome of one request. Slots are used again and again, so that a request allocates none.
#[derive(Default)]
pub(super) struct Slot(Mutex<Filling>);

#[derive(Default)]
enum Filling {
    #[default]
    Empty,
    Awaited(Waker),
    Full(Answer),
}

impl Slot {
    /// Fills the slot; returns whom to wake.
    #[must_use]
    pub(super) fn fill(&self, answer: Answer) -> Option<Waker> {
        match std::mem::replace(&mut *lock(&self.0), Filling::Full(answer)) {
            Filling::Awaited(waker) => Some(waker),
            Filling::Empty | Filling::Full(_) => None,
        }
    }

    /// Makes the slot ready for another request, if nobody else holds it any more.
    pub(super) fn reset(slot: &mut Arc<Self>) -> bool {
        let Some(alone) = Arc::get_mut(slot) else {
            return false;
        };
        let filling = alone.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Nearly always empty: what is not written need not be fetched.
        if !matches!(filling, Filling::Empty) {
            *filling = Filling::Empty;
        }
        true
    }
}

/// The end of one request: always comes, by the request's deadline at the latest. Dropping it leaves nothing behind.
#[must_use]
pub(crate) struct Reply(pub(super) Arc<Slot>);

impl Future for Reply {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let mut filling = lock(&self.0.0);
        match &mut *filling {
            Filling::Full(_) => {}
            Filling::Awaited(waker) => {
                waker.clone_from(cx.waker());
                return Poll::Pending;
            }
            Filling::Empty => {
                *filling = Filling::Awaited(cx.waker().clone());
                return Poll::Pending;
            }
        }
        match std::mem::take(&mut *filling) {
            Filling::Full(answer) => Poll::Ready(answer),
            Filling::Empty | Filling::Awaited(_) => Poll::Pending,
        }
    }
}

/// The replies that a request gets.
pub(super) enum Expect {
    One,
    Many(Box<Gather>),
}

/// The replies of a pipeline, as they come.
pub(super) struct Gather {
    transaction: bool,
    /// Replies that are passed over, then those that are kept.
    skip: usize,
    keep: usize,
    /// Replies that will come in all.
    total: usize,
    seen: usize,
    /// Bytes of those seen.
    bytes: usize,
    kept: Vec<Value>,
    refused: Vec<(usize, ServerError)>,
    /// The first one of those kept that holds what has no value.
    unreadable: Option<(usize, Problem)>,
}

impl Gather {
    /// Of `total` replies, `keep` after the first `skip`.
    pub(super) fn new(transaction: bool, total: usize, skip: usize, keep: usize) -> Self {
        let kept = Vec::with_capacity(keep.min(total));
        Self { transaction, skip, keep, total, seen: 0, bytes: 0, kept, refused: Vec::new(), unreadable: None }
    }

    /// Takes the next reply, of `len` bytes; the outcome with the last one, and how many bytes they were together.
    pub(super) fn take(&mut self, value: Result<Value, Problem>, len: usize) -> Option<(Outcome, usize)> {
        let place = self.seen;
        self.seen += 1;
        self.bytes += len;
        if place < self.skip {
            // What is passed over in a transaction are the answers to MULTI and to queueing.
            if let Ok(Value::ServerError(error)) = value
                && self.transaction
            {
                self.refused.push((place, error));
            }
        } else if place - self.skip < self.keep {
            match value {
                Ok(value) => self.kept.push(value),
                Err(problem) => _ = self.unreadable.get_or_insert((place, problem)),
            }
        }
        if self.seen < self.total {
            return None;
        }
        let outcome = if !self.refused.is_empty() {
            Outcome::Aborted(std::mem::take(&mut self.refused))
        } else if let Some((place, problem)) = self.unreadable {
            // There is no value to put in its place: an error of the server's would be a word that it has not said.
            Outcome::Unreadable((!self.transaction).then_some(place), problem)
        } else {
            Outcome::Answered(Value::Array(std::mem::take(&mut self.kept)))
        };
        Some((outcome, self.bytes))
    }
}
