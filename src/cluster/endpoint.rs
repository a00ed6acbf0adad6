//! From what the topology calls a node to what is dialled and verified.

use super::address::NodeAddress;
use std::{fmt, sync::Arc};

/// Where a node of a cluster is dialled, and which name its certificate is verified by.
///
/// Made in the function that is given to [`Config::node_address`](crate::Config::node_address).
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct NodeEndpoint {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) server_name: Option<String>,
}

impl NodeEndpoint {
    /// A host name or IP address, and a port. The certificate is verified by the name that `connect` was given, or by
    /// [`Tls::server_name`](crate::Tls::server_name) if that is set.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, server_name: None }
    }

    /// The name, or IP address, that this node's certificate is verified by, which is sent as the server name (SNI)
    /// too.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }
}

type Map = dyn Fn(&str, u16) -> NodeEndpoint + Send + Sync;

/// The user's function, or none: nodes are dialled as the topology calls them.
#[derive(Clone, Default)]
pub(crate) struct NodeMap(Option<Arc<Map>>);

impl NodeMap {
    pub(crate) fn new(map: impl Fn(&str, u16) -> NodeEndpoint + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(map)))
    }

    pub(super) fn endpoint(&self, address: &NodeAddress) -> NodeEndpoint {
        match &self.0 {
            Some(map) => map(address.host(), address.port()),
            None => NodeEndpoint::new(address.host(), address.port()),
        }
    }
}

impl fmt::Debug for NodeMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "custom" } else { "as the topology says" })
    }
}
