//! How an emulator is started.

use super::{
    Emulator,
    backend::{Backend, Server},
    certs::Certificates,
    identity::Identity,
    redis_front::RedisFront,
    store::Store,
    tokens::Signer,
};
use std::{io, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The settings of an emulator.
#[derive(Clone, Debug)]
#[must_use]
pub struct EmulatorBuilder {
    token_lifetime: Duration,
    redis: Redis,
    client_certificates: bool,
}

#[derive(Clone, Debug)]
enum Redis {
    Embedded,
    Spawned,
    Address(String),
}

impl Default for EmulatorBuilder {
    fn default() -> Self {
        Self { token_lifetime: Duration::from_secs(3600), redis: Redis::Embedded, client_certificates: false }
    }
}

impl EmulatorBuilder {
    /// How long tokens live, at least; `exp` is in whole seconds, rounded up. Default an hour.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// Starts a `redis-server` from the `PATH` behind the front, instead of the embedded store.
    pub fn redis_server(mut self) -> Self {
        self.redis = Redis::Spawned;
        self
    }

    /// Uses the Redis server at this address (host:port, plain TCP) behind the front, instead of the embedded store.
    pub fn redis_address(mut self, address: impl Into<String>) -> Self {
        self.redis = Redis::Address(address.into());
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
    /// [`redis_address`](Self::redis_address), it names that.
    pub async fn start(self) -> io::Result<Emulator> {
        let certificates = Certificates::generate()?;
        let identity_tls = TlsAcceptor::from(Arc::new(certificates.server_config(false)?));
        let front_tls = TlsAcceptor::from(Arc::new(certificates.server_config(self.client_certificates)?));
        let (server, backend) = match self.redis {
            Redis::Embedded => (None, Backend::Store(Store::default())),
            Redis::Address(address) => {
                let backend = Backend::Address(address.clone());
                let unreachable = |error: io::Error| {
                    io::Error::new(
                        error.kind(),
                        format!("no Redis server can be reached at `{address}` (host:port): {error}"),
                    )
                };
                backend.connect().await.map_err(unreachable)?;
                (None, backend)
            }
            Redis::Spawned => {
                let server = Server::spawn().await?;
                let address = server.address();
                (Some(server), Backend::Address(address))
            }
        };
        let signer = Arc::new(Signer::generate()?);
        let identity = Identity::new(Arc::clone(&signer), self.token_lifetime);
        let front = RedisFront::new(signer, backend, front_tls);
        let identity_listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let front_listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Ok(Emulator {
            identity_address: identity_listener.local_addr()?,
            front_address: front_listener.local_addr()?,
            tasks: [
                tokio::spawn(identity.clone().serve(identity_listener, identity_tls)).abort_handle(),
                tokio::spawn(front.clone().serve(front_listener)).abort_handle(),
            ],
            identity,
            front,
            certificates,
            server,
        })
    }
}
