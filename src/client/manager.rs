//! The owner of the pool and the token actor: from `connect` to `shutdown`.

use super::{
    config::{Config, checked_host, checked_port},
    snapshot,
};
#[cfg(feature = "metrics")]
use crate::observe::metrics;
use crate::{
    admission::Admission,
    error::{Error, ErrorKind, Stage},
    link::Setup,
    observe::{
        event::{Counters, Event},
        health::Health,
        journal::Journal,
        stats::Stats,
    },
    pool::{Keeper, KeeperOptions, Pool},
    timer::Timers,
    token::{TokenActor, Tokens},
    transport::dialer::Dialer,
};
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    sync::{Mutex, broadcast},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

/// Owns the connections and the token, for as long as a handle exists.
///
/// Obtained from [`EntraRedis::manager`](crate::EntraRedis::manager).
pub struct ConnectionManager {
    pool: Arc<Pool>,
    tokens: Tokens,
    journal: Journal,
    command_timeout: Duration,
    shutdown_timeout: Duration,
    retry_reads: bool,
    tasks: Mutex<Tasks>,
    /// The tasks of the connections, those that are just being opened included.
    connections: TaskTracker,
    /// Ended last, so that it sees everything.
    #[cfg(feature = "metrics")]
    publishing: Mutex<Tasks>,
    /// Holds what marks the timers as ended.
    timers: Mutex<Tasks>,
    #[cfg(feature = "metrics")]
    operations: metrics::Operations,
}

/// Tasks that end when this is dropped: the keeper and the token actor.
struct Tasks(Vec<JoinHandle<()>>);

impl Tasks {
    /// Ends them, and waits until they have ended.
    async fn end(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
        while let Some(task) = self.0.last_mut() {
            // It ends by being aborted; there is nothing to learn from that.
            _ = task.await;
            self.0.pop();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl ConnectionManager {
    pub(crate) async fn connect(host: &str, port: u16, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let (timers, guard) = Timers::of(Handle::try_current().map_err(|source| {
            Error::new(ErrorKind::Configuration, "`EntraRedis::connect` needs a tokio runtime").with_source(source)
        })?);
        let host = checked_host(host)?;
        let transport = config.tls.build(host)?;
        let source = config.credential.token_source()?;
        let connections = TaskTracker::new();
        let journal = Journal::new(&format!("{host}:{port}"));
        let setup = Setup {
            dialer: Dialer {
                host: host.to_owned(),
                port: checked_port(port)?,
                resolver: config.resolver,
                transport,
                connect_timeout: config.connect_timeout,
            },
            pool: journal.name(),
            protocol: config.protocol,
            auth_timeout: config.auth_timeout,
            command_timeout: config.command_timeout,
            links_opened: 0.into(),
            tasks: connections.clone(),
            multi: Arc::default(),
        };
        let username = config.username.as_deref().map(Arc::from);
        let (actor, tokens) = TokenActor::new(source, config.token_manager, username, journal.clone());
        let admission = Admission::new(config.max_in_flight);
        let pool = Arc::new(Pool::new(config.pool_size, tokens.clone(), admission, config.overload, timers));
        let options = KeeperOptions {
            auth_timeout: config.auth_timeout,
            ping_after: config.ping_interval,
            ping_timeout: config.command_timeout.clamp(Duration::from_secs(1), Duration::from_secs(5)),
        };
        #[cfg(feature = "metrics")]
        let labels = metrics::labels(host, port, journal.name());
        #[cfg(feature = "metrics")]
        let publishing = {
            let series = metrics::Series::new(&labels, config.pool_size);
            let events = journal.subscribe();
            let (journal, pool, tokens) = (journal.clone(), Arc::clone(&pool), tokens.clone());
            let stats = move || snapshot::stats(&journal, &pool, &tokens);
            Mutex::new(Tasks(vec![tokio::spawn(metrics::run(series, stats, events))]))
        };
        let (keeper, ready) = Keeper::new(Arc::clone(&pool), setup, tokens.clone(), journal.clone(), options);
        // Whatever ends this function early drops the manager, and with it the tasks.
        let manager = Self {
            pool,
            tokens,
            journal,
            command_timeout: config.command_timeout,
            shutdown_timeout: config.shutdown_timeout.unwrap_or(config.command_timeout),
            retry_reads: config.retry_reads,
            tasks: Mutex::new(Tasks(vec![tokio::spawn(actor.run()), tokio::spawn(keeper.run())])),
            connections,
            #[cfg(feature = "metrics")]
            publishing,
            timers: Mutex::new(Tasks(vec![tokio::spawn(guard.hold())])),
            #[cfg(feature = "metrics")]
            operations: metrics::Operations::new(labels),
        };
        match timeout(config.startup_timeout, ready).await {
            Ok(outcome) => outcome.unwrap_or_else(|_| Err(Error::closed()))?,
            Err(_) => return Err(manager.not_started(config.startup_timeout)),
        }
        Ok(manager)
    }

    fn not_started(&self, limit: Duration) -> Error {
        let no_start = |what: &str| {
            Error::new(
                ErrorKind::Timeout(Stage::Startup),
                format!("not connected within {limit:?} (`startup_timeout`): {what}"),
            )
        };
        match (self.journal.last_token_error(), self.tokens.live()) {
            (Some(error), _) => {
                no_start(&format!("no token yet; the last attempt: {}", error.message())).explained_by(error)
            }
            (None, None) => no_start("the token source has not answered"),
            (None, Some(_)) => no_start("Redis has not answered"),
        }
    }

    /// How long a command may take in all.
    pub(crate) fn command_timeout(&self) -> Duration {
        self.command_timeout
    }

    /// Whether what only reads may be sent again.
    pub(crate) fn retry_reads(&self) -> bool {
        self.retry_reads
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Where durations go.
    #[cfg(feature = "metrics")]
    pub(crate) fn operations(&self) -> &metrics::Operations {
        &self.operations
    }

    /// Whether commands can be sent right now: some link is up, and `shutdown` has not been called.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.pool.is_closed() && self.pool.open_links() > 0
    }

    /// What the connection manager is doing right now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        snapshot::stats(&self.journal, &self.pool, &self.tokens)
    }

    /// Whether all is well, and if not, what is wrong.
    #[must_use]
    pub fn health(&self) -> Health {
        snapshot::health(&self.journal, &self.pool, &self.tokens)
    }

    /// Counters since `connect`; cheaper than a whole [`Stats`].
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.journal.counters()
    }

    /// What happens from now on. A subscriber that falls behind misses events and is told how many; nothing waits for
    /// it.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.journal.subscribe()
    }

