//! A request for which no link was up, or that did not get a plain reply: waiting, and sending again.

use super::{
    call::{Attempt, leave_behind},
    core::{Core, Way},
    course::{Course, Verdict},
    order::Memory,
    record::{failed, failed_with_link},
    request::Request,
    retry::{Remedy, Retries},
    texts::server,
    waiting::{Sent, Turn, is_strayed},
};
use crate::{
    cluster::redirect::explain_moved_error,
    error::{Error, ErrorKind, Stage},
    link::{Outcome, Refused, SILENCE},
    observe::metrics::Stopwatch,
    timer,
};
use redis::{RedisError, RedisResult, Value};
use std::io::{Error as IoError, ErrorKind as IoErrorKind};
use tokio::time::Instant;

/// What a request needs for which no link was up, or that did not get a plain reply.
pub(super) struct SlowPath<'a> {
    pub(super) core: &'a Core,
    pub(super) memory: &'a mut Memory,
    /// The link that carried the last attempt.
    pub(super) link: Option<u64>,
}

impl<'a> SlowPath<'a> {
    pub(super) fn new(core: &'a Core, memory: &'a mut Memory) -> Self {
        Self { core, memory, link: None }
    }
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

/// What an attempt comes to.
enum After<T> {
    /// Redis has answered this, or nothing was asked of it.
    Reply(RedisResult<T>),
    Failure(RedisError),
    /// It is sent again: it has not run, or may run twice.
    Again(Turn),
}

impl SlowPath<'_> {
    /// Sends a request, again if need be, until it has its reply or its deadline.
    ///
    /// It is sent again only if it has certainly not run: because not a byte of it had left, or because Redis refused
    /// to run it. What only reads is sent once more after a loss, too, if that is wished.
    ///
    /// `first` is the attempt that was made on the usual way.
    pub(super) async fn run<R: Request>(&mut self, request: R, first: Option<Attempt>) -> RedisResult<R::Reply> {
        let limit = self.core.command_timeout;
        let deadline = first.as_ref().map_or_else(|| Instant::now() + limit, |first| first.answer.deadline);
        // One that has not been sent found no link, or no room, at once.
        let turn = if first.is_none() { Turn::First } else { Turn::Again };
        self.run_from(request, first, turn, Way::default(), deadline).await
    }

    /// The same, for a request in this state.
    pub(super) async fn run_from<R: Request>(
        &mut self,
        request: R,
        mut first: Option<Attempt>,
        mut turn: Turn,
        way: Way,
        deadline: Instant,
    ) -> RedisResult<R::Reply> {
        let mut course = Course::new(self.core, way, deadline);
        let mut waits = first.is_none();
        let mut refused = None;
        loop {
            let attempt = match first.take() {
                Some(first) => first,
                None => match self.send(&request, deadline, std::mem::take(&mut waits), turn, course.way.clone()).await
                {
                    Ok(sent) => self.answered(&request, sent).await,
                    Err(error) => {
                        timer::let_others_run().await;
                        return self.given_up(error, refused);
                    }
                },
            };
            let (link, large) = (attempt.link, attempt.large);
            self.link = Some(link);
            match self.outcome(&request, attempt, &mut course.retries).await {
                After::Reply(reply) => match course.judge(&request, &reply, link).await {
                    Verdict::Again => {
                        self.core.admission.note_retry();
                        (turn, refused) = (Turn::Again, Some(reply));
                    }
                    Verdict::Refused => return reply,
                    Verdict::Accepted => {
                        self.memory.expects_large = large;
                        return if self.core.cluster().is_none() { request.explain_moved(reply) } else { reply };
                    }
                },
                After::Failure(error) => return Err(error),
                After::Again(next) => turn = next,
            }
        }
    }

    /// The error of a request that is sent no more. If Redis has refused it before, that says more than that no link
    /// has come up since.
    fn given_up<T>(&self, error: Error, refused: Option<RedisResult<T>>) -> RedisResult<T> {
        match refused {
            Some(refused) if error.kind() == ErrorKind::Timeout(Stage::Command) => refused,
            // Whoever has taken it apart sends it to another node: it has not failed yet.
            _ if is_strayed(&error) => Err(error.into()),
            _ => Err(failed(self.core, error)),
        }
    }

