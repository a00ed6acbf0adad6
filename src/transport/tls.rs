//! TLS settings of the connections to Redis.

pub(crate) mod explain;
mod material;

use crate::error::{Error, ErrorKind};
use material::Pem;
use rustls::{ClientConfig, crypto::CryptoProvider, pki_types::ServerName};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{fmt, path::PathBuf, sync::Arc};
use zeroize::Zeroizing;

/// How connections to Redis are encrypted and verified.
///
/// By default: TLS 1.2 or 1.3, the operating system's trust roots, the configured host name as server name, no client
/// certificate. Files are read when `connect` is called, and whatever is wrong with them is reported then.
///
/// ```
/// use entra_redis::Tls;
///
/// let tls = Tls::new()
///     .ca_file("./redis_ca.pem")
///     .client_cert_file("./redis_user.crt")
///     .client_key_file("./redis_user_private.key");
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Tls {
    mode: Mode,
    ca: Option<Pem>,
    client_cert: Option<Pem>,
    client_key: Option<Pem>,
    server_name: Option<String>,
}

#[derive(Clone, Default)]
enum Mode {
    #[default]
    Verified,
    Custom(Arc<ClientConfig>),
    Plaintext,
}

/// TLS sessions that are kept to be resumed with one node: more than it has links.
const SESSIONS_OF_A_NODE: usize = 32;

/// TLS as the dialer needs it: everything read and checked.
#[derive(Clone)]
pub(crate) enum Transport {
    Tls {
        config: Arc<ClientConfig>,
        server_name: ServerName<'static>,
        /// Whether the configuration is the user's own, and stays as it is.
        is_users: bool,
    },
    Plaintext,
}

impl Transport {
    /// The same for one node of a cluster, whose certificate is verified by `server_name`, or else by the name that
    /// this one has.
    ///
    /// Each node has sessions of its own: they are kept by server name, which is that of all nodes, and a node can
    /// resume only what it has begun. (A configuration of the user's own stays as it is.)
    ///
    /// # Errors
    ///
    /// `node_name` is neither a DNS name nor an IP address.
    pub(super) fn for_node(&self, node_name: Option<&str>) -> Result<Self, Error> {
        Ok(match self {
            Self::Plaintext => Self::Plaintext,
            Self::Tls { config, server_name, is_users } => {
                let own =
                    node_name.map(|name| ServerName::try_from(name.to_owned())).transpose().map_err(|source| {
                        let problem = "gives a server name that is neither a DNS name nor an IP address";
                        Error::config("node_address", problem).with_source(source)
                    })?;
                let mut config = Arc::clone(config);
                if !is_users {
                    Arc::make_mut(&mut config).resumption =
                        rustls::client::Resumption::in_memory_sessions(SESSIONS_OF_A_NODE);
                }
                Self::Tls { config, server_name: own.unwrap_or_else(|| server_name.clone()), is_users: *is_users }
            }
        })
    }

    /// Bytes that one record holds. A plain stream has no records; there it is as good a piece as any.
    pub(crate) fn record(&self) -> usize {
        const LARGEST: usize = 16 << 10;
        const HEADER: usize = 5;
        match self {
            Self::Tls { config, .. } => {
                config.max_fragment_size.map_or(LARGEST, |size| size.saturating_sub(HEADER).clamp(1, LARGEST))
            }
            Self::Plaintext => LARGEST,
        }
    }
}

