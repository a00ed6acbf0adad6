//! Where one cell takes place: an emulator, a proxy before the front of each node, and the settings of a client.

use super::cells::{Cell, Topology};
use common::{
    self, Azure, HOUR, SECOND,
    fault::{Behaviour, SLOW, Stage},
    proxy::{Lookup, Proxy},
    server::Certificates,
};
use entra_redis::{
    Config, EntraRedis, Error, NodeEndpoint, RetryPolicy, Tls,
    emulator::{Emulator, IdentityFault, RedisFront},
};
use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

pub const COMMAND_TIMEOUT: Duration = SECOND;

/// Deadlines are kept to some milliseconds, and a caller is woken after its command has ended.
const SLACK: Duration = Duration::from_millis(250);

/// What `connect` may take in all: three token requests of half a second, or a dial and a HELLO of a second each.
pub const STARTUP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long tokens live where a lone link is to outlive them: without a standby, the keeper leaves a fifth of that for
/// the `AUTH`, which is to be enough on a busy machine.
const LONE_LIFETIME: Duration = Duration::from_secs(4);

pub struct Ground {
    pub cell: Cell,
    pub emulator: Azure,
    /// One before each node, by its index; the fault is at the first one.
    proxies: Vec<Proxy>,
    /// Token requests before the fault began.
    requests: AtomicU64,
    /// How late this machine was at worst to wake a task of the client's runtime, in milliseconds.
    lateness: AtomicU64,
}

impl Ground {
    /// On the runtime that this is called on, which is not the client's.
    pub async fn start(cell: Cell, seed: u64) -> Self {
        let lifetime = match cell.rotates() {
            true if cell.is_lone() => LONE_LIFETIME,
            true => 2 * SECOND,
            false => HOUR,
        };
        let builder = Emulator::builder().token_lifetime(lifetime);
        let (builder, nodes) = match cell.topology {
            Topology::SingleEndpoint => (builder, 0),
            Topology::Cluster => (builder.embedded_cluster(cell.topology.nodes()), cell.topology.nodes()),
        };
        let emulator = common::start(builder).await;
        let certificates = Certificates::for_name("localhost");
        let mut fronts: Vec<_> =
            (0..nodes).map(|node| emulator.cluster().unwrap().address(node).unwrap().port()).collect();
        if fronts.is_empty() {
            fronts.push(emulator.port());
        }
        let mut proxies = Vec::new();
        for front in fronts {
            proxies.push(Proxy::start_as(&certificates, front, emulator.ca_pem(), seed).await);
        }
        Self { cell, emulator, proxies, requests: AtomicU64::new(0), lateness: AtomicU64::new(0) }
    }

    /// Through the proxies; a cluster's name leads to it directly, and to its nodes through theirs.
    pub async fn connect(&self) -> Result<EntraRedis, Error> {
        let port = match self.cell.topology {
            Topology::SingleEndpoint => self.proxy().port(),
            Topology::Cluster => self.emulator.port(),
        };
        EntraRedis::connect("localhost", port, self.config()).await
    }

    /// The one where the fault is.
    pub fn proxy(&self) -> &Proxy {
        &self.proxies[0]
    }

    /// Connections to all nodes.
    pub fn connections(&self) -> usize {
        self.proxies.iter().map(Proxy::connections).sum()
    }

    /// The front where the fault is.
    fn front(&self) -> RedisFront {
        match self.cell.topology {
            Topology::SingleEndpoint => self.emulator.redis_front().clone(),
            Topology::Cluster => self.emulator.cluster().unwrap().front(0).unwrap(),
        }
    }

    /// Whether no connection is left, at the proxies and behind them.
    pub fn is_left(&self) -> bool {
        self.connections() == 0 && self.emulator.redis_fronts().iter().all(|front| front.connection_count() == 0)
    }

    /// A hash tag of a slot that the first node has, and one of another node's.
    pub async fn tags(&self) -> (String, String) {
        let slots = self.emulator.nodes().await.unwrap()[0].slots.clone();
        let is_here = |tag: &String| slots.iter().any(|range| range.contains(&common::slot_of(tag)));
        let tag = |here: bool| (0..1000).map(|n| format!("tag {n}")).find(|tag| is_here(tag) == here).unwrap();
        (format!("{{{}}}", tag(true)), format!("{{{}}}", tag(false)))
    }

