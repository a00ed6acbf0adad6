//! What a request waits for, and the place where its answer is put.

use super::{
    confirm::Confirmations,
    multi::{Multi, Refused},
};
use crate::{
    admission::Permit,
    lock::lock,
    sync::{Arc, Mutex},
};
use redis::{ServerError, Value};
use std::{
    pin::Pin,
    sync::PoisonError,
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
    /// Redis refused a transaction, or commands of it while they were being queued.
    Aborted(Refused),
    /// The reply came in a sound frame and cannot be read: it, or of a pipeline's replies the one at this place.
    Unreadable(Option<usize>, Problem),
    /// Not a byte of the request left this process: the connection went down. With the permit that it keeps,
    /// if it does.
    Unsent(Option<Permit>),
    /// The same of a transaction that was held back to ask for `MULTI` first: it may be used now, or the connection
    /// went down.
    HeldBack(Option<Permit>),
    /// The connection went down with the request on its way, for this reason; and the address of the server, as it is
    /// shown: when this is read, the link may be gone.
    Lost(&'static str, Address),
    /// The deadline passed with the request queued, or on its way.
    TimedOut,
    /// The deadline passed before there was an answer to whether `MULTI` may be used: the transaction was not sent.
    TimedOutHeldBack,
}

/// Text that many share, and that nobody waits for.
pub(crate) type Address = std::sync::Arc<str>;

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
pub(crate) struct Completion {
    pub(crate) outcome: Outcome,
    /// Whether it took many bytes on the wire, a pipeline's replies together.
    pub(crate) large: bool,
    pub(crate) deadline: Instant,
}

/// Where the driver puts the outcome of one request. Cells are used again and again, so that a request allocates none.
#[derive(Default)]
pub(super) struct ReplyCell(Mutex<Filling>);

/// What is in a cell: nothing, who waits for the answer, or the answer.
#[derive(Default)]
struct Filling {
    answer: Option<Completion>,
    waker: Option<Waker>,
}

/// What is left of a cell whose request is through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Its caller has yet to look into it.
    Held,
    /// Nothing: it is ready for another request.
    Empty,
    /// Its caller has gone without what is in it, which may be large, or tell others when it is dropped.
    Unread,
}

impl ReplyCell {
    /// Fills the cell; returns whom to wake.
    #[must_use]
    #[expect(clippy::inline_always, reason = "an answer is large, and is moved once more with each call")]
    #[inline(always)]
    pub(super) fn fill(&self, answer: Completion) -> Option<Waker> {
        let mut filling = lock(&self.0);
        filling.answer = Some(answer);
        filling.waker.take()
    }

    /// What is left of a cell whose request is through.
    #[inline]
    pub(super) fn rest(cell: &mut Arc<Self>) -> Rest {
        let Some(alone) = Arc::get_mut(cell) else {
            return Rest::Held;
        };
        let filling = alone.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if filling.answer.is_some() || filling.waker.is_some() { Rest::Unread } else { Rest::Empty }
    }
}

/// The end of one request: always comes, by the request's deadline at the latest. Dropping it leaves nothing behind.
#[must_use]
pub(crate) struct PendingReply(pub(super) Arc<ReplyCell>);

impl Future for PendingReply {
    type Output = Completion;

    #[expect(clippy::inline_always, reason = "an answer is large, and is moved once more with each call")]
    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Completion> {
        let mut filling = lock(&self.0.0);
        if let Some(answer) = filling.answer.take() {
            return Poll::Ready(answer);
        }
        match &mut filling.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// The replies that a request gets.
pub(super) enum Expect {
    One,
    Many(Box<Gather>),
    /// None, but a push for each channel; or an error.
    Confirmed(Box<Confirmations>),
}

impl Expect {
    /// Whether what is sent is not the request, but asks whether that may be sent.
    pub(super) fn is_question(&self) -> bool {
        matches!(self, Self::Many(gather) if !gather.sent)
    }
}

/// Where `ASKING` was sent with a request.
enum Asking {
    Nowhere,
    /// Before the whole of it.
    Ahead,
    /// Before each command; `is_next` while its reply is the next one.
    AheadOfEach {
        is_next: bool,
    },
}

impl Asking {
    /// Whether the reply that has come now is that of an `ASKING`.
    #[cold]
    fn is_answered(&mut self) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Ahead => {
                *self = Self::Nowhere;
                true
            }
            Self::AheadOfEach { is_next } => {
                *is_next = !*is_next;
                !*is_next
            }
        }
    }
}

