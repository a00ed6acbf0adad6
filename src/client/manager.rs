//! The owner of the pool and the token actor: from `connect` to `shutdown`.

use super::{
    config::{Config, checked_host, checked_port},
    pubsub::PubSubs,
    snapshot::Sources,
};
use crate::{
    admission::Admission,
    cluster::{
        discovery::{Discovery, Startup, Topology},
        routing::Found,
    },
    error::{Error, ErrorKind, Stage},
    exec::{core::Core, iteration::SignedCursors},
    link::Setup,
    observe::{
        event::{Counters, Event},
        health::Health,
        journal::Journal,
        metrics,
        stats::Stats,
    },
    pool::{DialPace, KeeperOptions, Leases, SeatTotal, Shared},
    timer::Timers,
    token::{TokenActor, Tokens},
    transport::dialer::Dialer,
};
use futures_util::future::join_all;
#[cfg(feature = "near-cache")]
use redis::ProtocolVersion;
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
/// On a cluster it owns those to all nodes, which share the token, the pace of dials and `max_in_flight`;
/// [`stats`](Self::stats) tells of each node, [`health`](Self::health) names nodes without connections.
///
/// Obtained from [`EntraRedis::manager`](crate::EntraRedis::manager).
pub struct ConnectionManager {
    /// What calls need.
    core: Core,
    pub(super) sources: Sources,
    #[cfg(feature = "near-cache")]
    pub(super) protocol: ProtocolVersion,
    shutdown_timeout: Duration,
    /// The token actor, and the watch of a cluster.
    background: Mutex<Tasks>,
    /// The tasks of the nodes, which end when commands are refused.
    pub(super) keepers: TaskTracker,
    /// The tasks of the connections, those that are just being opened included.
    pub(super) connections: TaskTracker,
    /// Passes on figures; ended last, so that it sees everything.
    publishing: Mutex<Tasks>,
    /// Subscriptions, if there are any.
    pub(super) pubsub: PubSubs,
    /// Holds what marks the timers as ended.
    timers: Mutex<Tasks>,
}

/// Tasks that end when this is dropped.
struct Tasks(Vec<JoinHandle<()>>);

impl Tasks {
    fn extend(&mut self, tasks: impl IntoIterator<Item = JoinHandle<()>>) {
        self.0.extend(tasks);
    }

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
        let limits = Limits::of(&config);
        let (timers, guard) = Timers::of(Handle::try_current().map_err(|source| {
            Error::new(ErrorKind::Configuration, "`EntraRedis::connect` needs a tokio runtime").with_source(source)
        })?);
        let host = checked_host(host)?;
        let transport = config.tls.build(host)?;
        let source = config.credential.token_source()?;
        let (keepers, connections) = (TaskTracker::new(), TaskTracker::new());
        let journal = Journal::new(&format!("{host}:{port}"));
        let setup = Setup {
            dialer: Dialer {
                host: host.to_owned(),
                port: checked_port(port)?,
                resolver: config.resolver,
                transport,
                connect_timeout: config.connect_timeout,
                hint: None,
                misconfigured: None,
            },
            is_one_of_several: false,
            client_name: config.client_name.map(Into::into),
            node: format!("{host}:{port}").into(),
            pool: journal.name(),
            protocol: config.protocol,
            auth_timeout: config.auth_timeout,
            command_timeout: config.command_timeout,
            links_opened: Arc::default(),
            asks_for_slots: Arc::new((config.topology != Topology::SingleEndpoint).into()),
            tasks: connections.clone(),
            multi: Arc::default(),
        };
        let username = config.username.clone();
        let (actor, tokens) = TokenActor::new(source, config.token_manager, username, journal.clone());
        let shared = limits.shared(tokens, journal);
        // Whatever ends this function early drops these, and with them the tasks.
        let mut background = Tasks(vec![tokio::spawn(actor.run())]);
        let timers_end = Tasks(vec![tokio::spawn(guard.hold())]);
        let events = shared.journal.subscribe();
        let discovery = Discovery {
            topology: config.topology,
            setup,
            shared: shared.clone(),
            keepers: keepers.clone(),
            pool_size: config.pool_size,
            node_map: config.node_map,
            refresh_interval: config.topology_refresh_interval,
            found: Found::default(),
        };
        let limit = match config.startup {
            Startup::Wait => Some(config.startup_timeout),
            Startup::Lazy => None,
        };
        let routing = find(discovery, limit, &shared, &mut background).await?;
        let Shared { tokens, journal, admission, availability, leases, .. } = shared;
        let sources = Sources {
            journal: journal.clone(),
            tokens: tokens.clone(),
            admission: Arc::clone(&admission),
            availability: Arc::clone(&availability),
            routing: routing.clone(),
            caches: Arc::default(),
        };
        let shown = sources.clone();
        let (operations, publishing) = metrics::start((host, port), journal.name(), move || shown.stats(), events);
        let core = Core {
            routing,
            tokens,
            admission,
            overload: config.overload,
            gathering: Mutex::default(),
            availability,
            leases,
            timers,
            command_timeout: config.command_timeout,
            ping_interval: config.ping_interval,
            retry_reads: config.retry_reads,
            operations,
            signed_cursors: SignedCursors::default(),
        };
        Ok(Self {
            core,
            sources,
            #[cfg(feature = "near-cache")]
            protocol: config.protocol,
            shutdown_timeout: config.shutdown_timeout.unwrap_or(config.command_timeout),
            background: Mutex::new(background),
            keepers,
            connections,
            pubsub: PubSubs::new(config.pubsub_buffer),
            publishing: Mutex::new(Tasks(publishing.into_iter().collect())),
            timers: Mutex::new(timers_end),
        })
    }

    /// What calls need.
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    /// Whether commands can be sent right now: some link is up, on a cluster to some node, and `shutdown` has not been
    /// called.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.core.is_closed() && self.core.nodes().iter().any(|node| node.takes_commands())
    }

    /// What the connection manager is doing right now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.sources.stats()
    }

    /// Whether all is well, and if not, what is wrong.
    #[must_use]
    pub fn health(&self) -> Health {
        self.sources.health()
    }

    /// Counters since `connect`; cheaper than a whole [`Stats`].
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.sources.journal.counters()
    }

    /// What happens from now on. A subscriber that falls behind misses events and is told how many; nothing waits for
    /// it.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.sources.journal.subscribe()
    }

    /// Asks for a new token before its time, when a role or an access policy has changed, say.
    ///
    /// It returns at once; any number of calls while a request is under way make one. The minimum refresh interval
    /// holds, and so does a `Retry-After` of the identity provider; a delay between retries is cut short.
    pub fn refresh_token(&self) {
        self.core.tokens.request_refresh();
    }

    /// Refuses new commands, waits for those in flight, for [`shutdown_timeout`](Config::shutdown_timeout) at most, and
    /// ends everything: when it returns, no task of this connection manager's is left.
    ///
    /// What is not answered by then fails as if its connection had been lost. Calling it again, from anywhere, waits
    /// for the same end; whoever gives up on it cuts nothing short for the others.
    pub async fn shutdown(&self) {
        self.core.availability.close();
        // The lock makes a second caller wait until the first is through.
        let mut background = self.background.lock().await;
        // The watch first, so that there are no more nodes after these.
        background.end().await;
        self.core.end_keepers();
        self.keepers.close();
        self.keepers.wait().await;
        let nodes = self.core.nodes();
        let deadline = Instant::now() + self.shutdown_timeout;
        let links = nodes.iter().flat_map(|node| node.pool().all_links());
        let drained = join_all(links.map(async |link| {
            link.retire("shut down");
            let drained = self.core.timers.timeout_at(deadline, link.drained()).await.is_some();
            (drained && !link.has_ended()).then(|| (link.id(), Arc::clone(link.node())))
        }))
        .await;
        // They close with their last owner.
        for node in &nodes {
            node.pool().clear();
        }
        self.connections.close();
        self.connections.wait().await;
        for (link, node) in drained.into_iter().flatten() {
            self.sources.journal.record(Event::LinkDrained { node, link });
        }
        self.publishing.lock().await.end().await;
        self.timers.lock().await.end().await;
    }
}

