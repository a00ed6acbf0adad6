//! The way of one command, from its handle to its reply.

use super::{core::Core, order::Memory, request::Request, slow_path::SlowPath, waiting::Sent};
use crate::{
    link::{Completion, Outcome},
    observe::metrics::{Failure, Stopwatch},
};
use futures_util::future::BoxFuture;
use redis::{RedisResult, Value};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::Instant;

/// A request that is sent when first polled, within one deadline, which covers finding a link, queueing and the reply.
///
/// Every command allocates one of these, so it is kept small: what nearly always happens is here,
/// the rest in [`SlowPath`].
pub(crate) struct Call<'a, R: Request> {
    core: &'a Core,
    /// What its handle remembers; none once [`SlowPath`] has it.
    memory: Option<&'a mut Memory>,
    request: R,
    state: State<'a, R::Reply>,
    /// Runs from the first poll on.
    stopwatch: Stopwatch,
}

enum State<'a, T> {
    New,
    Sent(Sent),
    Slow(BoxFuture<'a, RedisResult<T>>),
    Done,
}

/// A request that was sent, the link that carried it, and how that went.
pub(super) struct Attempt {
    pub(super) link: u64,
    /// When it was given to the link, at the latest.
    pub(super) queued: Instant,
    pub(super) answer: Completion,
    /// Whether the request, or what came, was large.
    pub(super) large: bool,
}

impl<'a, R: Request + 'a> Call<'a, R> {
    pub(crate) fn new(core: &'a Core, memory: &'a mut Memory, request: R) -> Self {
        Self { core, memory: Some(memory), request, state: State::New, stopwatch: Stopwatch::default() }
    }

    #[cold]
    fn enter_slow_path(&mut self, first: Option<Attempt>) -> State<'a, R::Reply> {
        let (core, request) = (self.core, self.request);
        match self.memory.take() {
            Some(memory) => {
                let mut slow_path = SlowPath::new(core, memory);
                State::Slow(Box::pin(async move { slow_path.run(request, first).await }))
            }
            // It has been handed over before.
            None => State::Done,
        }
    }

    /// Records how long it took, and how it ended.
    fn record(&mut self, result: &RedisResult<R::Reply>) {
        if let Some(took) = self.stopwatch.stop() {
            let failure = match result {
                Ok(reply) => self.request.error(reply).map(Failure::of_answer),
                Err(error) => Some(Failure::of_error(error)),
            };
            self.core.operations.record(self.request.operation(), took, failure);
        }
    }

    /// Sends the request, or has the slow path see to it.
    fn begin(&mut self) {
        self.stopwatch.start();
        let sent = self.memory.as_deref_mut().and_then(|memory| self.core.try_send(&self.request, memory));
        self.state = match sent {
            Some(sent) => State::Sent(sent),
            None => self.enter_slow_path(None),
        };
    }

    #[inline]
    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<RedisResult<R::Reply>> {
        if let State::New = self.state {
            self.begin();
        }
        if let State::Sent(sent) = &mut self.state {
            let answer = ready!(Pin::new(&mut sent.reply).poll(cx));
            let (link, large) = (sent.link, sent.large || answer.large);
            match answer.outcome {
                Outcome::Answered(value) if !self.request.looks_bad(&value) => {
                    if let Some(memory) = &mut self.memory {
                        memory.expects_large = large;
                    }
                    self.state = State::Done;
                    return Poll::Ready(Ok(self.request.reply(value)));
                }
                outcome => {
                    if let Some(written) = self.settle(link, Completion { outcome, ..answer }, large) {
                        return Poll::Ready(Ok(written));
                    }
                }
            }
        }
        self.advance_slowly(cx)
    }

    /// Goes on from an answer that is no reply for its caller: none if the slow path sees to it.
    #[cold]
    fn settle(&mut self, link: u64, answer: Completion, large: bool) -> Option<R::Reply> {
        let memory = self.memory.as_deref_mut()?;
        if let Outcome::Written = answer.outcome {
            memory.expects_large = large;
            leave_behind(self.core, memory, &self.request, link);
            self.state = State::Done;
            return Some(self.request.reply(Value::Nil));
        }
        // A request without a reply says of the next one's size only what its own size says.
        memory.expects_large |= large;
        let queued = answer.deadline.checked_sub(self.core.command_timeout).unwrap_or_else(Instant::now);
        self.state = self.enter_slow_path(Some(Attempt { link, queued, answer, large }));
        None
    }

    #[cold]
    fn advance_slowly(&mut self, cx: &mut Context<'_>) -> Poll<RedisResult<R::Reply>> {
        let State::Slow(slow_path) = &mut self.state else {
            panic!("a command was polled after its end");
        };
        let result = ready!(slow_path.as_mut().poll(cx));
        self.state = State::Done;
        Poll::Ready(result)
    }
}

impl<'a, R: Request + 'a> Future for Call<'a, R> {
    type Output = RedisResult<R::Reply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = self.get_mut();
        let result = ready!(call.advance(cx));
        call.record(&result);
        Poll::Ready(result)
    }
}

/// One that its caller waits for no more may run yet: the handle's next commands stay behind it.
impl<R: Request> Drop for Call<'_, R> {
    fn drop(&mut self) {
        if let (State::Sent(sent), Some(memory)) = (&self.state, &mut self.memory) {
            leave_behind(self.core, memory, &self.request, sent.link);
        }
        if let Some(took) = self.stopwatch.stop() {
            self.core.operations.record(self.request.operation(), took, Some(Failure::CANCELLED));
        }
    }
}

/// Notes that a request on this link may run yet, for the order of what its handle sends next; what only reads may be
/// overtaken.
#[cold]
pub(super) fn leave_behind<R: Request>(core: &Core, memory: &mut Memory, request: &R, link: u64) {
    if !request.only_reads() {
        // A link that is not known any more has ended, and with it the request.
        if let Some((node, link)) = core.any_link(link) {
            memory.leave_behind(&node, &link);
        }
    }
}

#[cfg(test)]
mod tests;
