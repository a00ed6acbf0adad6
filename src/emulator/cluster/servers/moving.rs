//! Slots that go from one node to another, as `redis-cli --cluster reshard` moves them.

use super::{Servers, node::Node, server::Admin, wait::not_yet};
use crate::emulator::slots::slot_of;
use redis::{Cmd, cmd};
use std::{fmt, io, ops::RangeInclusive, sync::Arc};

/// As many keys go at once as with redis-cli.
const BATCH: usize = 10;

/// How long the transfer of keys may take, in milliseconds.
const TRANSFER_MS: u64 = 10_000;

/// Slots, each with the node that it comes from, and where they go.
pub(in crate::emulator::cluster) struct Moves {
    from: Vec<(u16, Arc<Node>)>,
    to: Arc<Node>,
}

impl fmt::Debug for Moves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots: Vec<_> = self.from.iter().map(|(slot, _)| slot).collect();
        f.debug_struct("Moves").field("slots", &slots).field("to", &self.to.index).finish()
    }
}

impl Servers {
    pub(in crate::emulator::cluster) async fn move_slots(
        &self,
        slots: RangeInclusive<u16>,
        to: usize,
    ) -> io::Result<()> {
        let _changing = self.shared.changing.lock().await;
        let moves = self.plan_moves(slots, to).await?;
        self.make(&moves).await
    }

    /// Moves slot by slot.
    pub(super) async fn make(&self, moves: &Moves) -> io::Result<()> {
        let mut target = moves.to.server.admin().await?;
        for (slot, from) in &moves.from {
            let mut source = from.server.admin().await?;
            open(*slot, from, &mut source, &moves.to, &mut target).await?;
            while transfer(*slot, &mut source, &moves.to, BATCH).await? > 0 {}
            self.assign(*slot, &mut source, &mut target, moves).await?;
        }
        self.settled(moves).await
    }

    /// Where each slot comes from; those that the target has already are left out.
    pub(super) async fn plan_moves(&self, slots: impl IntoIterator<Item = u16>, to: usize) -> io::Result<Moves> {
        let to = self.node(to)?;
        let roll = self.agreed("the nodes agree on the slots", |_| true).await?;
        let mut from = Vec::new();
        for slot in slots {
            let owner = roll.owner(slot).and_then(|id| self.by_id(id));
            let owner = owner.ok_or_else(|| io::Error::other(format!("no node owns the slot {slot}")))?;
            if owner.id != to.id {
                from.push((slot, owner));
            }
        }
        Ok(Moves { from, to })
    }

    pub(in crate::emulator::cluster) async fn begin_moves(
        &self,
        slots: RangeInclusive<u16>,
        to: usize,
    ) -> io::Result<Moves> {
        let moves = self.plan_moves(slots, to).await?;
        let mut target = moves.to.server.admin().await?;
        for (slot, from) in &moves.from {
            open(*slot, from, &mut from.server.admin().await?, &moves.to, &mut target).await?;
        }
        Ok(moves)
    }

    pub(in crate::emulator::cluster) async fn move_key(&self, moves: &Moves, key: &[u8]) -> io::Result<bool> {
        let slot = slot_of(key);
        let Some((_, from)) = moves.from.iter().find(|(one, _)| *one == slot) else {
            return Ok(false);
        };
        migrate(&mut from.server.admin().await?, &moves.to, &[key.to_vec()]).await
    }

    pub(in crate::emulator::cluster) async fn move_keys(&self, moves: &Moves, at_most: usize) -> io::Result<usize> {
        let mut moved = 0;
        for (slot, from) in &moves.from {
            let mut source = from.server.admin().await?;
            while moved < at_most {
                match transfer(*slot, &mut source, &moves.to, BATCH.min(at_most - moved)).await? {
                    0 => break,
                    count => moved += count,
                }
            }
        }
        Ok(moved)
    }

    pub(in crate::emulator::cluster) async fn finish_moves(&self, moves: &Moves) -> io::Result<()> {
        let _changing = self.shared.changing.lock().await;
        self.move_keys(moves, usize::MAX).await?;
        let mut target = moves.to.server.admin().await?;
        for (slot, from) in &moves.from {
            let mut source = from.server.admin().await?;
            // Some may have come meanwhile, to a key that is there in part.
            while transfer(*slot, &mut source, &moves.to, BATCH).await? > 0 {}
            self.assign(*slot, &mut source, &mut target, moves).await?;
        }
        self.settled(moves).await
    }

    /// Makes the target the slot's owner: for itself first, so that there is one all the time.
    async fn assign(&self, slot: u16, source: &mut Admin, target: &mut Admin, moves: &Moves) -> io::Result<()> {
        let assign = set_slot(slot, "NODE", &moves.to.id);
        target.ask::<()>(&assign).await?;
        source.ask::<()>(&assign).await
    }

    async fn settled(&self, moves: &Moves) -> io::Result<()> {
        let there = |roll: &super::Roll| moves.from.iter().all(|(slot, _)| roll.owner(*slot) == Some(&*moves.to.id));
        self.agreed("all nodes know the new owner of the slots", there).await.map(|_| ())
    }
}

/// Lets the target take in the slot's keys, then the source send clients there for those that it does not have.
async fn open(slot: u16, from: &Node, source: &mut Admin, to: &Node, target: &mut Admin) -> io::Result<()> {
    target.ask::<()>(&set_slot(slot, "IMPORTING", &from.id)).await?;
    source.ask::<()>(&set_slot(slot, "MIGRATING", &to.id)).await
}

fn set_slot(slot: u16, state: &str, id: &str) -> Cmd {
    let mut set = cmd("CLUSTER");
    set.arg("SETSLOT").arg(slot).arg(state).arg(id);
    set
}

/// Moves some of the slot's keys; returns how many there were.
async fn transfer(slot: u16, source: &mut Admin, to: &Node, at_most: usize) -> io::Result<usize> {
    let mut list = cmd("CLUSTER");
    list.arg("GETKEYSINSLOT").arg(slot).arg(at_most);
    let keys: Vec<Vec<u8>> = source.ask(&list).await?;
    if !keys.is_empty() {
        migrate(source, to, &keys).await?;
    }
    Ok(keys.len())
}

/// Whether any of the keys was there.
async fn migrate(source: &mut Admin, to: &Node, keys: &[Vec<u8>]) -> io::Result<bool> {
    let mut migrate = cmd("MIGRATE");
    migrate.arg("127.0.0.1").arg(to.server.ports.tls).arg("").arg(0).arg(TRANSFER_MS).arg("KEYS").arg(keys);
    let answer: String = source.ask(&migrate).await?;
    match answer.as_str() {
        "OK" => Ok(true),
        "NOKEY" => Ok(false),
        other => Err(not_yet(format!("MIGRATE is answered with {other}"))),
    }
}
