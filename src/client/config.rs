//! What a user sets.

use super::target::Target;
use crate::{
    admission::Overload,
    cluster::{
        discovery::{Startup, Topology},
        endpoint::{NodeEndpoint, NodeMap},
    },
    config_check,
    credential::Credential,
    error::Error,
    ids::UserName,
    token::TokenManagerConfig,
    transport::{resolve::Resolver, tls::Tls},
};
use redis::ProtocolVersion;
use std::{io, net::SocketAddr, time::Duration};

/// How to connect: the credential, and settings with sensible defaults.
///
/// Setters consume and return it; nothing is checked before `connect`, which names the setting that is wrong.
///
/// ```
/// use entra_redis::{Config, Credential, Tls, TokenManagerConfig};
/// use std::time::Duration;
///
/// let config = Config::new(Credential::service_principal("client-id", "client-secret", "tenant-id"))
///     .tls(Tls::new().ca_file("./redis_ca.pem"))
///     .token_manager(TokenManagerConfig::new().expiration_refresh_ratio(0.9))
///     .command_timeout(Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    pub(crate) credential: Credential,
    pub(crate) username: Option<UserName>,
    pub(crate) token_manager: TokenManagerConfig,
    pub(crate) tls: Tls,
    pub(crate) protocol: ProtocolVersion,
    pub(crate) topology: Topology,
    pub(crate) topology_refresh_interval: Duration,
    pub(crate) node_map: NodeMap,
    pub(crate) pool_size: Option<usize>,
    pub(crate) startup: Startup,
    pub(crate) startup_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) auth_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) shutdown_timeout: Option<Duration>,
    pub(crate) ping_interval: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) overload: Overload,
    pub(crate) max_leased: usize,
    pub(crate) pubsub_buffer: usize,
    pub(crate) retry_reads: bool,
    pub(crate) resolver: Resolver,
    pub(crate) client_name: Option<String>,
    /// What `connect` says of settings that were read from a file.
    pub(crate) problem: Option<Error>,
    /// Where `EntraRedis::open` connects to.
    pub(crate) target: Option<Target>,
}

/// More links than this in one process are a mistake: Azure's largest caches take fewer connections per client.
const LARGEST_POOL: usize = 10_000;

/// Each client of a cluster asks as often.
const SHORTEST_REFRESH_INTERVAL: Duration = Duration::from_secs(1);

impl Config {
    /// The defaults named at each setter, with this credential.
    pub fn new(credential: Credential) -> Self {
        Self {
            credential,
            username: None,
            token_manager: TokenManagerConfig::default(),
            tls: Tls::default(),
            protocol: ProtocolVersion::RESP3,
            topology: Topology::Auto,
            topology_refresh_interval: Duration::from_secs(30),
            node_map: NodeMap::default(),
            pool_size: None,
            startup: Startup::Wait,
            startup_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            auth_timeout: Duration::from_secs(15),
            command_timeout: Duration::from_secs(5),
            shutdown_timeout: None,
            ping_interval: Duration::from_secs(60),
            max_in_flight: 65_536,
            overload: Overload::Refuse,
            max_leased: 256,
            pubsub_buffer: 16_384,
            retry_reads: false,
            resolver: Resolver::default(),
            client_name: None,
            problem: None,
            target: None,
        }
    }

    /// The defaults, with [`Credential::from_env`].
    ///
    /// # Errors
    ///
    /// Those of [`Credential::from_env`].
    pub fn from_env() -> Result<Self, Error> {
        Credential::from_env().map(Self::new)
    }

