//! The handle that tasks share, and the owner of what is behind it.

#[cfg(feature = "near-cache")]
mod cached;
mod config;
mod dedicated;
mod manager;
mod pubsub;
#[cfg(feature = "serde")]
mod settings;
mod snapshot;
pub(crate) mod target;
mod transaction;

use crate::{
    command::{Operation, Profile, guard, profile},
    error::Error,
    exec::{
        blocking,
        call::Call,
        iteration,
        order::Memory,
        request::{CommandRequest, PipelineRequest},
        scatter,
    },
};
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value, aio::ConnectionLike};
use std::{future::ready, sync::Arc};
use target::{Target, variable};
use tokio::time::Instant;

#[cfg(feature = "near-cache")]
pub use cached::{CacheOptions, CachedRedis};
pub use config::Config;
pub use dedicated::Dedicated;
pub use manager::ConnectionManager;
pub use pubsub::{Delivery, GapReason, PubSub, PubSubSink, PubSubStream, Topic};

/// A handle to Azure Managed Redis, shared by all tasks of a service.
///
/// It is cheap to clone; every task takes a clone of its own. It implements [`ConnectionLike`], so the `redis` crate's
/// `AsyncCommands`, pipelines, scripts and SCAN iterators work on it. The last clone dropped ends every task and
/// connection.
///
/// Commands of all clones travel together over a few connections. What such a connection cannot carry is refused before
/// it is sent: commands that change the connection for everybody (`SUBSCRIBE`, `SELECT`, bare `MULTI` and `WATCH`, …),
/// and commands about one connection of several (`CLIENT SETNAME`, `CLIENT ID`, …). The error says what to use:
/// [`pubsub`](Self::pubsub), [`transaction`](Self::transaction) or [`dedicated`](Self::dedicated) for most of them.
///
/// # Commands that block
///
/// `BLPOP`, `BRPOP`, `BLMOVE`, `BLMOVEM`, `BLMPOP`, `BRPOPLPUSH`, `BZPOPMIN`, `BZPOPMAX`, `BZMOVE`, `BZMPOP`, `XREAD`
/// and `XREADGROUP` with `BLOCK`, `WAIT` and `WAITAOF` have a connection to themselves for as long as they block, one
/// of [`max_leased`](Config::max_leased), so that they hold up nobody else.
///
/// - Their timeouts mean what they mean to Redis, counted from the call, and 0 is for ever. Their deadline is their own
///   timeout plus the [`command_timeout`](Config::command_timeout). If all `max_leased` connections are in use, they
///   fail after the command timeout, unsent; one that has had a connection and has to go elsewhere waits for another
///   one until its deadline.
/// - They block in slices, each of which Redis itself ends by its timeout; between two of them the connection is given
///   the new token. Redis serves callers in the order in which they began to wait; each slice begins to wait again.
/// - They go on over another connection when theirs is lost, and at another node when their slot has moved. An element
///   that Redis has popped at the moment when a connection broke is gone with it, as it is for every client of Redis.
///   Where that matters use `BLMOVE`, which keeps it in another list, or a consumer group, which keeps it as pending.
/// - Dropping the future closes the connection. An element that has been popped at that moment is gone, too.
/// - `XREAD` with `$` reads what is added after the call, without a gap between slices: the last id is asked for with
///   `XREVRANGE` first. Where an access policy does not allow that, its error is returned.
/// - `WAIT` and `WAITAOF` ask, on each primary, for all that its node has done before: a connection of their own writes
///   and deletes a key `entra-redis:wait` in one transaction first, as Redis counts what one connection has written.
///   The reply to `WAIT` is the least of all primaries.
/// - They are refused in a pipeline, but not in an atomic one, where they do not block.
///
/// # Order
///
/// What one handle (one clone) sends takes effect in the order in which it was sent, whatever happens to its
/// connections: commands sent without waiting for their reply (`set_no_response`) and commands whose future was dropped
/// or has timed out included. The next command of the handle follows such a one over the same connection, or waits
/// until it is answered, within its own deadline. A clone comes after everything that its original had sent when it was
/// cloned.
///
/// Between clones there is no order but that of cause and effect: a command that is sent after another one's reply has
/// come runs after it. (The `redis` crate's `MultiplexedConnection` has one connection, so that the commands of all its
/// clones run in the order in which they were first polled.)
///
/// A command whose connection is lost, or has been silent for a second while others were not, is out of this order: it
/// may run later than what is sent after it, or never.
///
/// # On a cluster
///
/// On a cache with the OSS cluster policy, each command goes to the node that owns the slot of its keys, and on to
/// another one if that node names it. What differs from a single endpoint:
///
/// - The order above holds across nodes: a command for another node waits, within its deadline, until what the handle
///   has sent without waiting for the reply is answered, or its connection has been silent for a second. A pipeline is
///   taken apart by nodes: within it there is order between commands for one node, and so on one key, and none between
///   nodes. Its replies come in the order of its commands.
/// - All keys of an atomic pipeline must be in one slot, as keys with the same part in braces are (`{user:1}:name`).
///   Otherwise it is refused before anything is sent, with the code `CROSSSLOT`. Redis itself refuses other commands
///   and scripts with keys in several slots.
/// - `MGET`, `MSET`, `DEL`, `UNLINK`, `EXISTS`, `TOUCH`, `JSON.MGET`, `JSON.MSET` and `TS.MADD` take keys of any slots,
///   and are not atomic then. An error of a write that other nodes have done says which keys are done, by the places of
///   the arguments.
/// - `DBSIZE`, `KEYS`, `FLUSHALL`, `FLUSHDB`, `SCRIPT LOAD`, `FUNCTION LOAD`, `CONFIG SET` and the like go to all
///   nodes, and fail if one of them fails. `SCAN` has one cursor over all nodes. `INFO` and other reports are maps,
///   from the addresses of the nodes to what each says. The guide has a table of all of them.
/// - Commands without keys go to any node; `PUBLISH` to the same node for the same channel, as long as that is up. The
///   first argument of a command that this crate does not know is taken for its key; if that is wrong, the server names
///   the right node.
///
/// The iterators of `SCAN`, `HSCAN`, `SSCAN` and `ZSCAN` miss nothing when another server takes over or a slot moves:
/// they begin again there, so that elements may come twice, as with Redis itself. The guide's page on clusters says
/// where that ends.
///
/// # Errors
///
/// Commands fail with a [`redis::RedisError`], out of which [`Error::from_redis`] takes this crate's error:
///
/// - `is_timeout()`: there was no reply within the `command_timeout`.
/// - `is_connection_dropped()`: the connection broke while the command was in flight. It may or may not have run, so it
///   is not sent again.
/// - [`AuthenticationFailed`](redis::ErrorKind::AuthenticationFailed): there is no valid token, for the reason that the
///   identity provider gave.
/// - `is_io_error()`, with [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded) inside: `max_in_flight` others have
///   no answer. It was not sent.
/// - Kind `Client`: a shared connection cannot carry it, or it came after `shutdown`. It was not sent.
/// - Kind `Parse`: the reply cannot be read. The command has run.
/// - Any other: what Redis has answered.
#[derive(Clone, Debug)]
pub struct EntraRedis {
    manager: Arc<ConnectionManager>,
    /// What is remembered of the commands that this clone has sent.
    memory: Memory,
}