impl Tls {
    /// The default: the operating system's trust roots, no client certificate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the CA certificates of this PEM file, and no others (redis-py's `ssl_ca_certs`).
    ///
    /// What in it cannot be used is passed over, as long as there is a certificate that can.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(Pem::File(path.into()));
        self
    }

    /// Trusts these CA certificates in PEM, and no others.
    ///
    /// What in it cannot be used is passed over, as long as there is a certificate that can. Comments may be in any
    /// encoding.
    pub fn ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.ca = Some(Pem::Bytes(Zeroizing::new(pem.as_ref().to_vec())));
        self
    }

    /// Presents the certificate (chain) of this PEM file to the server (redis-py's `ssl_certfile`).
    pub fn client_cert_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_cert = Some(Pem::File(path.into()));
        self
    }

    /// Presents this PEM certificate (chain) to the server.
    pub fn client_cert_pem(mut self, pem: impl Into<String>) -> Self {
        self.client_cert = Some(Pem::Bytes(Zeroizing::new(pem.into().into_bytes())));
        self
    }

    /// The private key of the client certificate, from a PEM file: PKCS#8, PKCS#1 or SEC1 (redis-py's `ssl_keyfile`).
    pub fn client_key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_key = Some(Pem::File(path.into()));
        self
    }

    /// The private key of the client certificate, in PEM: PKCS#8, PKCS#1 or SEC1.
    pub fn client_key_pem(mut self, pem: impl Into<String>) -> Self {
        self.client_key = Some(Pem::Bytes(Zeroizing::new(pem.into().into_bytes())));
        self
    }

    /// Sends, and verifies the server's certificate against, this name instead of the configured host.
    ///
    /// For caches reached through a private endpoint, a tunnel or an IP address.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Uses a whole `rustls` configuration, which then decides everything but the server name.
    pub fn from_rustls(config: impl Into<Arc<ClientConfig>>) -> Self {
        Self { mode: Mode::Custom(config.into()), ..Self::default() }
    }

    /// Sends tokens and data **unencrypted** over plain TCP, for a local test server only.
    ///
    /// Whoever can see the network can read the token and use it. Azure Managed Redis does not need this.
    pub fn dangerously_unencrypted() -> Self {
        Self { mode: Mode::Plaintext, ..Self::default() }
    }

    pub(crate) fn build(&self, host: &str) -> Result<Transport, Error> {
        let pem_given = self.ca.is_some() || self.client_cert.is_some() || self.client_key.is_some();
        let config = match &self.mode {
            Mode::Verified => Arc::new(self.verified_config()?),
            Mode::Custom(_) | Mode::Plaintext if pem_given => {
                return Err(Error::config(
                    "tls",
                    "takes certificates or keys only without `from_rustls` and `dangerously_unencrypted`",
                ));
            }
            Mode::Custom(config) => Arc::clone(config),
            Mode::Plaintext => return Ok(Transport::Plaintext),
        };
        let (setting, name) = match &self.server_name {
            Some(name) => ("tls.server_name", name.as_str()),
            None => ("host", host),
        };
        let server_name = ServerName::try_from(name.to_owned())
            .map_err(|source| Error::config(setting, "is neither a DNS name nor an IP address").with_source(source))?;
        Ok(Transport::Tls { config, server_name, is_users: matches!(self.mode, Mode::Custom(_)) })
    }

    fn verified_config(&self) -> Result<ClientConfig, Error> {
        let builder = client_builder()?;
        let builder = match &self.ca {
            Some(ca) => builder.with_root_certificates(ca.roots()?),
            None => with_platform_roots(builder, "connections to Redis")?,
        };
        match (&self.client_cert, &self.client_key) {
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(_), None) => Err(Error::config("tls.client_key", "is missing for the client certificate")),
            (None, Some(_)) => Err(Error::config("tls.client_cert", "is missing for the client key")),
            (Some(cert), Some(key)) => {
                let (chain, key) = (cert.chain("tls.client_cert")?, key.private_key("tls.client_key")?);
                builder.with_client_auth_cert(chain, key).map_err(|source| {
                    Error::config("tls.client_key", "does not fit `tls.client_cert`").with_source(source)
                })
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Verified => "verified",
            Mode::Custom(_) => "custom rustls configuration",
            Mode::Plaintext => "UNENCRYPTED",
        };
        f.debug_struct("Tls")
            .field("mode", &mode)
            .field("ca", &self.ca)
            .field("client_cert", &self.client_cert)
            .field("client_key", &self.client_key)
            .field("server_name", &self.server_name)
            .finish()
    }
}

/// What to do about a machine on which no CA is trusted, as in a container image that holds a program and nothing else.
const NO_ROOTS: &str = "install the system's CA certificates (the package `ca-certificates`, mostly), or let \
                        `SSL_CERT_FILE` name a bundle of them; for Redis alone, `Tls::ca_file` will do";

/// Trusts whom the operating system trusts; `whose` says in errors which connections need that.
pub(crate) fn with_platform_roots(
    builder: rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>,
    whose: &str,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, Error> {
    builder.with_platform_verifier().map_err(|source| {
        let message = format!("cannot use the operating system's trust roots for {whose}: {source}");
        Error::new(ErrorKind::Configuration, message).with_hint(NO_ROOTS).with_source(source)
    })
}

/// The start of every TLS configuration of this crate, with its crypto provider and nothing process-wide.
pub(crate) fn client_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Error> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| Error::config("tls", "has no usable protocol version").with_source(source))
}

#[cfg(test)]
mod tests;
