//! Slots that go from one node to another, as `redis-cli --cluster reshard` moves them.

use super::{Roll, Servers, node::Node, server::Admin, wait::not_yet};
use crate::emulator::{cluster::no_owner, slots::slot_of};
use redis::{Cmd, cmd};
use std::{fmt, io, sync::Arc};

/// As many keys go at once as with redis-cli.
const BATCH: usize = 10;

/// As many slots are on their way at once where a whole node's are to go: a server writes its configuration to disk
/// once for all that it is told together.
pub(super) const MANY: usize = 256;

/// How long the transfer of keys may take, in milliseconds.
const TRANSFER_MS: u64 = 10_000;

/// Slots, by the nodes that they come from, and where they go.
pub(in crate::emulator::cluster) struct Moves {
    from: Vec<(Arc<Node>, Vec<u16>)>,
    to: Arc<Node>,
}

impl fmt::Debug for Moves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots: Vec<_> = self.from.iter().map(|(node, slots)| (node.index, slots)).collect();
        f.debug_struct("Moves").field("from", &slots).field("to", &self.to.index).finish()
    }
}

/// Some slots on the way between two nodes that are told about them.
struct Passage<'a> {
    slots: &'a [u16],
    from: &'a Node,
    source: Admin,
    to: &'a Node,
    target: Admin,
}

impl Servers {
    pub(in crate::emulator::cluster) async fn move_slots(
        &self,
        slots: impl IntoIterator<Item = u16>,
        to: usize,
    ) -> io::Result<()> {
        let _changing = self.shared.changing.lock().await;
        let moves = self.plan_moves(slots, to).await?;
        self.make(&moves, 1).await
    }

    /// Where each slot comes from; those that the target has already are left out.
    pub(super) async fn plan_moves(&self, slots: impl IntoIterator<Item = u16>, to: usize) -> io::Result<Moves> {
        let to = self.node(to)?;
        let roll = self.agreed("the nodes agree on the slots", |_| true).await?;
        let mut from: Vec<(Arc<Node>, Vec<u16>)> = Vec::new();
        for slot in slots {
            let owner = roll.owner(slot).and_then(|id| self.by_id(id));
            let owner = owner.ok_or_else(|| no_owner(slot))?;
            match from.iter_mut().find(|(node, _)| node.id == owner.id) {
                Some((_, slots)) => slots.push(slot),
                None => from.push((owner, vec![slot])),
            }
        }
        from.retain(|(node, _)| node.id != to.id);
        Ok(Moves { from, to })
    }

    /// Moves so many slots at a time.
    pub(super) async fn make(&self, moves: &Moves, at_once: usize) -> io::Result<()> {
        for (from, slots) in &moves.from {
            let mut passage = Passage::between(from, slots, &moves.to).await?;
            for slots in slots.chunks(at_once) {
                passage.slots = slots;
                passage.open().await?;
                passage.transfer(usize::MAX).await?;
                passage.close().await?;
            }
        }
        self.settled(moves).await
    }

    pub(in crate::emulator::cluster) async fn begin_moves(
        &self,
        slots: impl IntoIterator<Item = u16>,
        to: usize,
    ) -> io::Result<Moves> {
        let moves = self.plan_moves(slots, to).await?;
        for (from, slots) in &moves.from {
            Passage::between(from, slots, &moves.to).await?.open().await?;
        }
        Ok(moves)
    }

    pub(in crate::emulator::cluster) async fn move_key(&self, moves: &Moves, key: &[u8]) -> io::Result<bool> {
        let slot = slot_of(key);
        match moves.from.iter().find(|(_, slots)| slots.contains(&slot)) {
            Some((from, _)) => migrate(&mut from.server.admin().await?, &moves.to, &[key.to_vec()]).await,
            None => Ok(false),
        }
    }

    pub(in crate::emulator::cluster) async fn move_keys(&self, moves: &Moves, at_most: usize) -> io::Result<usize> {
        let mut moved = 0;
        for (from, slots) in &moves.from {
            moved += Passage::between(from, slots, &moves.to).await?.transfer(at_most - moved).await?;
        }
        Ok(moved)
    }

    pub(in crate::emulator::cluster) async fn finish_moves(&self, moves: &Moves) -> io::Result<()> {
        let _changing = self.shared.changing.lock().await;
        for (from, slots) in &moves.from {
            let mut passage = Passage::between(from, slots, &moves.to).await?;
            passage.transfer(usize::MAX).await?;
            passage.close().await?;
        }
        self.settled(moves).await
    }

    async fn settled(&self, moves: &Moves) -> io::Result<()> {
        let there = |roll: &Roll| {
            let mut slots = moves.from.iter().flat_map(|(_, slots)| slots);
            slots.all(|slot| roll.owner(*slot) == Some(&*moves.to.id))
        };
        self.agreed("all nodes know the new owner of the slots", there).await.map(|_| ())
    }
}

impl<'a> Passage<'a> {
    async fn between(from: &'a Node, slots: &'a [u16], to: &'a Node) -> io::Result<Self> {
        Ok(Self { slots, from, source: from.server.admin().await?, to, target: to.server.admin().await? })
    }

    /// Lets the target take in the slots' keys, then the source send clients there for those that it does not have.
    async fn open(&mut self) -> io::Result<()> {
        let import: Vec<_> = self.slots.iter().map(|slot| set_slot(*slot, "IMPORTING", &self.from.id)).collect();
        self.target.ask_all::<()>(import).await?;
        let migrate: Vec<_> = self.slots.iter().map(|slot| set_slot(*slot, "MIGRATING", &self.to.id)).collect();
        self.source.ask_all::<()>(migrate).await.map(|_| ())
    }

    /// Makes the target the slots' owner: for itself first, so that there is one all the time.
    async fn close(&mut self) -> io::Result<()> {
        let assign = || self.slots.iter().map(|slot| set_slot(*slot, "NODE", &self.to.id)).collect::<Vec<_>>();
        self.target.ask_all::<()>(assign()).await?;
        match self.source.ask_all::<()>(assign()).await {
            // It has heard it from the target, and follows that as it has no slots any more.
            Err(error) if error.to_string().contains("only with masters") => Ok(()),
            told => told.map(|_| ()),
        }
    }

    /// Moves keys; returns how many. What a slot has on its way does not become more.
    async fn transfer(&mut self, at_most: usize) -> io::Result<usize> {
        let lists = self.slots.iter().map(|slot| keys_in(*slot, 1));
        let some: Vec<Vec<Vec<u8>>> = self.source.ask_all(lists).await?;
        let mut moved = 0;
        for (slot, _) in self.slots.iter().zip(some).filter(|(_, keys)| !keys.is_empty()) {
            while moved < at_most {
                let keys: Vec<Vec<u8>> = self.source.ask(&keys_in(*slot, BATCH.min(at_most - moved))).await?;
                if keys.is_empty() {
                    break;
                }
                migrate(&mut self.source, self.to, &keys).await?;
                moved += keys.len();
            }
        }
        Ok(moved)
    }
}

fn set_slot(slot: u16, state: &str, id: &str) -> Cmd {
    let mut set = cmd("CLUSTER");
    set.arg("SETSLOT").arg(slot).arg(state).arg(id);
    set
}

fn keys_in(slot: u16, at_most: usize) -> Cmd {
    let mut list = cmd("CLUSTER");
    list.arg("GETKEYSINSLOT").arg(slot).arg(at_most);
    list
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
