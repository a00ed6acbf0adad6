//! Where the server is, for all contenders alike.

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::fmt::Display;

/// What can go wrong here is told to people only.
pub type Outcome<T> = Result<T, String>;

/// An error in words.
pub fn text(error: impl Display) -> String {
    error.to_string()
}

/// Where a server listens, and what to trust there.
#[derive(Clone)]
pub struct Target {
    pub host: String,
    pub port: u16,
    /// Nodes of the cluster that the server is one of; 0 if it is no cluster.
    pub nodes: usize,
    pub ca_pem: String,
}

impl Target {
    /// The TLS configuration of the clients that take one. The process-wide provider is the one that all clients use.
    pub fn rustls(&self) -> Outcome<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).map_err(text)?).map_err(text)?;
        Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }
}
