//! What a user sets.

mod checks;
mod limits;
mod place;
mod times;

use super::target::Destination;
use crate::{
    admission::Overload,
    cluster::{
        discovery::{Startup, Topology},
        endpoint::{NodeEndpoint, NodeMap},
    },
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
    /// None if the program has not set it; so with the protocol.
    pub(super) tls: Option<Tls>,
    pub(super) protocol: Option<ProtocolVersion>,
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
    /// The error of `connect` if settings that were read from a file are wrong.
    pub(crate) problem: Option<Error>,
    /// Where `EntraRedis::open` connects to.
    pub(crate) destination: Destination,
    /// Whether a variable may name the certificate authorities to trust.
    trusts_environment: bool,
}

impl Config {
    /// The defaults named at each setter, with this credential.
    pub fn new(credential: Credential) -> Self {
        Self {
            credential,
            username: None,
            token_manager: TokenManagerConfig::default(),
            tls: None,
            protocol: None,
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
            destination: Destination::Unsaid,
            trusts_environment: false,
        }
    }

    /// Who connects.
    pub fn credential(mut self, credential: Credential) -> Self {
        self.credential = credential;
        self
    }

    pub(super) fn wire_protocol(&self) -> ProtocolVersion {
        self.protocol.unwrap_or(ProtocolVersion::RESP3)
    }

    /// What `CLIENT LIST` on the server shows as the name of each connection; default none. It is set with
    /// `CLIENT SETNAME`; a user who may not use that connects all the same.
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// The Redis user name; default the token's `oid` claim, the object id of the principal.
    ///
    /// One that has not the form of an object id is used, and shown nowhere: it may be an access key in the wrong
    /// place.
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
        self.tls = Some(tls);
        self
    }

    /// The protocol on the wire; default RESP3.
    pub fn protocol(mut self, protocol: ProtocolVersion) -> Self {
        self.protocol = Some(protocol);
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

    /// Where the nodes of a cluster are dialled: `map` is given the host and the port that the topology names, which
    /// are dialled by default.
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

    /// Whether `connect` waits until the first connection is up; default [`Startup::Wait`]. With [`Startup::Lazy`] a
    /// service starts before its cache does, or while the identity provider is down.
    pub fn startup(mut self, startup: Startup) -> Self {
        self.startup = startup;
        self
    }

    /// Whether a command that only reads (`GET`, `MGET`, `HGETALL`, …) is sent once more, within its deadline, when its
    /// connection breaks before the reply has come; default no.
    pub fn retry_reads(mut self, retry: bool) -> Self {
        self.retry_reads = retry;
        self
    }

    /// Looks up the addresses of the cache, for every connection again; default the operating system's resolver.
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
}

#[cfg(test)]
mod tests;