    /// Asks for a new token before its time, when a role or an access policy has changed, say.
    ///
    /// It returns at once; any number of calls while a request is under way make one. The minimum refresh interval
    /// holds, and so does a `Retry-After` of the identity provider; a delay between retries is cut short.
    pub fn refresh_token(&self) {
        self.tokens.request_refresh();
    }

    /// Refuses new commands, waits for those in flight, for [`shutdown_timeout`](Config::shutdown_timeout) at most, and
    /// ends everything: when it returns, no task of this connection manager's is left.
    ///
    /// What is not answered by then fails as if its connection had been lost. Calling it again, from anywhere, waits
    /// for the same end; whoever gives up on it cuts nothing short for the others.
    pub async fn shutdown(&self) {
        self.pool.close();
        // The lock makes a second caller wait until the first is through.
        let mut tasks = self.tasks.lock().await;
        tasks.end().await;
        let deadline = Instant::now() + self.shutdown_timeout;
        let drained = join_all(self.pool.all_links().into_iter().map(async |link| {
            link.retire("shut down");
            let drained = self.pool.timers().timeout_at(deadline, link.drained()).await.is_some();
            (drained && !link.has_ended()).then(|| link.id())
        }))
        .await;
        // They close with their last owner.
        self.pool.clear();
        self.connections.close();
        self.connections.wait().await;
        for link in drained.into_iter().flatten() {
            self.journal.record(Event::LinkDrained { link });
        }
        #[cfg(feature = "metrics")]
        self.publishing.lock().await.end().await;
        self.timers.lock().await.end().await;
    }
}

impl std::fmt::Debug for ConnectionManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionManager")
            .field("ready", &self.ready())
            .field("open_links", &self.pool.open_links())
            .finish_non_exhaustive()
    }
}
