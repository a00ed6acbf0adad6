//! Opens encrypted streams to one host: its addresses, TCP, TLS.

use super::{
    resolve::Resolver,
    tcp::{Stream, open_tcp},
    tls::{Transport, explain},
};
use crate::error::{Error, ErrorKind, Stage};
use futures_util::{FutureExt, future::BoxFuture};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// Everything needed to open encrypted streams to one host, any number of times.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) resolver: Resolver,
    pub(crate) transport: Transport,
    pub(crate) connect_timeout: Duration,
    /// What to look at if nothing answers, where that is known better than by the port.
    pub(crate) hint: Option<&'static str>,
    /// Why it must not connect.
    pub(crate) misconfigured: Option<Error>,
}

impl Dialer {
    /// One to a node of the same cluster. The node's certificate is verified by `server_name`, or else by the name that
    /// this dialer has.
    pub(crate) fn for_node(&self, host: String, port: u16, server_name: Option<&str>, hint: &'static str) -> Self {
        // The user's resolver knows names, and may well have the addresses of the cache for whatever it is asked.
        let is_address = host.parse::<IpAddr>().is_ok();
        let resolver = if is_address { Resolver::default() } else { self.resolver.clone() };
        let (transport, misconfigured) = match self.transport.for_node(server_name) {
            Ok(transport) => (transport, None),
            Err(error) => (self.transport.clone(), Some(error)),
        };
        let connect_timeout = self.connect_timeout;
        Self { host, port, resolver, transport, connect_timeout, hint: Some(hint), misconfigured }
    }

    /// Resolves the host each time (addresses change when Azure patches), and connects to the first address that
    /// answers.
    pub(crate) async fn connect(&self) -> Result<Stream, Error> {
        // A resolver or verifier of the user's that panics must not take everything with it; what it broke is dropped.
        let connect: BoxFuture<'_, _> = Box::pin(self.try_connect());
        AssertUnwindSafe(connect).catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
    }

    async fn try_connect(&self) -> Result<Stream, Error> {
        if let Some(error) = &self.misconfigured {
            return Err(error.clone());
        }
        let deadline = Instant::now() + self.connect_timeout;
        let addresses = match timeout_at(deadline, self.resolver.resolve(&self.host, self.port)).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(source)) => {
                return Err(self.error("cannot resolve the host name of", &source).with_hint(NAME).with_source(source));
            }
            Err(_) => return Err(self.timed_out("cannot resolve the host name of", None).with_hint(NAME)),
        };
        let mut last = Failed { error: self.no_address(), reached: false };
        for (tried, address) in addresses.iter().enumerate() {
            // An address that does not answer must leave time for the ones after it.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            let part = (addresses.len() > 1).then_some(share);
            match self.connect_to(*address, Instant::now() + share, part).await {
                Ok(stream) => return Ok(stream),
                // Of two addresses, the one where something listens tells more than the one where nothing does.
                Err(failed) if last.reached && !failed.reached => {}
                Err(failed) => last = failed,
            }
        }
        Err(last.error)
    }

    /// `part` is how much of the whole time that leaves, if it is not all of it.
    async fn connect_to(&self, address: SocketAddr, until: Instant, part: Option<Duration>) -> Result<Stream, Failed> {
        let unreached = |error| Failed { error, reached: false };
        let tcp = match timeout_at(until, open_tcp(address)).await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(source)) => {
                let mut error = self.error("no connection to", &source);
                // A firewall may say so in other ways.
                if source.kind() == io::ErrorKind::ConnectionRefused || self.hint.is_some() {
                    error = error.with_hint(self.port_hint());
                }
                return Err(unreached(error.with_source(source)));
            }
            Err(_) => return Err(unreached(self.timed_out("no connection to", part).with_hint(self.port_hint()))),
        };
        let Transport::Tls { config, server_name, .. } = &self.transport else {
            return Ok(Box::pin(tcp));
        };
        let connector = TlsConnector::from(config.clone());
        let error = match timeout_at(until, connector.connect(server_name.clone(), tcp)).await {
            Ok(Ok(tls)) => return Ok(Box::pin(tls)),
            Ok(Err(source)) => self.tls_error(source),
            // Redis without TLS waits for the end of the line that it takes the handshake for.
            Err(_) => {
                // That TLS is spoken is known of the cache's other ports.
                let hint = self.hint.unwrap_or("does this port speak TLS?");
                self.timed_out("TCP works, but TLS is not answered by", part).with_hint(hint)
            }
        };
        Err(Failed { error, reached: true })
    }

    fn tls_error(&self, source: io::Error) -> Error {
        let (what, hint) = explain::handshake(&source);
        Error::new(ErrorKind::Tls, format!("TLS with {}:{} failed: {what}", self.host, self.port))
            .with_hint(hint)
            .with_source(source)
    }

    /// One of several addresses gets a `part` of the time.
    fn timed_out(&self, what: &str, part: Option<Duration>) -> Error {
        // In whole milliseconds: the rest is what the resolver took.
        let part = part.map(|part| Duration::from_millis(u64::try_from(part.as_millis()).unwrap_or(u64::MAX)));
        let part = part.map(|part| format!("{part:?}, the share of one of its addresses of ")).unwrap_or_default();
        let limit = self.connect_timeout;
        let text = format!("{what} {}:{} within {part}{limit:?} (`connect_timeout`)", self.host, self.port);
        Error::new(ErrorKind::Timeout(Stage::Connect), text)
    }

    fn no_address(&self) -> Error {
        Error::new(ErrorKind::Connect, format!("no address for {}:{}", self.host, self.port)).with_hint(NAME)
    }

    fn error(&self, what: &str, source: &io::Error) -> Error {
        Error::new(ErrorKind::Connect, format!("{what} {}:{}: {source}", self.host, self.port))
    }

    /// What to look at if nothing answers at this port.
    fn port_hint(&self) -> &'static str {
        if let Some(hint) = self.hint {
            hint
        } else if self.port == 10_000 {
            "is the host name that of the cache, and may this machine reach it (private endpoint, firewall)?"
        } else {
            "Azure Managed Redis listens on port 10000, Azure Cache for Redis on 6380"
        }
    }
}

fn panicked() -> Error {
    Error::new(ErrorKind::Connect, "opening a connection panicked: a resolver or certificate verifier of yours did")
}

/// What to look at if the host name leads nowhere.
const NAME: &str = "is the host name that of the cache, without a scheme, and does this machine's DNS know it (private \
                    endpoint)?";

/// Why there is no connection to one address.
struct Failed {
    error: Error,
    /// Whether something accepted it there.
    reached: bool,
}

#[cfg(test)]
mod tests;
