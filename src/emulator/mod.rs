//! A local Microsoft Entra ID, Instance Metadata Service and Azure Managed Redis, for examples, benches and tests.
//!
//! Its identity gives out tokens in all the ways that Azure does: to a secret, to a certificate's assertions, to
//! federated ones, and at the endpoints for managed identities of virtual machines, App Service, Service Fabric, Azure
//! Arc, Azure ML and Cloud Shell. What is wrong with a request is answered with the body that the documentation has for
//! it.
//!
//! Tokens are real JWTs, signed and checked; TLS is real, with a CA made on the spot; a connection whose token expires
//! is cut, as in Azure. Everything listens on loopback ports of the operating system's choosing and ends with the
//! [`Emulator`]. What can be scripted to go wrong: [`IdentityFault`], [`AuthFault`], [`FrontConnection`].
//!
//! A cluster of redis-servers, or of embedded stores, is started by [`EmulatorBuilder::cluster`] and
//! [`EmulatorBuilder::embedded_cluster`]; what can happen to its nodes are methods of [`Cluster`].
//!
//! ```
//! use entra_redis::{EntraRedis, emulator::Emulator};
//! use std::time::Duration;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = Emulator::builder().token_lifetime(Duration::from_secs(2)).start().await?;
//! let redis = EntraRedis::open(emulator.config()).await?;
//! # Ok(())
//! # }
//! ```

mod aadsts;
mod accept;
mod access;
mod answers;
mod backend;
mod builder;
mod certs;
mod cluster;
mod expires_on;
mod faults;
mod hello;
mod identity;
mod inline;
#[cfg(feature = "bench-api")]
pub(crate) mod parsers;
mod ports;
mod redis_front;
mod resp;
mod slots;
mod store;
mod tokens;

use crate::lock::lock;
use backend::Server;
use certs::Certificates;
use redis_front::Listening;
use std::{fmt, io, net::SocketAddr, sync::Mutex};
use tokio::task::AbortHandle;

pub use builder::EmulatorBuilder;
pub use cluster::{Cluster, ClusterNode, Migration, NodeRole};
pub use expires_on::ExpiresOn;
pub use faults::{AuthFault, IdentityFault};
pub use identity::Identity;
pub use redis_front::{FrontConnection, FrontStats, RedisFront};
pub use tokens::TokenClaims;

/// A running emulator; it ends, with its connections and its server, when dropped.
pub struct Emulator {
    identity: Identity,
    identity_address: SocketAddr,
    front: RedisFront,
    address: SocketAddr,
    listening: Mutex<Option<Listening>>,
    certificates: Certificates,
    server: Option<Server>,
    cluster: Option<Cluster>,
    identity_task: AbortHandle,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.identity_task.abort();
        if let Some(cluster) = &self.cluster {
            cluster.end();
        }
    }
}

impl Emulator {
    /// An emulator to be started: tokens of an hour, the embedded store.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::default()
    }

    /// The host name of the front, for which its certificate is valid.
    #[must_use]
    pub fn host(&self) -> &'static str {
        "localhost"
    }

    /// The port of the front.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The CA certificate, in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.certificates.ca_pem
    }

    /// A client certificate signed by the CA, and its key, in PEM.
    #[must_use]
    pub fn client_identity_pem(&self) -> (String, String) {
        let client = &self.certificates.client;
        (client.cert_pem.clone(), client.key_pem.clone())
    }

    /// The identity provider: its counters and its faults.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The front of Redis: its connections, counters and faults. Those of a cluster's nodes have
    /// [fronts](Cluster::front) of their own.
    #[must_use]
    pub fn redis_front(&self) -> &RedisFront {
        &self.front
    }

    /// All fronts: [that](Self::redis_front) of [`port`](Self::port), then those of a cluster's nodes by their index.
    #[must_use]
    pub fn redis_fronts(&self) -> Vec<RedisFront> {
        let nodes = self.cluster.as_ref().map(Cluster::fronts).unwrap_or_default();
        std::iter::once(self.front.clone()).chain(nodes).collect()
    }

    /// Closes [`port`](Self::port), and the connections that came by it, for good. The nodes of a cluster have ports of
    /// their own, which stay.
    pub fn stop_listening(&self) {
        *lock(&self.listening) = None;
    }

    /// The cluster of [`EmulatorBuilder::cluster`]: its nodes, and what can happen to them.
    ///
    /// # Errors
    ///
    /// If the emulator was started without one.
    pub fn cluster(&self) -> io::Result<&Cluster> {
        self.cluster.as_ref().ok_or_else(|| io::Error::other("the emulator has not started a cluster"))
    }

    /// The nodes of the [`cluster`](Self::cluster), by their index.
    ///
    /// # Errors
    ///
    /// If there is no cluster, or its nodes do not agree on what it is.
    pub async fn nodes(&self) -> io::Result<Vec<ClusterNode>> {
        self.cluster()?.nodes().await
    }

    /// The environment variables with which clients in any language find it; the CA is in [`ca_pem`](Self::ca_pem),
    /// for a file that `REDIS_CA_CERT` names.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_AUTHORITY_HOST", self.authority_host()),
            ("AZURE_TENANT_ID", self.tenant_id().to_owned()),
            ("AZURE_CLIENT_ID", self.client_id().to_owned()),
            ("AZURE_CLIENT_SECRET", self.client_secret().to_owned()),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.imds_host()),
            ("REDIS_HOST", self.host().to_owned()),
            ("REDIS_PORT", self.port().to_string()),
        ]
    }

    /// The process id of the redis-server that was started with [`EmulatorBuilder::redis_server`].
    #[must_use]
    pub fn redis_pid(&self) -> Option<u32> {
        self.server.as_ref().and_then(Server::pid)
    }

    /// Kills that redis-server as a crash would, and starts it again, empty, on the same port.
    ///
    /// # Errors
    ///
    /// If there is none, or it does not start.
    pub async fn restart_redis(&mut self) -> io::Result<()> {
        match &mut self.server {
            Some(server) => server.restart().await,
            None => Err(io::Error::other("the emulator has not started a redis-server")),
        }
    }
}

impl fmt::Debug for Emulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emulator")
            .field("authority_host", &self.authority_host())
            .field("port", &self.port())
            .finish_non_exhaustive()
    }
}