impl EntraRedis {
    /// Connects to `host`, a DNS name or IP address, and `port` (Azure Managed Redis: 10000).
    ///
    /// Returns when the first connection is authenticated, on a cluster one to each node, or to some of them after
    /// `connect_timeout`; the other connections follow in the background.
    ///
    /// # Errors
    ///
    /// At once: [`Configuration`](crate::ErrorKind::Configuration) naming the setting that is wrong; what the identity
    /// provider says when it refuses the credential; a connection, TLS or authentication error of the first connection.
    /// After the retries: a token endpoint that does not work. After `startup_timeout`:
    /// [`Timeout`](crate::ErrorKind::Timeout).
    pub async fn connect(host: &str, port: u16, config: Config) -> Result<Self, Error> {
        let manager = ConnectionManager::connect(host, port, config).await?;
        Ok(Self { manager: Arc::new(manager), memory: Memory::default() })
    }

    /// Connects to where the configuration says: [`Config::from_url`], [`Config::from_env`] or [`Config::endpoint`].
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if it does not say where; otherwise as
    /// [`connect`](Self::connect).
    pub async fn open(config: Config) -> Result<Self, Error> {
        config.validate()?;
        let (Target { host, port, .. }, config) = config.located(variable)?;
        Self::connect(&host, port, config).await
    }

    /// Connects to where the environment says, with the credential that it describes.
    ///
    /// | variable | what it is |
    /// |---|---|
    /// | `REDIS_URL` | as for [`Config::from_url`] |
    /// | `REDIS_HOST`, `REDIS_PORT` | the host, and the port if it is another one than usual |
    /// | `AZURE_REDIS_HOST` | the host, if there is no `REDIS_HOST`; set by [Azure's Service Connector](https://learn.microsoft.com/azure/service-connector/how-to-integrate-redis-cache) |
    /// | `REDIS_CA_CERT` | a PEM file with the certificate authorities to trust, if not those of the operating system |
    ///
    /// The usual port is 10000, that of Azure Managed Redis; of a name of Azure Cache for Redis, 6380. The credential
    /// is that of [`Credential::from_env`](crate::Credential::from_env), which has the table of its variables. With
    /// further settings it is `EntraRedis::open(Config::from_env()?…)`.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), entra_redis::Error> {
    /// let redis = entra_redis::EntraRedis::from_env().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) naming the variables that are missing, malformed, or
    /// contradict each other; otherwise as [`connect`](Self::connect).
    pub async fn from_env() -> Result<Self, Error> {
        // First, so that a missing host is told before a missing credential.
        Target::of_variables(variable)?;
        Self::open(Config::from_env()?).await
    }

