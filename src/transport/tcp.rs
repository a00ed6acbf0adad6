//! TCP connections, with what tells of a peer that is gone.

use socket2::{SockRef, TcpKeepalive};
use std::{io, net::SocketAddr, pin::Pin, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// Keepalive probes start after this much silence: Azure's load balancers forget idle flows after minutes.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// How long sent data may stay unacknowledged. Linux would wait about 15 minutes for a peer that is gone, and keepalive
/// does not fire while data is on the way.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// A connected stream, encrypted or not.
pub(crate) type Stream = Pin<Box<dyn DuplexStream>>;

/// What a link is made over.
pub(crate) trait DuplexStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> DuplexStream for T {}

pub(crate) async fn open_tcp(address: SocketAddr) -> io::Result<TcpStream> {
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
mod tests;
