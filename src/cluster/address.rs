//! The name of a node: a host and a port, in one form whoever wrote it.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// Where a node is reached, in the form that nodes are told apart by: host names in lower case, IPv6 addresses as
/// short as they get and without brackets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeAddress {
    host: Arc<str>,
    port: u16,
}

impl NodeAddress {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self { host: canonical(host), port }
    }

    /// The address in `text`: `host:port`, `[v6]:port`, or `v6:port`, which is how Redis writes one in `MOVED`. Without
    /// a host (`:port`), with one that the server does not know (`?:port`) or one that stands for every address of a
    /// machine (`0.0.0.0:port`) it is the host of the node that answered.
    pub(crate) fn parse(text: &str, answered_by: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        // `str::parse` would take `+6379` as well.
        let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
        Self::from_host(host, port, answered_by)
    }

    /// As [`parse`](Self::parse), of a host and a port that come apart.
    pub(crate) fn from_host(host: &str, port: u16, answered_by: &Self) -> Option<Self> {
        if port == 0 {
            return None;
        }
        if means_the_answering_host(host) {
            return Some(Self { host: answered_by.host.clone(), port });
        }
        is_host(host).then(|| Self::new(host, port))
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn means_the_answering_host(host: &str) -> bool {
    let is_unspecified = |address: IpAddr| address.to_canonical().is_unspecified();
    matches!(host, "" | "?") || without_brackets(host).parse().is_ok_and(is_unspecified)
}

/// The longest name that DNS knows.
const LONGEST_HOST: usize = 253;

/// Whether it can be the host of an address at all: what is left here is told apart by whoever resolves it.
fn is_host(host: &str) -> bool {
    let bare = without_brackets(host);
    let is_fit = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    !bare.is_empty() && bare.len() <= LONGEST_HOST && bare.chars().all(is_fit) && (!bare.contains(':') || is_ipv6(bare))
}

fn is_ipv6(host: &str) -> bool {
    host.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

fn canonical(host: &str) -> Arc<str> {
    let bare = without_brackets(host);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        return address.to_string().into();
    }
    // What follows the `%` of an IPv6 address is the name of an interface, where case counts.
    if bare.contains('%') { bare.into() } else { bare.to_ascii_lowercase().into() }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
