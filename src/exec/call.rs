//! The way of one command, from its handle to its reply.

#[cfg(feature = "metrics")]
use crate::observe::metrics::Failure;
use crate::{
    client::ConnectionManager,
    error::{Error, ErrorKind, Stage},
    exec::{
        order::Memory,
        request::Request,
        retry::{self, Remedy, Retries},
    },
    link::{Answer, Link, NOAUTH, Outcome, READONLY, SILENCE},
    pool::{Sent, Turn},
    timer,
};
use futures_util::future::BoxFuture;
use redis::{RedisError, RedisResult, Value};
use std::{
    io::{Error as IoError, ErrorKind as IoErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::Instant;

/// A request that is sent when first polled, within one deadline, which covers finding a link, queueing and the reply.
///
/// Every command allocates one of these, so it is kept small: what nearly always happens is here,
/// the rest in [`SlowPath`].
pub(crate) struct Call<'a, R: Request> {
    manager: &'a ConnectionManager,
    /// What its handle remembers; none once [`SlowPath`] has it.
    memory: Option<&'a mut Memory>,
    request: R,
    state: State<'a, R::Reply>,
    /// When it was first polled.
    #[cfg(feature = "metrics")]
    began: Option<std::time::Instant>,
}

enum State<'a, T> {
    New,
    Sent(Sent),
    Slow(BoxFuture<'a, RedisResult<T>>),
    Done,
}

/// A request that was sent, the link that carried it, and how that went.
struct Attempt {
    link: u64,
    /// When it was given to the link, at the latest.
    queued: Instant,
    answer: Answer,
    /// Whether the request, or what came, was large.
    large: bool,
}

impl<'a, R: Request + 'a> Call<'a, R> {
    pub(crate) fn new(manager: &'a ConnectionManager, memory: &'a mut Memory, request: R) -> Self {
        Self {
            manager,
            memory: Some(memory),
            request,
            state: State::New,
            #[cfg(feature = "metrics")]
            began: None,
        }
    }

    #[cold]
    fn enter_slow_path(&mut self, first: Option<Attempt>) -> State<'a, R::Reply> {
        let (manager, request) = (self.manager, self.request);
        match self.memory.take() {
            Some(memory) => {
                let mut slow_path = SlowPath { manager, memory };
                State::Slow(Box::pin(async move { slow_path.run(request, first).await }))
            }
            // It has been handed over before.
            None => State::Done,
        }
    }

    /// Records how long it took, and how it ended.
    #[cfg(feature = "metrics")]
    fn record(&mut self, result: &RedisResult<R::Reply>) {
        let failure = match result {
            Ok(reply) => self.request.error(reply).map(Failure::of_answer),
            Err(error) => Some(Failure::of_error(error)),
        };
        if let Some(began) = self.began.take() {
            self.manager.operations().record(self.request.operation(), began.elapsed(), failure);
        }
    }

    fn advance(&mut self, cx: &mut Context<'_>) -> Poll<RedisResult<R::Reply>> {
        loop {
            match &mut self.state {
                State::New => {
                    #[cfg(feature = "metrics")]
                    let _ = self.began.insert(std::time::Instant::now());
                    let Some(memory) = self.memory.as_deref_mut() else {
                        break;
                    };
                    self.state = match self.manager.pool().try_send(&self.request, memory) {
                        Some(sent) => State::Sent(sent),
                        None => self.enter_slow_path(None),
                    };
                }
                State::Sent(sent) => {
                    let answer = ready!(Pin::new(&mut sent.reply).poll(cx));
                    let (link, large) = (sent.link, sent.large || answer.large);
                    let Some(memory) = self.memory.as_deref_mut() else {
                        break;
                    };
                    match answer.outcome {
                        Outcome::Answered(value) if !self.request.looks_bad(&value) => {
                            memory.expects_large = large;
                            self.state = State::Done;
                            return Poll::Ready(Ok(self.request.reply(value)));
                        }
                        Outcome::Written => {
                            memory.expects_large = large;
                            leave_behind(self.manager, memory, &self.request, link);
                            self.state = State::Done;
                            return Poll::Ready(Ok(self.request.reply(Value::Nil)));
                        }
                        outcome => {
                            // What brought no reply says nothing of the next one's size, except by its own.
                            memory.expects_large |= large;
                            let answer = Answer { outcome, ..answer };
                            let limit = self.manager.command_timeout();
                            let queued = answer.deadline.checked_sub(limit).unwrap_or_else(Instant::now);
                            self.state = self.enter_slow_path(Some(Attempt { link, queued, answer, large }));
                        }
                    }
                }
                State::Slow(slow_path) => {
                    let result = ready!(slow_path.as_mut().poll(cx));
                    self.state = State::Done;
                    return Poll::Ready(result);
                }
                State::Done => break,
            }
        }
        panic!("a command was polled after its end")
    }
}

