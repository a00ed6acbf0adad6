//! The handle that tasks share.

use crate::{Config, ConnectionManager, Error, ErrorKind, error::Stage, guard, link::Lease};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, ServerError, Value, aio::ConnectionLike};
use std::{
    io::{Error as IoError, ErrorKind as IoErrorKind},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How often a command that waits for its reply looks whether its connection is still there.
const LOOK: Duration = Duration::from_millis(250);

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
        Ok(Self { manager: Arc::new(manager) })
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
    async fn run<R: Request>(&self, request: R) -> RedisResult<R::Reply> {
        let limit = self.manager.command_timeout();
        let deadline = Instant::now() + limit;
        let reply = self.attempt(&request, deadline).await?;
        if !request.was_refused(&reply) {
            return reply;
        }
        // Redis refused to look at it, so it has not run, and may be sent again: once, on another link.
        self.attempt(&request, deadline).await?
    }

    /// One attempt. The outer error: it got no reply.
    async fn attempt<R: Request>(&self, request: &R, deadline: Instant) -> RedisResult<RedisResult<R::Reply>> {
        let lease = self.manager.pool().lease(deadline).await?;
        let sent = Instant::now();
        let reply = request.send(&lease);
        tokio::pin!(reply);
        loop {
            let now = Instant::now();
            match timeout_at(deadline.min(now + LOOK), reply.as_mut()).await {
                Ok(reply) => {
                    self.judge(&lease, &reply, request.was_refused(&reply));
                    return Ok(reply);
                }
                // The request came into the queue of a connection while that was going down.
                Err(_) if lease.is_gone() => return Err(lost()),
                Err(_) if Instant::now() >= deadline => return Err(self.timed_out(&lease, sent).into()),
                Err(_) => {}
            }
        }
    }

    /// What a reply says about the link.
    fn judge<T>(&self, lease: &Lease, reply: &RedisResult<T>, refused: bool) {
        let reason = match reply {
            _ if refused => "NOAUTH",
            Err(error) if error.is_connection_dropped() => "connection closed",
            _ => return,
        };
        lease.retire(reason);
        self.manager.pool().wake_keeper();
    }

    #[cold]
    fn timed_out(&self, lease: &Lease, sent: Instant) -> Error {
        let limit = self.manager.command_timeout();
        if lease.silent_since(sent) {
            if sent.elapsed() >= SILENCE {
                lease.retire("not a byte within a command's deadline");
            } else {
                lease.suspect();
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
            self.run(PipelineCall { pipeline, offset, count }).await
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}

/// A command or a pipeline, on its way to a link.
trait Request: Sync {
    type Reply: Send;

    fn send(&self, lease: &Lease) -> impl Future<Output = RedisResult<Self::Reply>> + Send;

    /// Whether Redis refused to run any of it because the connection is not authenticated. A script can answer as if it
    /// had been refused after it has run, so that its word counts for nothing.
    fn was_refused(&self, reply: &RedisResult<Self::Reply>) -> bool;
}

impl Request for &Cmd {
    type Reply = Value;

    async fn send(&self, lease: &Lease) -> RedisResult<Value> {
        lease.command(self).await
    }

    fn was_refused(&self, reply: &RedisResult<Value>) -> bool {
        matches!(reply, Ok(Value::ServerError(error)) if is_noauth(error)) && !guard::runs_script(self)
    }
}

struct PipelineCall<'a> {
    pipeline: &'a Pipeline,
    offset: usize,
    count: usize,
}

impl Request for PipelineCall<'_> {
    type Reply = Vec<Value>;

    async fn send(&self, lease: &Lease) -> RedisResult<Vec<Value>> {
        lease.pipeline(self.pipeline, self.offset, self.count).await
    }

    fn was_refused(&self, reply: &RedisResult<Vec<Value>>) -> bool {
        let refused = match reply {
            Ok(values) => {
                let refused = |value: &Value| matches!(value, Value::ServerError(error) if is_noauth(error));
                !values.is_empty() && values.iter().all(refused)
            }
            Err(error) => error
                .clone()
                .into_server_errors()
                .is_some_and(|errors| !errors.is_empty() && errors.iter().all(|(_, error)| is_noauth(error))),
        };
        refused && !self.pipeline.cmd_iter().any(guard::runs_script)
    }
}

fn is_noauth(error: &ServerError) -> bool {
    error.code() == "NOAUTH" && error.details() == Some("Authentication required.")
}

#[cold]
fn lost() -> RedisError {
    IoError::new(IoErrorKind::BrokenPipe, "the connection was lost with the command in its queue; it may have run")
        .into()
}