/// What bounds all nodes together.
struct Limits {
    max_in_flight: usize,
    max_leased: usize,
    options: KeeperOptions,
}

impl Limits {
    fn of(config: &Config) -> Self {
        let options = KeeperOptions {
            auth_timeout: config.auth_timeout,
            ping_after: config.ping_interval,
            ping_timeout: config.command_timeout.clamp(Duration::from_secs(1), Duration::from_secs(5)),
        };
        Self { max_in_flight: config.max_in_flight, max_leased: config.max_leased, options }
    }

    /// What the keepers of all nodes have in common.
    fn shared(self, tokens: Tokens, journal: Journal) -> Shared {
        Shared {
            tokens,
            journal,
            admission: Admission::new(self.max_in_flight),
            availability: Arc::default(),
            pace: DialPace::new(),
            seats: SeatTotal::default(),
            leases: Leases::new(self.max_leased),
            trouble: Arc::default(),
            options: self.options,
        }
    }
}

/// Where commands go, which is waited for if there is a `limit`, and else found in the background.
async fn find(
    discovery: Discovery,
    limit: Option<Duration>,
    shared: &Shared,
    background: &mut Tasks,
) -> Result<Found, Error> {
    let found = discovery.found.clone();
    let Some(limit) = limit else {
        let start = discovery.start_some_time();
        background.extend([tokio::spawn(async move {
            if let Some(watch) = start.await {
                watch.run().await;
            }
        })]);
        return Ok(found);
    };
    match timeout(limit, Box::pin(discovery.start())).await {
        Ok(Ok((routing, watch))) => {
            background.extend(watch.map(|watch| tokio::spawn(watch.run())));
            Ok(Found::known(routing))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(not_started(shared, limit, found.last_error())),
    }
}

/// Why `connect` has not come to an end in time; `last` is why the server has not said what it is.
fn not_started(shared: &Shared, limit: Duration, last: Option<Error>) -> Error {
    let no_start = |what: &str| {
        Error::new(
            ErrorKind::Timeout(Stage::Startup),
            format!("not connected within {limit:?} (`startup_timeout`): {what}"),
        )
    };
    match (shared.journal.last_token_error(), shared.tokens.live()) {
        (Some(error), _) => {
            no_start(&format!("no token yet; the last attempt: {}", error.message())).explained_by(error)
        }
        (None, None) => no_start("the token source has not answered"),
        (None, Some(_)) => match last {
            Some(error) => no_start(&format!("the last attempt: {}", error.message())).with_source(error),
            None => no_start("Redis has not answered"),
        },
    }
}

impl std::fmt::Debug for ConnectionManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionManager")
            .field("ready", &self.ready())
            .field("nodes", &self.core.nodes())
            .finish_non_exhaustive()
    }
}