impl<'a, R: Request + 'a> Future for Call<'a, R> {
    type Output = RedisResult<R::Reply>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = self.get_mut();
        let result = ready!(call.advance(cx));
        #[cfg(feature = "metrics")]
        call.record(&result);
        Poll::Ready(result)
    }
}

/// One that its caller waits for no more may run yet: the handle's next commands stay behind it.
impl<R: Request> Drop for Call<'_, R> {
    fn drop(&mut self) {
        if let (State::Sent(sent), Some(memory)) = (&self.state, &mut self.memory) {
            leave_behind(self.manager, memory, &self.request, sent.link);
        }
        #[cfg(feature = "metrics")]
        if let Some(began) = self.began.take() {
            let operation = self.request.operation();
            self.manager.operations().record(operation, began.elapsed(), Some(Failure::CANCELLED));
        }
    }
}

/// Notes that a request on this link may run yet, for the order of what its handle sends next; what only reads may be
/// overtaken.
#[cold]
fn leave_behind<R: Request>(manager: &ConnectionManager, memory: &mut Memory, request: &R, link: u64) {
    if !request.only_reads() {
        memory.leave_behind(manager.pool().any_link(link).as_ref());
    }
}

/// What a request needs for which no link was up, or that did not get a plain reply.
struct SlowPath<'a> {
    manager: &'a ConnectionManager,
    memory: &'a mut Memory,
}

/// A request that [`SlowPath`] waits for; if that is given up, it may run yet.
struct Underway<'c, 'a, R: Request> {
    slow_path: &'c mut SlowPath<'a>,
    request: &'c R,
    link: u64,
    ended: bool,
}

impl<R: Request> Drop for Underway<'_, '_, R> {
    fn drop(&mut self) {
        if !self.ended {
            self.slow_path.leave_behind(self.request, self.link);
        }
    }
}

