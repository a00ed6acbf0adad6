//! The way of one command, from its handle to its reply.

#[cfg(feature = "metrics")]
use crate::metrics::Failure;
use crate::{
    ConnectionManager, Error, ErrorKind,
    error::Stage,
    link::{Answer, Link, Outcome, Request},
    pool::Sent,
    refusal::{self, Remedy, Retries},
    timer,
};
use futures_util::future::BoxFuture;
use redis::{RedisError, RedisResult};
use std::{
    io::{Error as IoError, ErrorKind as IoErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Instant;

/// A link from which not a byte has come for this long, though commands wait, is given up at once; after less, it is
/// asked whether it lives.
const SILENCE: Duration = Duration::from_secs(1);

/// A request that is sent when first polled, within one deadline, which covers finding a link, queueing and the reply.
///
/// Every command allocates one of these, so it is kept small: what nearly always happens is here, the rest in [`Care`].
pub(crate) struct Call<'a, R: Request> {
    manager: &'a ConnectionManager,
    /// Whether its handle's last command, or the reply to it, was large.
    bulky: &'a mut bool,
    request: R,
    state: State<'a, R::Reply>,
    /// When it was first polled.
    #[cfg(feature = "metrics")]
    began: Option<std::time::Instant>,
}

enum State<'a, T> {
    New,
    Sent(Sent),
    InCare(BoxFuture<'a, (RedisResult<T>, bool)>),
    Done,
}

/// A request that was sent, the link that carried it, and how that went.
struct Attempt {
    link: u64,
    answer: Answer,
    /// Whether the request, or what came, was large.
    large: bool,
}

impl<'a, R: Request + 'a> Call<'a, R> {
    pub(crate) fn new(manager: &'a ConnectionManager, bulky: &'a mut bool, request: R) -> Self {
        Self {
            manager,
            bulky,
            request,
            state: State::New,
            #[cfg(feature = "metrics")]
            began: None,
        }
    }

    #[cold]
    fn hand_over(&self, first: Option<Attempt>) -> State<'a, R::Reply> {
        let (mut care, request) = (Care { manager: self.manager, bulky: *self.bulky }, self.request);
        State::InCare(Box::pin(async move { (care.see_through(request, first).await, care.bulky) }))
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
                    let sent = self.manager.pool().try_send(&self.request, *self.bulky);
                    self.state = sent.map_or_else(|| self.hand_over(None), State::Sent);
                }
                State::Sent(sent) => {
                    let answer = ready!(Pin::new(&mut sent.reply).poll(cx));
                    let (link, large) = (sent.link, sent.large || answer.large);
                    match answer.outcome {
                        Outcome::Answered(value) if !self.request.looks_bad(&value) => {
                            *self.bulky = large;
                            self.state = State::Done;
                            return Poll::Ready(Ok(self.request.reply(value)));
                        }
                        outcome => {
                            // What brought no reply says nothing of the next one's size, except by its own.
                            *self.bulky |= large;
                            let answer = Answer { outcome, ..answer };
                            self.state = self.hand_over(Some(Attempt { link, answer, large }));
                        }
                    }
                }
                State::InCare(care) => {
                    let (result, bulky) = ready!(care.as_mut().poll(cx));
                    *self.bulky = bulky;
                    self.state = State::Done;
                    return Poll::Ready(result);
                }
                State::Done => panic!("a command was polled after its end"),
            }
        }
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

/// One that its caller waits for no more is recorded as such.
#[cfg(feature = "metrics")]
impl<R: Request> Drop for Call<'_, R> {
    fn drop(&mut self) {
        if let Some(began) = self.began.take() {
            let operation = self.request.operation();
            self.manager.operations().record(operation, began.elapsed(), Some(Failure::CANCELLED));
        }
    }
}

/// What a request needs for which no link was up, or that did not get a plain reply.
struct Care<'a> {
    manager: &'a ConnectionManager,
    bulky: bool,
}

