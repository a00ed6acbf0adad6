//! How an emulator is started.

use super::{
    Emulator,
    backend::{Backend, Server},
    certs::{Certificates, LOCAL},
    cluster::{Cluster, Embedded, Fronts, Kind, Plan, Servers},
    identity::Identity,
    redis_front::Policy,
    store::Store,
    tokens::Signer,
};
use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The settings of an emulator.
#[derive(Clone, Debug)]
#[must_use]
pub struct EmulatorBuilder {
    token_lifetime: Duration,
    redis: Redis,
    client_certificates: bool,
    policy: Policy,
    replicas: usize,
    node_timeout: Duration,
    full_coverage: bool,
}

#[derive(Clone, Debug)]
enum Redis {
    Embedded,
    Spawned,
    Address(String),
    Cluster(usize),
    EmbeddedCluster(usize),
}

impl Default for EmulatorBuilder {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_secs(3600),
            redis: Redis::Embedded,
            client_certificates: false,
            policy: Policy::Open,
            replicas: 0,
            node_timeout: Duration::from_secs(1),
            full_coverage: false,
        }
    }
}

impl EmulatorBuilder {
    /// How long tokens live, at least; `exp` is in whole seconds, rounded up. Default an hour.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// Starts a `redis-server` from the `PATH` behind the front, instead of the embedded store, for what that does not
    /// have: sorted sets, scripts, `CLIENT TRACKING` and others, which it refuses by name.
    pub fn redis_server(mut self) -> Self {
        self.redis = Redis::Spawned;
        self
    }

    /// Uses the Redis server at this address (host:port, plain TCP) behind the front, instead of the embedded store.
    pub fn redis_address(mut self, address: impl Into<String>) -> Self {
        self.redis = Redis::Address(address.into());
        self
    }

    /// Starts a Redis Cluster of so many primaries, each a `redis-server` from the `PATH` behind a front of its own,
    /// instead of the embedded store; needs Redis 6.2 or newer, built with TLS.
    ///
    /// As in Azure Managed Redis under the OSS cluster policy, [`host`](Emulator::host) and [`port`](Emulator::port)
    /// lead to one of the nodes, the topology names the nodes by IP address and port, and the certificate has a DNS
    /// name alone, for which it is to be verified on all connections. [`Emulator::cluster`] has what can happen to the
    /// nodes.
    pub fn cluster(mut self, primaries: usize) -> Self {
        self.redis = Redis::Cluster(primaries);
        self
    }

    /// As [`cluster`](Self::cluster), of embedded stores: nothing has to be installed, and a hundred nodes fit into one
    /// process. There are no replicas; slots, `MOVED`, `ASK`, `CROSSSLOT` and `CLUSTER SLOTS`, `SHARDS`, `NODES`,
    /// `INFO`, `KEYSLOT` and `COUNTKEYSINSLOT` are as in Redis, messages reach the subscribers of all nodes, and who is
    /// blocked for a key is sent after its slot.
    pub fn embedded_cluster(mut self, nodes: usize) -> Self {
        self.redis = Redis::EmbeddedCluster(nodes);
        self
    }

    /// How many replicas each primary of the [`cluster`](Self::cluster) has. Default none.
    pub fn replicas(mut self, per_primary: usize) -> Self {
        self.replicas = per_primary;
        self
    }

    /// After what time without a sign of life the nodes of a [`cluster`](Self::cluster) take one of them for failed,
    /// and promote a replica of it. Default a second.
    pub fn node_timeout(mut self, timeout: Duration) -> Self {
        self.node_timeout = timeout;
        self
    }

    /// Whether all nodes of a [`cluster`](Self::cluster) answer `CLUSTERDOWN` while some slot is served by nobody,
    /// instead of those that have no node alone. Default no.
    pub fn full_coverage(mut self, required: bool) -> Self {
        self.full_coverage = required;
        self
    }

    /// Refuses what Azure Managed Redis does not have under the OSS cluster policy, with the errors that it has for it:
    /// `READONLY`, `READWRITE`, `ASKING`, those of `CLUSTER` but `SLOTS`, `NODES`, `INFO`, `KEYSLOT` and `HELP`,
    /// `CLIENT REPLY`, `SELECT` of another database than 0, and what else manages a server. Default no.
    pub fn amr_strict(mut self) -> Self {
        self.policy = Policy::AmrOssCluster;
        self
    }

    /// Refuses all of `CLUSTER`, and the rest of what [`amr_strict`](Self::amr_strict) refuses, as Azure Managed Redis
    /// does under the Enterprise policy: to clients it is a single endpoint. Default no.
    pub fn enterprise_policy(mut self) -> Self {
        self.policy = Policy::AmrEnterprise;
        self
    }

    /// Whether clients must present a certificate signed by the emulator's CA. Default no.
    pub fn client_certificates(mut self, required: bool) -> Self {
        self.client_certificates = required;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// If no port can be had; if `redis-server` cannot be run, the error says what to install; if nothing listens at
    /// [`redis_address`](Self::redis_address), it names that; if the nodes do not become a cluster within half a
    /// minute.
    pub async fn start(self) -> io::Result<Emulator> {
        let is_cluster = matches!(self.redis, Redis::Cluster(_) | Redis::EmbeddedCluster(_));
        let certificates = Certificates::generate(if is_cluster { &LOCAL[..1] } else { LOCAL })?;
        let identity_tls = TlsAcceptor::from(Arc::new(certificates.server_config(false)?));
        let front_tls = TlsAcceptor::from(Arc::new(certificates.server_config(self.client_certificates)?));
        let signer = Arc::new(Signer::generate()?);
        let fronts = Fronts { signer: Arc::clone(&signer), acceptor: front_tls, policy: self.policy };
        let (mut server, mut cluster) = (None, None);
        let backend = match self.redis {
            Redis::Embedded => Backend::Store(Store::default()),
            Redis::Address(address) => reachable(address).await?,
            Redis::Spawned => Backend::Address(server.insert(Server::spawn().await?).address()),
            Redis::Cluster(primaries) => {
                let plan = Plan {
                    primaries,
                    replicas: self.replicas,
                    node_timeout: self.node_timeout,
                    full_coverage: self.full_coverage,
                };
                let servers = Servers::start(&plan, &certificates, fronts.clone()).await?;
                cluster.insert(Cluster::new(Kind::Servers(servers))).seed()
            }
            Redis::EmbeddedCluster(nodes) => {
                let embedded = Embedded::start(nodes, fronts.clone()).await?;
                cluster.insert(Cluster::new(Kind::Embedded(embedded))).seed()
            }
        };
        let identity = Identity::new(signer, self.token_lifetime);
        let front = fronts.front(backend);
        let listening = front.listen(0).await?;
        let identity_listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Ok(Emulator {
            identity_address: identity_listener.local_addr()?,
            identity_task: tokio::spawn(identity.clone().serve(identity_listener, identity_tls)).abort_handle(),
            identity,
            front,
            address: listening.address(),
            listening: Mutex::new(Some(listening)),
            certificates,
            server,
            cluster,
        })
    }
}

async fn reachable(address: String) -> io::Result<Backend> {
    let backend = Backend::Address(address.clone());
    let unreachable = |error: io::Error| {
        let text = format!("no Redis server can be reached at `{address}` (host:port): {error}");
        io::Error::new(error.kind(), text)
    };
    backend.connect().await.map_err(unreachable)?;
    Ok(backend)
}