impl SlowPath<'_> {
    /// Sends a request, again if need be, until it has its reply or its deadline.
    ///
    /// It is sent again only if it has certainly not run: because not a byte of it had left, or because Redis refused
    /// to run it. What only reads is sent once more after a loss, too, if that is wished.
    ///
    /// `first` is the attempt that was made on the usual way.
    async fn run<R: Request>(&mut self, request: R, mut first: Option<Attempt>) -> RedisResult<R::Reply> {
        let limit = self.manager.command_timeout();
        let deadline = first.as_ref().map_or_else(|| Instant::now() + limit, |first| first.answer.deadline);
        let mut retries = Retries::new(deadline, self.manager.pool().timers());
        // One that has not been sent found no link, or no room, at once.
        let mut waits = first.is_none();
        let mut turn = if waits { Turn::First } else { Turn::Again };
        let mut refused = None;
        loop {
            let Attempt { link, queued, answer, large } = match first.take() {
                Some(first) => first,
                None => match self
                    .send(&request, deadline, std::mem::take(&mut waits), std::mem::replace(&mut turn, Turn::Again))
                    .await
                {
                    Ok(sent) => {
                        let queued = Instant::now();
                        let mut underway =
                            Underway { slow_path: self, request: &request, link: sent.link, ended: false };
                        let answer = sent.reply.await;
                        underway.ended = true;
                        drop(underway);
                        let large = sent.large || answer.large;
                        self.memory.expects_large |= large;
                        Attempt { link: sent.link, queued, answer, large }
                    }
                    Err(error) => {
                        timer::let_others_run().await;
                        let error = self.failed(error);
                        // That Redis refused it says more than that no link has come up since.
                        return refused.take().filter(|_| error.is_timeout()).unwrap_or(Err(error));
                    }
                },
            };
            let reply = match answer.outcome {
                Outcome::Answered(value) => Ok(request.reply(value)),
                Outcome::Aborted(errors) => request.aborted(errors).await,
                Outcome::Unreadable(place, problem) => return Err(unreadable(place, problem)),
                Outcome::Unsent(place) => {
                    turn = Turn::Unsent(place);
                    self.manager.pool().admission().note_retry();
                    continue;
                }
                Outcome::HeldBack(place) => {
                    turn = Turn::Unsent(place);
                    continue;
                }
                Outcome::Lost(reason) => {
                    self.retire(link, reason);
                    // What broke one connection may have broken the others: a breath later, that is known.
                    let may = self.manager.retry_reads() && request.only_reads() && retries.once_more();
                    if may && retries.allow(Remedy::Later).await {
                        self.manager.pool().admission().note_retry();
                        continue;
                    }
                    return Err(self.lost(reason));
                }
                Outcome::TimedOut => {
                    self.leave_behind(&request, link);
                    return Err(self.failed(self.timed_out(link, queued, "the command may have run")));
                }
                Outcome::TimedOutHeldBack => {
                    return Err(self.failed(self.timed_out(link, queued, "the transaction was not sent")));
                }
                Outcome::Written => {
                    self.leave_behind(&request, link);
                    Ok(request.reply(Value::Nil))
                }
            };
            let Some(remedy) = request.refusal(&reply).and_then(|error| retry::remedy(&error)) else {
                self.memory.expects_large = large;
                return reply;
            };
            match remedy {
                Remedy::Elsewhere => self.retire(link, NOAUTH),
                Remedy::Reconnect => self.reconnect(link),
                Remedy::Later => {}
            }
            if !retries.allow(remedy).await {
                return reply;
            }
            refused = Some(reply);
            self.manager.pool().admission().note_retry();
        }
    }

    /// Queues it once there is a link and room; how long one `waits` for that is recorded.
    #[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
    async fn send<R: Request>(
        &mut self,
        request: &R,
        deadline: Instant,
        waits: bool,
        turn: Turn,
    ) -> Result<Sent, Error> {
        #[cfg(feature = "metrics")]
        let began = std::time::Instant::now();
        let sent = self.manager.pool().send(request, deadline, self.memory, turn).await;
        #[cfg(feature = "metrics")]
        if waits && sent.is_ok() {
            self.manager.operations().record_wait(began.elapsed());
        }
        sent
    }

    /// Notes that a request on this link may run yet, for the order of what its handle sends next.
    fn leave_behind<R: Request>(&mut self, request: &R, link: u64) {
        leave_behind(self.manager, self.memory, request, link);
    }

    /// Counts a command that failed with this error.
    fn failed(&self, error: Error) -> RedisError {
        self.manager.pool().admission().note_failure(&error);
        error.into()
    }

    /// Replaces a link whose server turns out to be no primary, unless that has just been done.
    fn reconnect(&self, link: u64) {
        let settled = |link: &Link| link.age() >= SILENCE;
        if self.manager.pool().link(link).is_some_and(|link| settled(&link)) {
            self.retire(link, READONLY);
        }
    }

    fn retire(&self, link: u64, reason: &'static str) {
        if let Some(link) = self.manager.pool().link(link) {
            link.retire(reason);
        }
        self.manager.pool().wake_keeper();
    }

    fn lost(&self, reason: &'static str) -> RedisError {
        self.manager.pool().admission().note_lost();
        let text = format!("the connection was lost with the command on its way ({reason}); it may have run");
        IoError::new(IoErrorKind::BrokenPipe, text).into()
    }

    /// A link is judged by what it has done since it was given the command, which may have been just before the
    /// deadline.
    fn timed_out(&self, link: u64, queued: Instant, so: &str) -> Error {
        let limit = self.manager.command_timeout();
        if let Some(link) = self.manager.pool().link(link)
            && link.silent_since(queued)
        {
            if queued.elapsed() >= SILENCE {
                link.retire("not a byte within a command's deadline");
            } else {
                link.suspect();
            }
            self.manager.pool().wake_keeper();
        }
        Error::new(
            ErrorKind::Timeout(Stage::Command),
            format!("no reply from Redis within {limit:?} (`command_timeout`); {so}"),
        )
    }
}

/// The error of a command whose reply came in a sound frame, and holds what has no value.
fn unreadable(place: Option<usize>, problem: &str) -> RedisError {
    let which = place.map_or_else(|| "it".to_owned(), |place| format!("number {place} of the pipeline, from 0,"));
    let text = format!("{which} has no value: {problem}; the command has run");
    (redis::ErrorKind::Parse, "a reply cannot be read", text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One cache line, and the moment of its beginning for those who want to know how long it took.
    #[test]
    fn what_every_command_allocates_is_small() {
        let clock = if cfg!(feature = "metrics") { size_of::<std::time::Instant>() } else { 0 };
        assert!(size_of::<Call<'_, &redis::Cmd>>() <= 64 + clock);
    }
}
