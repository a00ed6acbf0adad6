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
        discovery::{Discovery, Startup, Topology},
        routing::Found,
    },
    error::{Error, ErrorKind, Stage},
    exec::{core::Core, iteration::SignedCursors},
    link::Setup,
    observe::{journal::Journal, metrics},
    pool::{DialPace, KeeperOptions, Leases, SeatTotal, Shared},
    timer::Timers,
    token::{TokenActor, Tokens},
    transport::dialer::Dialer,
};
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::Mutex, time::timeout};
use tokio_util::task::TaskTracker;

impl ConnectionManager {
    pub(crate) async fn connect(host: &str, port: u16, config: Config) -> Result<Self, Error> {
        config.validate()?;
        let limits = Limits::of(&config);
        let (timers, guard) = Timers::of(Handle::try_current().map_err(|source| {
            Error::new(ErrorKind::Configuration, "`EntraRedis::connect` needs a tokio runtime").with_source(source)
        })?);
        let host = checked_host(host)?;
        let transport = config.transport_security(variable).build(host)?;
        let protocol = config.wire_protocol();
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
            protocol,
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
        let mut background = Tasks::new([tokio::spawn(actor.run())]);
        let timers_end = Tasks::new([tokio::spawn(guard.hold())]);
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
            protocol,
            shutdown_timeout: config.shutdown_timeout.unwrap_or(config.command_timeout),
            background: Mutex::new(background),
            keepers,
            connections,
            pubsub: PubSubs::new(config.pubsub_buffer),
            publishing: Mutex::new(Tasks::new(publishing)),
            timers: Mutex::new(timers_end),
        })
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
