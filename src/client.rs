//! The handle that tasks share.

use crate::{
    Config, ConnectionManager, Error, ErrorKind,
    error::Stage,
    guard,
    link::{Answer, Link, Outcome, PipelineCall, Request},
    refusal::{self, Remedy, Retries},
};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value, aio::ConnectionLike};
use std::{
    io::{Error as IoError, ErrorKind as IoErrorKind},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// A link from which not a byte has come for this long, though commands wait, is given up at once; after less, it is
/// asked whether it lives.
const SILENCE: Duration = Duration::from_secs(1);

/// A handle to Azure Managed Redis, shared by all tasks of a service.
///
/// It is cheap to clone; every task takes a clone of its own. It implements [`ConnectionLike`], so the `redis` crate's
/// `AsyncCommands`, pipelines, scripts and SCAN iterators work on it. The last clone dropped ends every task and connection.
///
/// Commands of all clones travel together over a few connections. What such a connection cannot carry is refused before
/// it is sent: commands that block (`BLPOP`, `XREAD` with `BLOCK`, …) and commands that change the connection for
/// everybody (`SUBSCRIBE`, `SELECT`, bare `MULTI` and `WATCH`, …).
///
/// # Errors
///
/// Commands fail with a [`redis::RedisError`]: `is_timeout()` after the `command_timeout`, `is_connection_dropped()` when
/// the connection broke while the command was in flight (it may or may not have run, so it is not sent again),
/// [`AuthenticationFailed`](redis::ErrorKind::AuthenticationFailed) while there is no valid token, with the identity
/// provider's own reason, and what Redis answers.
#[derive(Clone, Debug)]
pub struct EntraRedis {
    manager: Arc<ConnectionManager>,
    /// Whether the last command of this clone, or its reply, was large.
    bulky: bool,
}

impl EntraRedis {
    /// Connects to `host`, a DNS name or IP address, and `port` (Azure Managed Redis: 10000).
    ///
    /// Returns when the first connection is authenticated; the other connections of the pool follow in the background.
    ///
    /// # Errors
    ///
    /// At once: [`ErrorKind::Configuration`] naming the setting that is wrong; what the identity provider says when it
    /// refuses the credential; a connection, TLS or authentication error of the first connection. After the retries: a
    /// token endpoint that does not work. After `startup_timeout`: [`ErrorKind::Timeout`].
    pub async fn connect(host: &str, port: u16, config: Config) -> Result<Self, Error> {
        let manager = ConnectionManager::connect(host, port, config).await?;
        Ok(Self { manager: Arc::new(manager), bulky: false })
    }

    /// The owner of the connections and the token: `stats`, `events`, `ready`, `shutdown`.
    #[must_use]
    pub fn manager(&self) -> &ConnectionManager {
        &self.manager
    }

    /// [`ConnectionManager::shutdown`].
    pub async fn shutdown(&self) {
        self.manager.shutdown().await;
    }

    /// Sends a request within one deadline, which covers finding a link, queueing and the reply.
    ///
    /// What nearly always happens is here; the rest is kept out of the future that every command allocates.
    async fn run<R: Request>(&mut self, request: R) -> RedisResult<R::Reply> {
        let Some(sent) = self.manager.pool().try_send(&request, self.bulky) else {
            return Box::pin(self.see_through(request, None)).await;
        };
        let (link, large) = (sent.link, sent.large);
        let answer = sent.reply.await;
        self.bulky = large || answer.large;
        match answer.outcome {
            Outcome::Answered(value) if !request.looks_bad(&value) => Ok(request.reply(value)),
            outcome => Box::pin(self.see_through(request, Some((link, Answer { outcome, ..answer })))).await,
        }
    }

    /// Sends a request, again if need be, until it has its reply or its deadline.
    ///
    /// It is sent again only if it has certainly not run: because not a byte of it had left, or because Redis refused to
    /// run it. What only reads is sent once more after a loss, too, if that is wished.
    #[cold]
    async fn see_through<R: Request>(&mut self, request: R, mut first: Option<(u64, Answer)>) -> RedisResult<R::Reply> {
        let limit = self.manager.command_timeout();
        let deadline = first.as_ref().map_or_else(|| Instant::now() + limit, |(_, answer)| answer.deadline);
        let mut retries = Retries::new(deadline);
        loop {
            let (link, answer) = match first.take() {
                Some(first) => first,
                None => match self.manager.pool().send(&request, deadline, self.bulky).await {
                    Ok(sent) => {
                        let answer = sent.reply.await;
                        self.bulky = sent.large || answer.large;
                        (sent.link, answer)
                    }
                    Err(error) => return Err(self.failed(error)),
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

    /// Counts a command that failed with this error.
    #[cold]
    fn failed(&self, error: Error) -> RedisError {
        self.manager.pool().load().note_failure(&error);
        error.into()
    }

    /// Replaces a link whose server turns out to be no primary, unless that has just been done.
    #[cold]
    fn reconnect(&self, link: u64) {
        let settled = |link: &Link| link.age() >= SILENCE;
        if self.manager.pool().link(link).is_some_and(|link| settled(&link)) {
            self.retire(link, "READONLY");
        }
    }

    #[cold]
    fn retire(&self, link: u64, reason: &'static str) {
        if let Some(link) = self.manager.pool().link(link) {
            link.retire(reason);
        }
        self.manager.pool().wake_keeper();
    }

    #[cold]
    fn lost(&self, reason: &'static str) -> RedisError {
        self.manager.pool().load().note_lost();
        let text = format!("the connection was lost with the command on its way ({reason}); it may have run");
        IoError::new(IoErrorKind::BrokenPipe, text).into()
    }

    #[cold]
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

impl ConnectionLike for EntraRedis {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            guard::check(cmd)?;
            if cmd.args_iter().next().is_none() {
                return Err(empty());
            }
            self.run(cmd).await
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            guard::check_pipeline(pipeline)?;
            if pipeline.is_empty() && !pipeline.is_transaction() {
                return Err(empty());
            }
            self.run(PipelineCall { pipeline, offset, count }).await
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

#[cold]
fn empty() -> RedisError {
    (redis::ErrorKind::Client, "empty command").into()
}
