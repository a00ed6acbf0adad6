//! A front on a port.

use super::RedisFront;
use crate::emulator::accept::accept;
use std::{io, net::SocketAddr, sync::Arc, sync::atomic::Ordering::Relaxed};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
};

/// A front that takes in connections; they end with this, and the port is closed.
pub(in crate::emulator) struct Listening {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listening {
    pub(in crate::emulator) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it; the port is closed then.
    pub(in crate::emulator) async fn end(mut self) {
        self.task.abort();
        // It has nothing to tell but that it was ended.
        _ = (&mut self.task).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RedisFront {
    /// On this port; 0 is one of the operating system's choosing.
    pub(in crate::emulator) async fn listen(&self, port: u16) -> io::Result<Listening> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        Ok(Listening { address, task: tokio::spawn(self.clone().serve(listener)) })
    }

    async fn serve(self, listener: TcpListener) {
        let mut sessions = JoinSet::new();
        loop {
            let stream = accept(&listener).await;
            if !self.shared.refuse.load(Relaxed) {
                sessions.spawn(Arc::clone(&self.shared).session(stream));
            }
            // Those that are through are not kept.
            while sessions.try_join_next().is_some() {}
        }
    }
}
