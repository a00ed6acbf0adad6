//! Ports for servers that come back to theirs.

use std::{
    io,
    net::{TcpListener, UdpSocket},
};

/// Below those that operating systems give to outgoing connections, so that none of these takes one meanwhile.
pub(super) const FIRST: u16 = 10_240;
pub(super) const LAST: u16 = 32_000;

/// As many programs may look for ports at the same time.
pub(super) const ATTEMPTS: usize = 200;

/// Keeps a port for as long as this lives, also while nobody listens there, such as a node that is down: everybody who
/// chooses a port in this way takes the one of the same number for UDP first, to which nobody sends anything.
#[derive(Debug)]
pub(super) struct Kept(#[expect(dead_code, reason = "it is there to be held")] UdpSocket);

impl Kept {
    /// None if somebody else keeps it, or uses it.
    pub(super) fn new(port: u16) -> Option<Self> {
        let kept = UdpSocket::bind(("127.0.0.1", port)).ok()?;
        TcpListener::bind(("127.0.0.1", port)).is_ok().then_some(Self(kept))
    }

    /// One that is free.
    pub(super) fn any() -> io::Result<(u16, Self)> {
        let mut tried = std::iter::repeat_with(|| fastrand::u16(FIRST..LAST)).take(ATTEMPTS);
        tried.find_map(|port| Some((port, Self::new(port)?))).ok_or_else(none)
    }
}

pub(super) fn none() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, format!("no free port between {FIRST} and {LAST}"))
}

#[cfg(test)]
mod tests;