impl Care<'_> {
    /// Sends a request, again if need be, until it has its reply or its deadline.
    ///
    /// It is sent again only if it has certainly not run: because not a byte of it had left, or because Redis refused to
    /// run it. What only reads is sent once more after a loss, too, if that is wished.
    ///
    /// `first` is the attempt that was made without care.
    async fn see_through<R: Request>(&mut self, request: R, mut first: Option<Attempt>) -> RedisResult<R::Reply> {
        let limit = self.manager.command_timeout();
        let deadline = first.as_ref().map_or_else(|| Instant::now() + limit, |first| first.answer.deadline);
        let mut retries = Retries::new(deadline, self.manager.pool().timers());
        // One that has not been sent found no link, or no room, at once.
        let mut waits = first.is_none();
        loop {
            let Attempt { link, answer, large } = match first.take() {
                Some(first) => first,
                None => match self.send(&request, deadline, std::mem::take(&mut waits)).await {
                    Ok(sent) => {
                        let answer = sent.reply.await;
                        let large = sent.large || answer.large;
                        self.bulky |= large;
                        Attempt { link: sent.link, answer, large }
                    }
                    Err(error) => {
                        timer::let_others_run().await;
                        return Err(self.failed(error));
                    }
                },
            };
            let reply = match answer.outcome {
                Outcome::Answered(value) => Ok(request.reply(value)),
                Outcome::Aborted(errors) => request.aborted(errors).await,
                Outcome::Unsent => {
                    self.manager.pool().load().note_retry();
                    continue;
                }
                Outcome::Lost(reason) => {
                    self.retire(link, reason);
                    // What broke one connection may have broken the others: a breath later, that is known.
                    let may = self.manager.retry_reads() && request.only_reads() && retries.once_more();
                    if may && retries.allow(Remedy::Later).await {
                        self.manager.pool().load().note_retry();
                        continue;
                    }
                    return Err(self.lost(reason));
                }
                Outcome::TimedOut => return Err(self.failed(self.timed_out(link, deadline))),
            };
            let Some(remedy) = request.refusal(&reply).and_then(|error| refusal::remedy(&error)) else {
                self.bulky = large;
                return reply;
            };
            match remedy {
                Remedy::Elsewhere => self.retire(link, "NOAUTH"),
                Remedy::Reconnect => self.reconnect(link),
                Remedy::Later => {}
            }
            if !retries.allow(remedy).await {
                return reply;
            }
            self.manager.pool().load().note_retry();
        }
    }

    /// Queues it once there is a link and room; how long one `waits` for that is recorded.
    #[cfg_attr(not(feature = "metrics"), allow(unused_variables))]
    async fn send<R: Request>(&self, request: &R, deadline: Instant, waits: bool) -> Result<Sent, Error> {
        #[cfg(feature = "metrics")]
        let began = std::time::Instant::now();
        let sent = self.manager.pool().send(request, deadline, self.bulky).await;
        #[cfg(feature = "metrics")]
        if waits && sent.is_ok() {
            self.manager.operations().record_wait(began.elapsed());
        }
        sent
    }

    /// Counts a command that failed with this error.
    fn failed(&self, error: Error) -> RedisError {
        self.manager.pool().load().note_failure(&error);
        error.into()
    }

    /// Replaces a link whose server turns out to be no primary, unless that has just been done.
    fn reconnect(&self, link: u64) {
        let settled = |link: &Link| link.age() >= SILENCE;
        if self.manager.pool().link(link).is_some_and(|link| settled(&link)) {
            self.retire(link, "READONLY");
        }
    }

    fn retire(&self, link: u64, reason: &'static str) {
        if let Some(link) = self.manager.pool().link(link) {
            link.retire(reason);
        }
        self.manager.pool().wake_keeper();
    }

    fn lost(&self, reason: &'static str) -> RedisError {
        self.manager.pool().load().note_lost();
        let text = format!("the connection was lost with the command on its way ({reason}); it may have run");
        IoError::new(IoErrorKind::BrokenPipe, text).into()
    }

    fn timed_out(&self, link: u64, deadline: Instant) -> Error {
        let limit = self.manager.command_timeout();
        if let Some(link) = self.manager.pool().link(link)
            && let Some(called) = deadline.checked_sub(limit)
            && link.silent_since(called)
        {
            if limit >= SILENCE {
                link.retire("not a byte within a command's deadline");
            } else {
                link.suspect();
            }
            self.manager.pool().wake_keeper();
        }
        Error::new(
            ErrorKind::Timeout(Stage::Command),
            format!("no reply from Redis within {limit:?} (`command_timeout`); the command may have run"),
        )
    }
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
