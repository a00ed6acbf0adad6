//! Ports for processes that bind them themselves, and for fronts that come back to theirs.

use crate::emulator::redis_front::{Listening, RedisFront};
use std::{io, net::TcpListener};

/// Below those that operating systems give to outgoing connections, so that none of these takes one meanwhile.
const FIRST: u16 = 10_240;
const LAST: u16 = 32_000;

/// From a server's port for TLS to that on which the nodes speak to each other, as in Redis.
const TO_BUS: u16 = 10_000;

/// As many programs may look for ports at the same time.
const ATTEMPTS: usize = 200;

/// The ports of a redis-server that is a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) plain: u16,
    pub(super) tls: u16,
    pub(super) bus: u16,
}

impl Ports {
    pub(super) fn free() -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let tls = fastrand::u16(FIRST..LAST - TO_BUS);
            let ports = Self { plain: tls + 1, tls, bus: tls + TO_BUS };
            if [ports.plain, ports.tls, ports.bus].into_iter().all(is_free) {
                return Ok(ports);
            }
        }
        Err(none())
    }
}

/// Lets the front listen at a port that is free.
pub(super) async fn listen(front: &RedisFront) -> io::Result<Listening> {
    for _ in 0..ATTEMPTS {
        if let Ok(listening) = front.listen(fastrand::u16(FIRST..LAST)).await {
            return Ok(listening);
        }
    }
    Err(none())
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn none() -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, format!("no free port between {FIRST} and {LAST}"))
}
