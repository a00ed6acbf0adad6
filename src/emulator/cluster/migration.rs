//! Slots on their way, held where they are until it goes on.

use super::{
    embedded::{self, Embedded},
    servers::{self, Servers},
};
use std::{fmt, io};

/// Slots on their way from the nodes that own them to another one.
///
/// Dropped, it stays as far as it has come.
#[must_use]
pub struct Migration {
    kind: Kind,
}

enum Kind {
    Servers(Servers, servers::Moves),
    Embedded(Embedded, embedded::Moves),
}

impl Migration {
    pub(super) async fn of_servers(
        servers: &Servers,
        slots: impl IntoIterator<Item = u16>,
        to: usize,
    ) -> io::Result<Self> {
        let moves = servers.begin_moves(slots, to).await?;
        Ok(Self { kind: Kind::Servers(servers.clone(), moves) })
    }

    pub(super) fn of_embedded(
        embedded: &Embedded,
        slots: impl IntoIterator<Item = u16>,
        to: usize,
    ) -> io::Result<Self> {
        let moves = embedded.begin_moves(slots, to)?;
        Ok(Self { kind: Kind::Embedded(embedded.clone(), moves) })
    }

    /// Moves this key, if it is in one of the slots and has not been moved; returns whether it was.
    ///
    /// # Errors
    ///
    /// If a node refuses.
    pub async fn move_key(&self, key: impl AsRef<[u8]>) -> io::Result<bool> {
        match &self.kind {
            Kind::Servers(servers, moves) => servers.move_key(moves, key.as_ref()).await,
            Kind::Embedded(embedded, moves) => embedded.move_key(moves, key.as_ref()),
        }
    }

    /// Moves as many keys as are there, up to this number; returns how many it moved.
    ///
    /// # Errors
    ///
    /// If a node refuses.
    pub async fn move_keys(&self, at_most: usize) -> io::Result<usize> {
        match &self.kind {
            Kind::Servers(servers, moves) => servers.move_keys(moves, at_most).await,
            Kind::Embedded(embedded, moves) => embedded.move_keys(moves, at_most),
        }
    }

    /// Moves what is left, and makes the node the slots' owner.
    ///
    /// # Errors
    ///
    /// If a node refuses, or the nodes do not agree on the new owner.
    pub async fn finish(self) -> io::Result<()> {
        match &self.kind {
            Kind::Servers(servers, moves) => servers.finish_moves(moves).await,
            Kind::Embedded(embedded, moves) => embedded.finish_moves(moves),
        }
    }
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = f.debug_struct("Migration");
        match &self.kind {
            Kind::Servers(_, moves) => written.field("moves", moves),
            Kind::Embedded(_, moves) => written.field("moves", moves),
        };
        written.finish_non_exhaustive()
    }
}
