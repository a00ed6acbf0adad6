//! A node of the cluster: a server, and the front by which clients reach it.

use super::{server::Server, view};
use crate::{
    emulator::{
        cluster::ports,
        redis_front::{Listening, RedisFront},
    },
    lock::lock,
};
use std::{io, net::SocketAddr, sync::Mutex};

pub(in crate::emulator::cluster) struct Node {
    pub(in crate::emulator::cluster) index: usize,
    /// By which the nodes know it.
    pub(super) id: String,
    pub(in crate::emulator::cluster) front: RedisFront,
    pub(in crate::emulator::cluster) server: Server,
    at: Mutex<Place>,
    /// A slot that it served when it was last killed or frozen.
    served: Mutex<Option<u16>>,
}

/// Where a node is for clients, and whether it is there.
struct Place {
    address: SocketAddr,
    listening: Option<Listening>,
    frozen: bool,
}

impl Node {
    pub(super) fn new(index: usize, id: String, front: RedisFront, server: Server, listening: Listening) -> Self {
        let at = Place { address: listening.address(), listening: Some(listening), frozen: false };
        Self { index, id, front, server, at: Mutex::new(at), served: Mutex::default() }
    }

    pub(in crate::emulator::cluster) fn address(&self) -> SocketAddr {
        lock(&self.at).address
    }

    /// Whether it runs and is not frozen.
    pub(super) fn is_live(&self) -> bool {
        let at = lock(&self.at);
        at.listening.is_some() && !at.frozen
    }

    pub(super) fn served(&self) -> Option<u16> {
        *lock(&self.served)
    }

    /// Notes what it serves: whoever serves that later has taken its place.
    pub(super) async fn note_slots(&self) {
        if !self.is_live() {
            return;
        }
        let text: io::Result<String> = self.server.ask(redis::cmd("CLUSTER").arg("NODES")).await;
        let view = text.map(|text| view::read(&text)).unwrap_or_default();
        let slots = view.get(&self.id).map(|member| member.slots.clone()).unwrap_or_default();
        *lock(&self.served) = slots.first().map(|range| *range.start());
    }

    /// Ends the server as a crash would; its port refuses connections from then on.
    pub(super) fn kill(&self) {
        let mut at = lock(&self.at);
        at.listening = None;
        at.frozen = false;
        self.front.thaw();
        self.server.kill();
    }

    /// Starts it again, at the same ports.
    pub(super) async fn restart(&self) -> io::Result<()> {
        let port = self.address().port();
        self.server.run(port).await?;
        let listening = self.front.listen(port).await?;
        lock(&self.at).listening = Some(listening);
        Ok(())
    }

    /// Stops the process where it stands, and lets nothing through the front.
    pub(super) async fn freeze(&self) -> io::Result<()> {
        lock(&self.at).frozen = true;
        self.front.freeze();
        self.server.signal("STOP").await
    }

    pub(super) async fn thaw(&self) -> io::Result<()> {
        self.server.signal("CONT").await?;
        self.front.thaw();
        lock(&self.at).frozen = false;
        Ok(())
    }

    /// Listens at another port, and tells the server what to announce. Connections to the old one are cut.
    pub(super) async fn change_port(&self) -> io::Result<()> {
        let listening = ports::listen(&self.front).await?;
        let address = listening.address();
        let mut announce = redis::cmd("CONFIG");
        announce.arg("SET").arg("cluster-announce-port").arg(address.port());
        self.server.ask::<()>(&announce).await?;
        let mut at = lock(&self.at);
        at.address = address;
        at.listening = Some(listening);
        Ok(())
    }
}