    /// Leads to whichever proxy has the port; anything else is at its own port.
    fn resolver(&self) -> impl Fn(String, u16) -> Lookup + Send + Sync + use<> {
        let resolvers: Vec<_> = self.proxies.iter().map(|proxy| (proxy.port(), proxy.resolver())).collect();
        move |host, port| match resolvers.iter().find(|(of, _)| *of == port) {
            Some((_, resolve)) => resolve(host, port),
            None => Box::pin(async move { Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]) }),
        }
    }

    /// From the addresses that the topology names to the proxies.
    fn node_address(&self) -> impl Fn(&str, u16) -> NodeEndpoint + Send + Sync + use<> {
        let fronts = self
            .emulator
            .cluster()
            .into_iter()
            .flat_map(|cluster| (0..self.proxies.len()).map(|node| cluster.address(node).unwrap().port()));
        let ports: Vec<_> = fronts.zip(self.proxies.iter().map(Proxy::port)).collect();
        move |_, front| {
            let (_, port) = ports.iter().find(|(of, _)| *of == front).expect("it is a node's");
            NodeEndpoint::new("localhost", *port)
        }
    }

    fn config(&self) -> Config {
        let retries = RetryPolicy::new().delay(Duration::from_millis(50)).max_attempts(3);
        let tokens = common::by_ratio(0.5).token_request_execution_timeout(SECOND / 2).retry_policy(retries);
        self.emulator
            .config()
            .tls(Tls::new().ca_pem(format!("{}{}", self.proxy().ca_pem, self.emulator.ca_pem())))
            .resolver(self.resolver())
            .node_address(self.node_address())
            .token_manager(tokens)
            .pool_size(self.cell.pool())
            .startup_timeout(STARTUP_TIMEOUT)
            .connect_timeout(SECOND)
            .auth_timeout(SECOND)
            .command_timeout(COMMAND_TIMEOUT)
            .ping_interval(SECOND)
            .max_in_flight(64)
    }

    /// Begins the fault.
    pub fn strike(&self) {
        let Cell { stage, behaviour, .. } = self.cell;
        self.requests.store(self.emulator.identity().requests(), SeqCst);
        if stage == Stage::Token {
            self.emulator.identity().fault_all(identity_fault(behaviour));
        } else {
            self.proxy().set(Some((stage, behaviour)));
        }
        if self.cell.cuts() {
            self.front().cut_all();
        }
    }

    pub fn note_lateness(&self, late: Duration) {
        self.lateness.fetch_max(u64::try_from(late.as_millis()).unwrap_or(u64::MAX), SeqCst);
    }

    /// By when a command must have ended, as its caller sees it on a machine that was as late as this one.
    pub fn latest(&self) -> Duration {
        COMMAND_TIMEOUT + self.slack()
    }

    /// The same for a command to a node without the fault: it waits for nothing.
    pub fn latest_elsewhere(&self) -> Duration {
        COMMAND_TIMEOUT / 2 + self.slack()
    }

    fn slack(&self) -> Duration {
        SLACK + 2 * Duration::from_millis(self.lateness.load(SeqCst))
    }

    /// Whether somebody has come to the stage since the fault began.
    pub fn has_struck(&self) -> bool {
        if self.cell.stage == Stage::Token {
            self.emulator.identity().requests() > self.requests.load(SeqCst)
        } else {
            self.proxy().struck() > 0
        }
    }

    /// Ends the fault; connections that it has broken stay broken.
    pub fn heal(&self) {
        self.emulator.identity().fault_all(None);
        self.proxy().set(None);
    }
}

fn identity_fault(behaviour: Behaviour) -> Option<IdentityFault> {
    Some(match behaviour {
        Behaviour::Ok => return None,
        Behaviour::Error => IdentityFault::Status(500),
        Behaviour::Slow => IdentityFault::Slow(SLOW),
        Behaviour::Never | Behaviour::HalfOpen => IdentityFault::Hang,
        Behaviour::Reset => IdentityFault::Reset,
        Behaviour::Garbage => IdentityFault::Html,
        Behaviour::Truncated => {
            IdentityFault::Body { status: 200, body: r#"{"token_type":"Bearer","expires_in":"#.to_owned() }
        }
    })
}