/// The replies of a pipeline, as they come.
pub(super) struct Gather {
    /// Of a transaction: where the reply to `MULTI` is noted.
    multi: Option<Arc<Multi>>,
    /// Of a transaction: whether its commands were sent, and not only the question for `MULTI`.
    sent: bool,
    /// Where `ASKING` was sent, whose replies are not part of it.
    asking: Asking,
    /// Whether it is a single command, whose reply is no list.
    single: bool,
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
    /// The first one of those kept that cannot be read.
    unreadable: Option<(usize, Problem)>,
}

impl Gather {
    /// Of `total` replies, `keep` after the first `skip`; those of a transaction if there is a `multi`.
    pub(super) fn new(multi: Option<Arc<Multi>>, total: usize, skip: usize, keep: usize) -> Self {
        let kept = Vec::with_capacity(keep.min(total));
        Self {
            multi,
            sent: true,
            asking: Asking::Nowhere,
            single: false,
            skip,
            keep,
            total,
            seen: 0,
            bytes: 0,
            kept,
            refused: Vec::new(),
            unreadable: None,
        }
    }

    /// Of one command, behind `ASKING`.
    pub(super) fn single_behind_asking() -> Self {
        Self { single: true, ..Self::new(None, 1, 0, 1).behind_asking() }
    }

    /// The same behind `ASKING`: a transaction as a whole, otherwise each command behind one of its own. The replies to
    /// `ASKING` are passed over: a server that does not know it answers the rest as if it had not been sent.
    pub(super) fn behind_asking(self) -> Self {
        let asking = if self.multi.is_some() { Asking::Ahead } else { Asking::AheadOfEach { is_next: true } };
        Self { asking, ..self }
    }

    /// Of `MULTI` and `DISCARD`, which are sent to ask whether a transaction may be.
    pub(super) fn question(multi: Arc<Multi>) -> Self {
        Self { sent: false, ..Self::new(Some(multi), 2, 2, 0) }
    }

    /// Takes the next reply, of `len` bytes; the outcome with the last one, and how many bytes they were together.
    pub(super) fn take(&mut self, value: Result<Value, Problem>, len: usize) -> Option<(Outcome, usize)> {
        self.bytes += len;
        if !matches!(self.asking, Asking::Nowhere) && self.asking.is_answered() {
            return None;
        }
        let place = self.seen;
        self.seen += 1;
        if let Some(multi) = &self.multi
            && place == 0
        {
            multi.note(&value);
        }
        match value {
            Ok(Value::ServerError(error)) if self.is_refusal(place) => self.refused.push((place, error)),
            Ok(value) if self.is_kept(place) => self.kept.push(value),
            Err(problem) if self.is_kept(place) => _ = self.unreadable.get_or_insert((place, problem)),
            _ => {}
        }
        if self.seen < self.total {
            return None;
        }
        let outcome = if !self.refused.is_empty() {
            Outcome::Aborted(Refused { errors: std::mem::take(&mut self.refused), sent: self.sent })
        } else if !self.sent {
            Outcome::HeldBack(None)
        } else if self.single {
            let problem = self.unreadable.map(|(_, problem)| problem);
            Outcome::of(problem.map_or_else(|| Ok(self.kept.pop().unwrap_or_default()), Err))
        } else if let Some((place, problem)) = self.unreadable {
            // No value can take its place: an error of the server would be one that it has not sent.
            Outcome::Unreadable(self.multi.is_none().then_some(place), problem)
        } else {
            Outcome::Answered(Value::Array(std::mem::take(&mut self.kept)))
        };
        Some((outcome, self.bytes))
    }

    fn is_kept(&self, place: usize) -> bool {
        place >= self.skip && place - self.skip < self.keep
    }

    /// Whether an error at this place means that there was no transaction.
    fn is_refusal(&self, place: usize) -> bool {
        let multi_was_refused = || place == 0 || matches!(self.refused.first(), Some((0, _)));
        // What is passed over are the answers to MULTI and to queueing.
        let is_passed_over = place < self.skip;
        // The redis crate takes an error in place of the transaction's replies for a reply of a wrong type.
        let stands_for_all = || place == self.skip && self.seen == self.total;
        // Without MULTI each command has been answered for itself, and all of these count.
        self.multi.is_some() && (is_passed_over || multi_was_refused() || stands_for_all())
    }
}

#[cfg(test)]
mod tests;
