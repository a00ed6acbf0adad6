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
//! let redis = EntraRedis::connect(emulator.host(), emulator.port(), emulator.config()).await?;
//! # Ok(())
//! # }
//! ```

mod aadsts;
mod accept;
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
mod redis_front;
mod resp;
mod slots;
mod store;
mod tokens;

use crate::{
    client::Config,
    credential::{Credential, ManagedIdentity},
    error::Error,
    lock::lock,
    transport::tls::Tls,
};
use backend::Server;
use certs::Certificates;
use redis_front::Listening;
use std::{fmt, io, net::SocketAddr, path::PathBuf, sync::Mutex, time::Duration};
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

    /// A [`Config`] with which `connect` works: the service principal, and the CA of the front's certificate.
    pub fn config(&self) -> Config {
        Config::new(self.credential()).tls(self.tls())
    }

    /// As [`config`](Self::config), with the system-assigned managed identity.
    pub fn managed_identity_config(&self) -> Config {
        let credential = Credential::managed_identity(ManagedIdentity::SystemAssigned).imds_host(self.imds_host());
        Config::new(credential).tls(self.tls())
    }

    /// The service principal that the token endpoint knows.
    pub fn credential(&self) -> Credential {
        Credential::service_principal(self.client_id(), self.client_secret(), self.tenant_id())
            .authority_host(self.authority_host())
    }

    /// TLS settings that trust the front's certificate.
    pub fn tls(&self) -> Tls {
        Tls::new().ca_pem(self.ca_pem())
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

    /// The URL of the token endpoint's host. The same port speaks https, too, for clients that insist on it; the
    /// certificate is for `localhost` and signed by [`ca_pem`](Self::ca_pem).
    #[must_use]
    pub fn authority_host(&self) -> String {
        format!("http://{}", self.identity_address)
    }

    /// The URL of the same host over https, under the name of its certificate.
    ///
    /// Service Fabric's endpoint, `/msi/token`, is served under this one only.
    #[must_use]
    pub fn https_identity_host(&self) -> String {
        format!("https://localhost:{}", self.identity_address.port())
    }

    /// The SHA-1 thumbprint, in hex, of the certificate of that host: `IDENTITY_SERVER_THUMBPRINT` in Service Fabric.
    #[must_use]
    pub fn identity_thumbprint(&self) -> String {
        self.certificates.server.thumbprint()
    }

    /// The URL of the Instance Metadata Service.
    #[must_use]
    pub fn imds_host(&self) -> String {
        self.authority_host()
    }

    /// The tenant that the token endpoint knows.
    #[must_use]
    pub fn tenant_id(&self) -> &'static str {
        tokens::TENANT_ID
    }

    /// The application (client) id of the service principal.
    #[must_use]
    pub fn client_id(&self) -> &'static str {
        tokens::CLIENT_ID
    }

    /// The secret of the service principal.
    #[must_use]
    pub fn client_secret(&self) -> &'static str {
        tokens::CLIENT_SECRET
    }

    /// The object id of the principal: the Redis user name.
    #[must_use]
    pub fn object_id(&self) -> &'static str {
        tokens::OBJECT_ID
    }

    /// A certificate of the application's and its RSA key, in one PEM, registered with the token endpoint.
    ///
    /// It is made when it is asked for first, which takes a moment, and is the same from then on.
    #[must_use]
    pub fn client_certificate_pem(&self) -> String {
        self.identity.client_certificate_pem()
    }

    /// Registers a certificate of your own with the application: the first one in this PEM. A key is not needed.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if there is none, or its key is not an RSA key.
    pub fn register_certificate(&self, pem: &str) -> io::Result<()> {
        self.identity.register_certificate(pem)
    }

    /// A token of an hour as AKS writes into a pod's `AZURE_FEDERATED_TOKEN_FILE`: an assertion that the token endpoint
    /// takes for the application's.
    #[must_use]
    pub fn federated_token(&self) -> String {
        self.federated_token_with_lifetime(Duration::from_secs(3600))
    }

    /// As [`federated_token`](Self::federated_token), with this life, in whole seconds, rounded down: one of
    /// [`Duration::ZERO`] has expired already.
    #[must_use]
    pub fn federated_token_with_lifetime(&self, lifetime: Duration) -> String {
        self.identity.federated_token(lifetime)
    }

    /// What `/msi/token` wants to see in a header: the `IDENTITY_HEADER` of App Service and Service Fabric, and the
    /// `MSI_SECRET` of Azure ML.
    #[must_use]
    pub fn identity_header(&self) -> &'static str {
        tokens::IDENTITY_HEADER
    }

    /// The client id of the user-assigned managed identity.
    #[must_use]
    pub fn user_assigned_client_id(&self) -> &'static str {
        tokens::USER_ASSIGNED_CLIENT_ID
    }

    /// The object id of the user-assigned managed identity: the Redis user name that goes with its tokens.
    #[must_use]
    pub fn user_assigned_object_id(&self) -> &'static str {
        tokens::USER_ASSIGNED_OBJECT_ID
    }

    /// The Azure resource id of the user-assigned managed identity.
    #[must_use]
    pub fn user_assigned_resource_id(&self) -> &'static str {
        tokens::USER_ASSIGNED_RESOURCE_ID
    }

    /// Where the key files of Azure Arc's challenges are written from now on; it has to exist.
    ///
    /// Without it, Arc's endpoint, which is that of the Instance Metadata Service with `api-version=2020-06-01`,
    /// answers with an error. A file is removed when its content comes back.
    pub fn arc_key_dir(&self, directory: impl Into<PathBuf>) {
        self.identity.arc_key_dir(directory.into());
    }

    /// The managed identity of a server that Azure Arc manages, with its challenge files in this directory, which has
    /// to exist.
    ///
    /// Outside of tests there is but one directory for them, the platform's, which only root may write to; in all else
    /// it is what [`Credential::managed_identity`] is on such a server.
    ///
    /// # Errors
    ///
    /// If HTTP cannot be set up.
    pub fn arc_credential(&self, directory: impl Into<PathBuf>) -> Result<Credential, Error> {
        let directory = directory.into();
        self.arc_key_dir(directory.clone());
        Credential::on_arc(&format!("{}/metadata/identity/oauth2/token", self.imds_host()), directory)
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

    /// The environment variables with which clients in any language find it; the CA is in [`ca_pem`](Self::ca_pem).
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
