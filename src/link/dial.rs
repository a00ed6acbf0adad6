//! From a host name to an encrypted stream.

use crate::{Error, ErrorKind, error::Stage, resolver::Resolver, tls::Transport};
use redis::ProtocolVersion;
use socket2::{SockRef, TcpKeepalive};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

/// Keepalive probes start after this much silence: Azure's load balancers forget idle flows after minutes.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// How long sent data may stay unacknowledged. Linux would wait about 15 minutes for a peer that is gone, and keepalive
/// does not fire while data is on the way.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// A connected stream, encrypted or not.
pub(super) type Stream = Pin<Box<dyn DuplexStream>>;

/// What a link is made over.
pub(super) trait DuplexStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> DuplexStream for T {}

/// Everything needed to open connections, any number of times.
pub(crate) struct Dialer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) resolver: Resolver,
    pub(crate) transport: Transport,
    pub(crate) protocol: ProtocolVersion,
    pub(crate) connect_timeout: Duration,
    pub(crate) auth_timeout: Duration,
    pub(crate) command_timeout: Duration,
    pub(crate) links_opened: AtomicU64,
    /// The name of the pool that it dials for.
    pub(crate) pool: Arc<str>,
    /// Where the connections' tasks are counted.
    pub(crate) tasks: TaskTracker,
}

impl Dialer {
    pub(super) fn protocol(&self) -> ProtocolVersion {
        self.protocol
    }

    pub(super) fn auth_timeout(&self) -> Duration {
        self.auth_timeout
    }

    pub(super) fn next_id(&self) -> u64 {
        self.links_opened.fetch_add(1, Relaxed) + 1
    }

    /// Resolves the host anew (addresses change when Azure patches), and connects to the first address that answers.
    pub(super) async fn connect(&self) -> Result<Stream, Error> {
        let deadline = Instant::now() + self.connect_timeout;
        timeout_at(deadline, self.connect_by(deadline)).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    async fn connect_by(&self, deadline: Instant) -> Result<Stream, Error> {
        let addresses =
            self.resolver.resolve(&self.host, self.port).await.map_err(|source| {
                self.error(ErrorKind::Connect, "cannot resolve the host name of").with_source(source)
            })?;
        let mut last = self.error(ErrorKind::Connect, "no address for");
        for (tried, address) in addresses.iter().enumerate() {
            // An address that swallows packets must leave time for the ones after it.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
            match timeout_at(Instant::now() + share, self.connect_to(*address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = self.timed_out(),
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<Stream, Error> {
        let tcp = open_tcp(address)
            .await
            .map_err(|source| self.error(ErrorKind::Connect, "no connection to").with_source(source))?;
        match &self.transport {
            Transport::Plaintext => Ok(Box::pin(tcp)),
            Transport::Tls { config, server_name } => {
                let connector = TlsConnector::from(config.clone());
                let tls = connector.connect(server_name.clone(), tcp).await;
                tls.map(|tls| Box::pin(tls) as Stream).map_err(|source| self.tls_error(source))
            }
        }
    }

    fn tls_error(&self, source: io::Error) -> Error {
        use rustls::{CertificateError, Error as Tls};
        let cause = source.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
        let hint = match cause {
            Some(Tls::InvalidMessage(_)) => "does this port speak TLS?",
            Some(Tls::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => "the certificate is for another name: set `Tls::server_name` if that is intended",
            Some(Tls::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                "the certificate's issuer is not trusted: set `Tls::ca_file` if it is yours"
            }
            Some(_) => "see the source of this error",
            None => "the server closed the connection during the TLS handshake: does this port speak TLS?",
        };
        let what = source.to_string();
        Error::new(ErrorKind::Tls, format!("TLS with {}:{} failed: {what}", self.host, self.port))
            .with_hint(hint)
            .with_source(source)
    }

    fn timed_out(&self) -> Error {
        let limit = self.connect_timeout;
        Error::new(
            ErrorKind::Timeout(Stage::Connect),
            format!("no connection to {}:{} within {limit:?} (`connect_timeout`)", self.host, self.port),
        )
    }

    fn error(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, format!("{what} {}:{}", self.host, self.port))
    }
}

async fn open_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(&tcp);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(tcp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_sends_at_once_and_finds_out_about_a_peer_that_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = open_tcp(listener.local_addr().unwrap()).await.unwrap();
        assert!(tcp.nodelay().unwrap());
        let socket = SockRef::from(&tcp);
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        {
            assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_EVERY);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        }
    }
}