    /// The owner of the connections and the token: `stats`, `events`, `ready`, `shutdown`.
    #[must_use]
    pub fn manager(&self) -> &ConnectionManager {
        &self.manager
    }

    /// A handle whose reads come from memory while Redis says that they have not changed: see [`CachedRedis`].
    ///
    /// Clones of what is returned share one memory; each call of this makes another one, with a connection of its own
    /// to each node. It returns at once, and reads go to the server until the nodes have been asked to tell of changes.
    #[cfg(feature = "near-cache")]
    #[must_use]
    pub fn cached(&self, options: CacheOptions) -> CachedRedis {
        CachedRedis::new(self.clone(), options)
    }

    /// [`ConnectionManager::shutdown`].
    pub async fn shutdown(&self) {
        self.manager.shutdown().await;
    }

    /// Sends something once it is known whether the server is a cluster, all of it within the command timeout.
    #[cold]
    async fn once_found<T>(
        &mut self,
        operation: Operation,
        send: impl AsyncFnOnce(&mut Self) -> RedisResult<T>,
    ) -> RedisResult<T> {
        let manager = Arc::clone(&self.manager);
        let core = manager.core();
        let deadline = Instant::now() + core.command_timeout;
        core.begin_once_found(operation, deadline).await?;
        core.within(deadline, send(self)).await
    }

    /// Sends a command that is not plain, or not to a single endpoint.
    // A function of its own, because it needs much of the stack.
    #[inline(never)]
    fn send_unusual<'a>(&'a mut self, cmd: &'a Cmd, profile: Profile) -> RedisFuture<'a, Value> {
        if let Err(error) = guard::check(profile) {
            if profile.is_sliced() {
                // It has a deadline of its own.
                return Box::pin(blocking::command(self.manager.core(), &mut self.memory, cmd, profile));
            }
            return self.refuse(error);
        }
        if self.manager.core().routing.get().is_none() {
            return Box::pin(async move {
                let operation = Operation::Command(profile);
                self.once_found(operation, async |redis| redis.req_packed_command(cmd).await).await
            });
        }
        let core = self.manager.core();
        if let Some(cluster) = core.cluster()
            && scatter::is_for_several(cmd, profile)
        {
            return Box::pin(scatter::command(core, cluster, &mut self.memory, cmd));
        }
        if profile.cursor().is_some() {
            return Box::pin(iteration::step(core, &mut self.memory, cmd, profile));
        }
        Box::pin(Call::new(core, &mut self.memory, CommandRequest { cmd, profile }))
    }

    /// Sends a pipeline that is not for a single endpoint.
    #[inline(never)]
    fn send_unusual_pipeline<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        (offset, count): (usize, usize),
    ) -> RedisFuture<'a, Vec<Value>> {
        if self.manager.core().routing.get().is_none() {
            return Box::pin(async move {
                let operation = if pipeline.is_transaction() { Operation::Transaction } else { Operation::Pipeline };
                self.once_found(operation, async |redis| redis.req_packed_commands(pipeline, offset, count).await).await
            });
        }
        let core = self.manager.core();
        if let Some(cluster) = core.cluster() {
            if !pipeline.is_transaction() {
                return Box::pin(scatter::pipeline(core, cluster, &mut self.memory, pipeline, (offset, count)));
            }
            if let Err(error) = scatter::check_transaction(pipeline) {
                return self.refuse(error);
            }
        }
        Box::pin(Call::new(core, &mut self.memory, PipelineRequest { pipeline, offset, count }))
    }

    #[cold]
    fn refuse<'a, T: Send + 'a>(&self, error: RedisError) -> RedisFuture<'a, T> {
        self.manager.core().admission.note_refused();
        Box::pin(ready(Err(error)))
    }
}

impl ConnectionLike for EntraRedis {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let profile = profile(cmd);
        if !profile.is_plain() || !self.manager.core().is_single_endpoint() {
            return self.send_unusual(cmd, profile);
        }
        Box::pin(Call::new(self.manager.core(), &mut self.memory, CommandRequest { cmd, profile }))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        if let Err(error) = guard::check_pipeline(pipeline) {
            return self.refuse(error);
        }
        if !self.manager.core().is_single_endpoint() {
            return self.send_unusual_pipeline(pipeline, (offset, count));
        }
        Box::pin(Call::new(self.manager.core(), &mut self.memory, PipelineRequest { pipeline, offset, count }))
    }

    fn get_db(&self) -> i64 {
        0
    }
}
