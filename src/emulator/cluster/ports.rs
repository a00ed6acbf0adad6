//! Ports for processes that bind them themselves, and for fronts that come back to theirs.

use crate::emulator::{
    ports::{ATTEMPTS, FIRST, Kept, LAST, none},
    redis_front::{Listening, RedisFront},
};
use std::{io, net::SocketAddr, sync::Arc};

/// From a server's port for TLS to that on which the nodes speak to each other, as in Redis.
const TO_BUS: u16 = 10_000;

/// The ports of a redis-server that is a node.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    pub(super) plain: u16,
    pub(super) tls: u16,
    pub(super) bus: u16,
    #[expect(dead_code, reason = "they are there to be held")]
    kept: Arc<[Kept; 3]>,
}

/// A front at its port.
pub(super) struct Place {
    pub(super) listening: Listening,
    pub(super) kept: Kept,
}

impl Place {
    pub(super) fn address(&self) -> SocketAddr {
        self.listening.address()
    }
}

impl Ports {
    pub(super) fn free() -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let tls = fastrand::u16(FIRST..LAST - TO_BUS);
            let (plain, bus) = (tls + 1, tls + TO_BUS);
            if let [Some(one), Some(two), Some(three)] = [plain, tls, bus].map(Kept::new) {
                return Ok(Self { plain, tls, bus, kept: Arc::new([one, two, three]) });
            }
        }
        Err(none())
    }
}

/// Lets the front listen at a port that is free.
pub(super) async fn listen(front: &RedisFront) -> io::Result<Place> {
    for _ in 0..ATTEMPTS {
        let port = fastrand::u16(FIRST..LAST);
        if let Some(kept) = Kept::new(port)
            && let Ok(listening) = front.listen(port).await
        {
            return Ok(Place { listening, kept });
        }
    }
    Err(none())
}
