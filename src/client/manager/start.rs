//! From the settings to the first link.

use super::{ConnectionManager, Tasks};
use crate::{
    admission::Admission,
    client::{
        config::Config,
        pubsub::PubSubs,
        snapshot::Sources,
        target::{checked_host, checked_port, variable},
    },
    cluster::{
        address::NodeAddress,
        discovery::{Discovery, Startup, Topology},
        routing::Found,
    },
    error::{Error, ErrorKind, Stage},
    exec::{core::Core, iteration::SignedCursors},
    link::Setup,
    observe::{
        journal::Journal,
        metrics::{self, Operations},
    },
    pool::{DialPace, KeeperOptions, Leases, SeatTotal, Shared},
    timer::Timers,
    token::{TokenActor, TokenSource, Tokens},
    transport::{dialer::Dialer, tls::Transport},
};
use std::{fmt::Display, sync::Arc, thread, time::Duration};
use tokio::{
    runtime::Handle,
    sync::{Mutex, oneshot},
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;

impl ConnectionManager {
    pub(crate) async fn connect(host: &str, port: u16, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let limit = Limit { of: config.startup_timeout, ends: Instant::now() + config.startup_timeout };
        let (timers, guard) = Timers::of(Handle::try_current().map_err(|source| {
            Error::new(ErrorKind::Configuration, "`EntraRedis::connect` needs a tokio runtime").with_source(source)
        })?);
        let (host, port) = (checked_host(host)?, checked_port(port)?);
        let (transport, source) = read_files(host, &config, limit).await?;
        let (keepers, connections) = (TaskTracker::new(), TaskTracker::new());
        let address = NodeAddress::new(host, port);
        let journal = Journal::new(&address.to_string());
        let (username, tokens) = (config.username.clone(), config.token_manager.clone());
        let (actor, tokens) = TokenActor::new(source, tokens, username, journal.clone());
        // Whatever ends this function early drops these, and with them the tasks.
        let mut background = Tasks::new([tokio::spawn(actor.run())]);
        let timers_end = Tasks::new([tokio::spawn(guard.hold())]);
        let shared = shared(&config, tokens, journal);
        let events = shared.journal.subscribe();
        let dialer = dialer(host, port, &config, transport);
        let setup = setup(&config, dialer, &address, shared.journal.name(), &connections);
        let discovery = discovery(&config, setup, &shared, &keepers);
        let limit = match config.startup {
            Startup::Wait => Some(limit),
            Startup::Lazy => None,
        };
        let routing = find(discovery, limit, &shared, &mut background).await?;
        let sources = sources(&shared, &routing);
        let (shown, name) = (sources.clone(), shared.journal.name());
        let endpoint = (address.host(), address.port());
        let (operations, publishing) = metrics::start(endpoint, name, move || shown.stats(), events);
        Ok(Self {
            #[cfg(feature = "near-cache")]
            protocol: config.wire_protocol(),
            shutdown_timeout: config.shutdown_timeout,
            pubsub: PubSubs::new(config.pubsub_buffer),
            core: core(&config, shared, routing, timers, operations),
            sources,
            background: Mutex::new(background),
            keepers,
            connections,
            publishing: Mutex::new(Tasks::new(publishing)),
            timers: Mutex::new(timers_end),
        })
    }
}

/// Until when `connect` must be through.
#[derive(Clone, Copy)]
struct Limit {
    /// `startup_timeout`, which errors name.
    of: Duration,
    ends: Instant,
}

impl Limit {
    fn passed(self, what: &str) -> Error {
        let text = format!("not connected within {:?} (`startup_timeout`): {what}", self.of);
        Error::new(ErrorKind::Timeout(Stage::Startup), text)
    }
}

/// What the settings make of TLS and of the credential, with all that their files hold.
async fn read_files(host: &str, config: &Config, limit: Limit) -> Result<(Transport, Arc<dyn TokenSource>), Error> {
    let (host, tls, credential) = (host.to_owned(), config.transport_security(variable), config.credential.clone());
    // Not here: a pipe, and a file of a mount that is gone, hold up whoever reads them for as long as they like. And in
    // no thread of the runtime's, whose end would wait for it: a program that fails to connect could not end.
    let (told, reading) = oneshot::channel();
    let runtime = Handle::current();
    let read = move || {
        let _entered = runtime.enter();
        let read = tls.build(&host).and_then(|transport| Ok((transport, credential.token_source()?)));
        // If nobody waits any more, nobody needs it.
        _ = told.send(read);
    };
    let could_not = |source: &dyn Display| {
        let what = format!("the files that the settings name could not be read: {source}");
        Error::new(ErrorKind::Configuration, what)
    };
    thread::Builder::new().name("entra-redis-files".to_owned()).spawn(read).map_err(|error| could_not(&error))?;
    match timeout_at(limit.ends, reading).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => Err(could_not(&"the thread that reads them has ended")),
        Err(_) => Err(limit.passed("a file that the settings name, of a certificate or a key, has not been read")),
    }
}