    /// What an attempt comes to, but for what Redis's answer says.
    async fn outcome<R: Request>(
        &mut self,
        request: &R,
        attempt: Attempt,
        retries: &mut Retries<'_>,
    ) -> After<R::Reply> {
        let Attempt { link, queued, answer, .. } = attempt;
        match answer.outcome {
            Outcome::Answered(value) => After::Reply(Ok(request.reply(value))),
            Outcome::Aborted(refused) => After::Reply(request.aborted(self.explained(refused)).await),
            Outcome::Unreadable(place, problem) => After::Failure(unreadable(place, problem)),
            Outcome::Unsent(place) => {
                self.core.admission.note_retry();
                After::Again(Turn::Unsent(place))
            }
            Outcome::HeldBack(place) => After::Again(Turn::Unsent(place)),
            // The end of a connection takes its link out of use, and has the keeper look.
            Outcome::Lost(reason, node) => {
                // What broke one connection may have broken the others: after the delay that is known.
                let may = self.core.retry_reads && request.only_reads() && retries.once_more();
                if may && retries.allow(Remedy::Later).await {
                    self.core.admission.note_retry();
                    return After::Again(Turn::Again);
                }
                After::Failure(lost(self.core, &server(self.core, Some(&node)), reason))
            }
            Outcome::TimedOut => {
                self.leave_behind(request, link);
                After::Failure(failed(self.core, self.timed_out(link, queued, "the command may have run")))
            }
            Outcome::TimedOutHeldBack => {
                let error = self.timed_out(link, queued, "the transaction was not sent");
                After::Failure(failed_with_link(self.core, error))
            }
            Outcome::Written => {
                self.leave_behind(request, link);
                After::Reply(Ok(request.reply(Value::Nil)))
            }
        }
    }

    /// Waits for what becomes of a request that was sent; if that is given up, it may run yet.
    pub(super) async fn answered<R: Request>(&mut self, request: &R, sent: Sent) -> Attempt {
        let queued = Instant::now();
        let mut underway = Underway { slow_path: self, request, link: sent.link, ended: false };
        let answer = sent.reply.await;
        underway.ended = true;
        drop(underway);
        let large = sent.large || answer.large;
        self.memory.expects_large |= large;
        Attempt { link: sent.link, queued, answer, large }
    }

    /// Queues it once there is a link and room; how long one `waits` for that is recorded.
    async fn send<R: Request>(
        &mut self,
        request: &R,
        deadline: Instant,
        waits: bool,
        turn: Turn,
        way: Way,
    ) -> Result<Sent, Error> {
        let mut stopwatch = Stopwatch::default();
        if waits {
            stopwatch.start();
        }
        let sent = self.core.send(request, deadline, self.memory, turn, way).await?;
        if let Some(took) = stopwatch.stop() {
            self.core.operations.record_wait(took);
        }
        Ok(sent)
    }

    /// What Redis refused of a transaction; to somebody who takes a cluster for a single endpoint, with what to set.
    fn explained(&self, mut refused: Refused) -> Refused {
        if self.core.cluster().is_none() {
            let explain = |(place, error)| (place, explain_moved_error(error));
            refused.errors = refused.errors.into_iter().map(explain).collect();
        }
        refused
    }

    /// Notes that a request on this link may run yet, for the order of what its handle sends next.
    fn leave_behind<R: Request>(&mut self, request: &R, link: u64) {
        leave_behind(self.core, self.memory, request, link);
    }

    /// A link is judged by what it has done since it was given the command, which may have been just before the
    /// deadline.
    fn timed_out(&self, link: u64, queued: Instant, so: &str) -> Error {
        let limit = self.core.command_timeout;
        let carrier = self.core.any_link(link);
        let server = server(self.core, carrier.as_ref().map(|(_, link)| link.node()));
        if let Some((node, link)) = self.core.link(link)
            && link.silent_since(queued)
        {
            if queued.elapsed() >= SILENCE {
                link.retire("not a byte within a command's deadline");
            } else {
                link.suspect();
            }
            node.pool().wake_keeper();
        }
        Error::new(
            ErrorKind::Timeout(Stage::Command),
            format!("no reply from {server} within {limit:?} (`command_timeout`); {so}"),
        )
    }
}

/// The error of a command that was on its way to `server` when its connection broke.
pub(super) fn lost(core: &Core, server: &str, reason: &'static str) -> RedisError {
    core.admission.note_lost();
    let text = format!("the connection to {server} was lost with the command on its way ({reason}); it may have run");
    IoError::new(IoErrorKind::BrokenPipe, text).into()
}

/// The error of a command whose reply came in a sound frame, and holds what has no value.
pub(super) fn unreadable(place: Option<usize>, problem: &str) -> RedisError {
    let which = place.map_or_else(|| "it".to_owned(), |place| format!("number {place} of the pipeline, from 0,"));
    let text = format!("{which} has no value: {problem}; the command has run");
    (redis::ErrorKind::Parse, "a reply cannot be read", text).into()
}