    /// The defaults with [`Credential::from_env`], for [`EntraRedis::open`](crate::EntraRedis::open):
    /// `rediss://[user@]host[:port][/0][?protocol=resp2]`. Without a port, it is 10000, that of Azure Managed Redis; with a
    /// name of Azure Cache for Redis, 6380. [`credential`](Self::credential) sets another credential.
    ///
    /// ```
    /// use entra_redis::{Config, Credential};
    ///
    /// # fn run() -> Result<Config, entra_redis::Error> {
    /// let config = Config::from_url("rediss://cache.westeurope.redis.azure.net:10000")?.credential(Credential::azure_cli());
    /// # Ok(config)
    /// # }
    /// # run().unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`Configuration`](crate::ErrorKind::Configuration) if it is no such URL; if it holds a password, which is not
    /// used: Microsoft Entra ID authenticates with tokens; if it begins with `redis://`, which is without TLS; if it names a
    /// database other than 0. No error quotes the URL. Those of [`Credential::from_env`] come from `open`.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let target = Target::of_url("url", url)?;
        Ok(Self::new(Credential::from_env_later()).at(target))
    }

    /// Where [`EntraRedis::open`](crate::EntraRedis::open) connects to; default what [`from_url`](Self::from_url) was given.
    pub fn endpoint(mut self, host: impl Into<String>, port: u16) -> Self {
        self.target = Some(Target::new(host.into(), port));
        self
    }

    /// Who connects.
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    pub(super) fn at(mut self, target: Target) -> Self {
        self.username = target.username.clone().or(self.username);
        self.protocol = target.protocol.unwrap_or(self.protocol);
        self.target = Some(target);
        self
    }

    /// What `CLIENT LIST` on the server shows as the name of each connection; default none. It is set with
    /// `CLIENT SETNAME`; a user who may not use that connects all the same.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// The Redis user name; default the token's `oid` claim, the object id of the principal.
    ///
    /// One that has not the form of an object id is used, and shown nowhere: it may be an access key in the wrong place.
    pub fn username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(UserName::new(name.into()));
        self
    }

    /// When and how tokens are renewed; default [`TokenManagerConfig::new`].
    pub fn token_manager(mut self, config: TokenManagerConfig) -> Self {
        self.token_manager = config;
        self
    }

    /// How connections are encrypted and verified; default the operating system's trust roots.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// The protocol on the wire; default RESP3.
    pub fn protocol(mut self, protocol: ProtocolVersion) -> Self {
        self.protocol = protocol;
        self
    }

    /// Whether the cache is a cluster; by default the server is asked.
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = topology;
        self
    }

    /// How often a cluster is asked which node has which keys, without any sign that this has changed; from 1 s,
    /// default 30 s, a tenth more or less at random. Signs are acted on at once: redirects, lost connections, slots
    /// without a node.
    pub fn topology_refresh_interval(mut self, interval: Duration) -> Self {
        self.topology_refresh_interval = interval;
        self
    }

    /// Where the nodes of a cluster are dialled, by the host and port that the topology calls them; default there.
    ///
    /// For port forwarding and the like. Certificates of nodes are verified by the name that `connect` was given (Azure
    /// names IP addresses, and issues certificates for DNS names), unless this gives another one.
    ///
    /// ```
    /// # use entra_redis::{Config, Credential, NodeEndpoint};
    /// # let config = Config::new(Credential::azure_developer_cli());
    /// // Through a tunnel that forwards every node's port on this machine.
    /// let config = config.node_address(|_host, port| NodeEndpoint::new("127.0.0.1", port));
    /// ```
    pub fn node_address(mut self, map: impl Fn(&str, u16) -> NodeEndpoint + Send + Sync + 'static) -> Self {
        self.node_map = NodeMap::new(map);
        self
    }

    /// How many connections are kept, in a cluster to each node; 1 to 10,000, default 4, and in a cluster 2.
    ///
    /// All commands share them. More than one lets traffic go around a connection whose `AUTH` is being validated or
    /// that is being replaced; with one, a second connection is opened for those moments.
    pub fn pool_size(mut self, links: usize) -> Self {
        self.pool_size = Some(links);
        self
    }

    /// Whether `connect` waits until the first connection is up; default [`Startup::Wait`]. With [`Startup::Lazy`] a service
    /// starts before its cache does, or while the identity provider is down.
    pub fn startup(mut self, startup: Startup) -> Self {
        self.startup = startup;
        self
    }

    /// How long `connect` may take in all; default 30 s.
    pub fn startup_timeout(mut self, timeout: Duration) -> Self {
        self.startup_timeout = timeout;
        self
    }

    /// How long DNS, TCP and TLS may take for one connection; default 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long Redis may take to answer `AUTH`; default 15 s, as the service may validate a token for 10 s.
    pub fn auth_timeout(mut self, timeout: Duration) -> Self {
        self.auth_timeout = timeout;
        self
    }

    /// How long a command may take, from the call to its reply, waiting for a connection included; default 5 s.
    ///
    /// The time is kept on the runtime that called `connect`, wherever the command is polled: on another runtime, on
    /// one without timers, or by any other executor. While nobody drives that runtime, nothing ends; once it has ended,
    /// commands fail as after `shutdown`.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// How long `shutdown` waits for the commands in flight; default the command timeout, which none of them outlasts.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// How long a connection may be silent before it is checked with a `PING`; default 60 s. Azure closes connections
    /// that are idle for 10 minutes.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// How many commands may be without an answer, over all connections, a pipeline counting as one; at least 1,
    /// default 65,536.
    ///
    /// It bounds what a server which does not keep up can cost: so many times the size of your commands. What happens
    /// to one command more is said by [`overload`](Self::overload).
    pub fn max_in_flight(mut self, commands: usize) -> Self {
        self.max_in_flight = commands;
        self
    }

    /// Whether a command beyond [`max_in_flight`](Self::max_in_flight) fails at once or waits; default
    /// [`Overload::Refuse`].
    pub fn overload(mut self, overload: Overload) -> Self {
        self.overload = overload;
        self
    }

    /// How many connections there may be, over all nodes, that one user at a time has alone; at least 1, default 256.
    ///
    /// Each command that blocks takes one for as long as it blocks, and so does each [`Dedicated`](crate::Dedicated) and
    /// each transaction of [`EntraRedis::transaction`](crate::EntraRedis::transaction). They are opened when they are needed, in addition to
    /// [`pool_size`](Self::pool_size), used again, and closed after a minute without a user. Who finds all of them in
    /// use waits for one, for the command timeout at most.
    pub fn max_leased(mut self, connections: usize) -> Self {
        self.max_leased = connections;
        self
    }

    /// How many messages may wait for one consumer of [`pubsub`](crate::EntraRedis::pubsub); at least 1, default
    /// 16,384.
    ///
    /// A consumer that does not take them holds up nobody: what comes beyond that is dropped, and it is told of the
    /// gap, and how many messages it has missed, in their place.
    pub fn pubsub_buffer(mut self, messages: usize) -> Self {
        self.pubsub_buffer = messages;
        self
    }

    /// Whether a command that only reads (`GET`, `MGET`, `HGETALL`, …) is sent once more, within its deadline, when its
    /// connection breaks before the reply has come; default no.
    pub fn retry_reads(mut self, retry: bool) -> Self {
        self.retry_reads = retry;
        self
    }

    /// Looks up the addresses of the cache, anew for every connection; default the operating system's resolver.
    ///
    /// It is given the host and the port; connections go to the ports of the addresses that it returns, in their order.
    /// TLS verifies the configured host name all the same. Nodes that a cluster names by IP addresses are not looked
    /// up: see [`node_address`](Self::node_address).
    pub fn resolver<F, R>(mut self, resolver: F) -> Self
    where
        F: Fn(String, u16) -> R + Send + Sync + 'static,
        R: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        self.resolver = Resolver::custom(resolver);
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        if self.pool_size.is_some_and(|links| links == 0 || links > LARGEST_POOL) {
            return Err(Error::config("pool_size", "must be between 1 and 10000"));
        }
        if self.username.as_ref().is_some_and(UserName::is_blank) {
            return Err(Error::config("username", "is empty"));
        }
        if self.client_name.as_ref().is_some_and(|name| name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(Error::config("client_name", "must be of visible ASCII characters, without spaces"));
        }
        if self.max_leased == 0 {
            return Err(Error::config("max_leased", "must be at least 1"));
        }
        if self.pubsub_buffer == 0 {
            return Err(Error::config("pubsub_buffer", "must be at least 1"));
        }
        if self.max_in_flight == 0 {
            return Err(Error::config("max_in_flight", "must be at least 1"));
        }
        if self.topology_refresh_interval < SHORTEST_REFRESH_INTERVAL {
            return Err(Error::config("topology_refresh_interval", "must be at least 1 s"));
        }
        for (setting, value) in [
            ("topology_refresh_interval", self.topology_refresh_interval),
            ("startup_timeout", self.startup_timeout),
            ("connect_timeout", self.connect_timeout),
            ("auth_timeout", self.auth_timeout),
            ("command_timeout", self.command_timeout),
            ("shutdown_timeout", self.shutdown_timeout.unwrap_or(self.command_timeout)),
            ("ping_interval", self.ping_interval),
        ] {
            config_check::positive(setting, value)?;
        }
        self.token_manager.validate()
    }
}

/// The host name as it is resolved: without the brackets of an IPv6 address.
pub(crate) fn checked_host(host: &str) -> Result<&str, Error> {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').unwrap_or(""),
        None => host,
    };
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare);
    }
    if bare.is_empty() {
        return Err(Error::config("host", "is empty"));
    }
    let label = |label: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        (1..=63).contains(&label.len()) && label.chars().all(known)
    };
    let name = bare.strip_suffix('.').unwrap_or(bare);
    if name.len() > 253 || !name.split('.').all(label) {
        let problem = "must be a DNS name or an IP address alone, without scheme, port or path";
        return Err(Error::config("host", problem));
    }
    Ok(bare)
}

pub(crate) fn checked_port(port: u16) -> Result<u16, Error> {
    if port == 0 {
        return Err(Error::config("port", "must not be 0 (Azure Managed Redis listens on 10000)"));
    }
    Ok(port)
}

#[cfg(test)]
mod tests;