fn dialer(host: &str, port: u16, config: &Config, transport: Transport) -> Dialer {
    Dialer {
        host: host.to_owned(),
        port,
        resolver: config.resolver.clone(),
        transport,
        connect_timeout: config.connect_timeout,
        hint: None,
        misconfigured: None,
    }
}

/// How links are opened; those of a cluster's nodes as that of the node that `connect` names.
fn setup(config: &Config, dialer: Dialer, address: &NodeAddress, pool: Arc<str>, connections: &TaskTracker) -> Setup {
    Setup {
        dialer,
        is_one_of_several: false,
        client_name: config.client_name.as_deref().map(Into::into),
        node: address.to_string().into(),
        pool,
        protocol: config.wire_protocol(),
        auth_timeout: config.auth_timeout,
        command_timeout: config.command_timeout,
        links_opened: Arc::default(),
        asks_for_slots: Arc::new((config.topology != Topology::SingleEndpoint).into()),
        tasks: connections.clone(),
        multi: Arc::default(),
    }
}

/// What the keepers of all nodes have in common, and what bounds all nodes together.
fn shared(config: &Config, tokens: Tokens, journal: Journal) -> Shared {
    Shared {
        tokens,
        journal,
        admission: Admission::new(config.max_in_flight),
        availability: Arc::default(),
        pace: DialPace::new(),
        seats: SeatTotal::default(),
        leases: Leases::new(config.max_leased),
        trouble: Arc::default(),
        options: KeeperOptions {
            auth_timeout: config.auth_timeout,
            ping_after: config.ping_interval,
            ping_timeout: config.command_timeout.clamp(Duration::from_secs(1), Duration::from_secs(5)),
        },
    }
}

fn discovery(config: &Config, setup: Setup, shared: &Shared, keepers: &TaskTracker) -> Discovery {
    Discovery {
        topology: config.topology,
        setup,
        shared: shared.clone(),
        keepers: keepers.clone(),
        pool_size: config.pool_size,
        node_map: config.node_map.clone(),
        refresh_interval: config.topology_refresh_interval,
        found: Found::default(),
    }
}

/// Those who report what the connection manager shows of itself.
fn sources(shared: &Shared, routing: &Found) -> Sources {
    Sources {
        journal: shared.journal.clone(),
        tokens: shared.tokens.clone(),
        admission: Arc::clone(&shared.admission),
        availability: Arc::clone(&shared.availability),
        routing: routing.clone(),
        caches: Arc::default(),
    }
}

/// What calls need.
fn core(config: &Config, shared: Shared, routing: Found, timers: Timers, operations: Operations) -> Core {
    let Shared { tokens, admission, availability, leases, .. } = shared;
    Core {
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
    }
}

/// Where commands go, which is waited for if there is a `limit`, and else found in the background.
async fn find(
    discovery: Discovery,
    limit: Option<Limit>,
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
    match timeout_at(limit.ends, Box::pin(discovery.start())).await {
        Ok(Ok((routing, watch))) => {
            background.extend(watch.map(|watch| tokio::spawn(watch.run())));
            Ok(Found::known(routing))
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(not_started(shared, limit, found.last_error())),
    }
}

/// Why `connect` has not come to an end in time; `last` is why the server has not said what it is.
fn not_started(shared: &Shared, limit: Limit, last: Option<Error>) -> Error {
    match (shared.journal.last_token_error(), shared.tokens.live()) {
        (Some(error), _) => {
            limit.passed(&format!("no token yet; the last attempt: {}", error.message())).explained_by(error)
        }
        (None, None) => limit.passed("the token source has not answered"),
        (None, Some(_)) => match last {
            Some(error) => limit.passed(&format!("the last attempt: {}", error.message())).with_source(error),
            None => limit.passed("Redis has not answered"),
        },
    }
}
