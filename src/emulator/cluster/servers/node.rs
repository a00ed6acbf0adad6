//! A node of the cluster: a server, and where clients reach it.

use super::{server::Server, view};
use crate::{emulator::cluster::site::Site, lock::lock};
use std::{io, sync::Mutex};

pub(in crate::emulator::cluster) struct Node {
    pub(in crate::emulator::cluster) index: usize,
    /// By which the nodes know it.
    pub(super) id: String,
    pub(in crate::emulator::cluster) site: Site,
    pub(in crate::emulator::cluster) server: Server,
    /// A slot that it served when it was last killed or frozen.
    served: Mutex<Option<u16>>,
}

impl Node {
    pub(super) fn new(index: usize, id: String, site: Site, server: Server) -> Self {
        Self { index, id, site, server, served: Mutex::default() }
    }

    pub(super) fn served(&self) -> Option<u16> {
        *lock(&self.served)
    }

    /// Notes what it serves: whoever serves that later has taken its place.
    pub(super) async fn note_slots(&self) {
        if !self.site.is_live() {
            return;
        }
        let text: io::Result<String> = self.server.ask(redis::cmd("CLUSTER").arg("NODES")).await;
        let view = text.map(|text| view::read(&text)).unwrap_or_default();
        let slots = view.get(&self.id).map(|member| member.slots.clone()).unwrap_or_default();
        *lock(&self.served) = slots.first().map(|range| *range.start());
    }

    /// Ends the server as a crash would; its port refuses connections from then on.
    pub(super) async fn kill(&self) {
        self.server.kill();
        self.site.close().await;
    }

    /// The same for whoever cannot wait.
    pub(super) fn begin_kill(&self) {
        self.site.begin_close();
        self.server.kill();
    }

    /// Starts it again, at the same ports.
    pub(super) async fn restart(&self) -> io::Result<()> {
        self.server.run(self.site.address().port()).await?;
        self.site.reopen().await
    }

    /// Stops the process where it stands, and lets nothing through the front.
    pub(super) async fn freeze(&self) -> io::Result<()> {
        self.site.freeze();
        self.server.signal("STOP").await
    }

    pub(super) async fn thaw(&self) -> io::Result<()> {
        self.server.signal("CONT").await?;
        self.site.thaw();
        Ok(())
    }

    /// Listens at another port, and tells the server what to announce. Connections to the old one are cut.
    pub(super) async fn change_port(&self) -> io::Result<()> {
        let place = self.site.another_port().await?;
        let mut announce = redis::cmd("CONFIG");
        announce.arg("SET").arg("cluster-announce-port").arg(place.address().port());
        self.server.ask::<()>(&announce).await?;
        self.site.move_to(place).await;
        Ok(())
    }
}
