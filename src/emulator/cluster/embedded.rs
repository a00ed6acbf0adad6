//! A cluster of embedded stores, for whoever has no redis-server: nodes that send clients to each other, without
//! replicas.

use super::{
    ClusterNode, NodeRole,
    site::{Fronts, Site},
};
use crate::{
    emulator::{
        backend::Backend,
        slots,
        store::{Handed, Layout, Member, Store},
    },
    lock::lock,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// The nodes, for as long as one of these is there.
#[derive(Clone)]
pub(in crate::emulator) struct Embedded {
    shared: Arc<Shared>,
}

struct Shared {
    nodes: Mutex<Vec<Arc<Node>>>,
    next_index: AtomicUsize,
    layout: Arc<Mutex<Layout>>,
    /// What the nodes have in common: messages.
    first: Store,
    seed: Arc<Mutex<Vec<Backend>>>,
    fronts: Fronts,
    /// Held by whoever locks the data of two nodes: two who do, in different orders, would wait for each other.
    handing: Mutex<()>,
}

pub(super) struct Node {
    pub(super) index: usize,
    pub(super) site: Site,
    store: Store,
}

/// Slots that are on their way, by the nodes that they come from.
#[derive(Debug)]
pub(super) struct Moves {
    from: BTreeMap<usize, BTreeSet<u16>>,
    to: usize,
}

impl Embedded {
    pub(in crate::emulator) async fn start(nodes: usize, fronts: Fronts) -> io::Result<Self> {
        slots::check_parts(nodes)?;
        let shared = Shared {
            nodes: Mutex::default(),
            next_index: AtomicUsize::new(0),
            layout: Arc::default(),
            first: Store::default(),
            seed: Arc::default(),
            fronts,
            handing: Mutex::default(),
        };
        let cluster = Self { shared: Arc::new(shared) };
        for _ in 0..nodes {
            cluster.add_node().await?;
        }
        let owners = slots::shares(nodes).enumerate().flat_map(|(node, slots)| slots.map(move |_| node));
        lock(&cluster.shared.layout).owners = owners.collect();
        Ok(cluster)
    }

    /// Leads to a node that lives, whichever these are at the time.
    pub(in crate::emulator) fn seed(&self) -> Backend {
        Backend::FirstOf(Arc::clone(&self.shared.seed))
    }

    fn seed_follows(&self) {
        let live = self.all().into_iter().filter(|node| node.site.is_live());
        *lock(&self.shared.seed) = live.map(|node| Backend::Store(node.store.clone())).collect();
    }

    pub(super) fn end(&self) {
        let nodes = std::mem::take(&mut *lock(&self.shared.nodes));
        for node in nodes {
            node.site.begin_close();
        }
        self.seed_follows();
    }

    pub(super) fn all(&self) -> Vec<Arc<Node>> {
        lock(&self.shared.nodes).clone()
    }

    pub(super) fn node(&self, index: usize) -> io::Result<Arc<Node>> {
        self.all().into_iter().find(|node| node.index == index).ok_or_else(|| super::no_node(index))
    }

    pub(super) fn describe(&self) -> Vec<ClusterNode> {
        let ranges = lock(&self.shared.layout).ranges();
        let slots =
            |index: usize| ranges.iter().filter(|(_, of)| *of == index).map(|(range, _)| range.clone()).collect();
        let describe = |node: &Arc<Node>| ClusterNode {
            index: node.index,
            address: node.site.address(),
            role: NodeRole::Primary,
            slots: slots(node.index),
            is_live: node.site.is_live(),
        };
        self.all().iter().map(describe).collect()
    }

    pub(super) async fn kill(&self, index: usize) -> io::Result<()> {
        self.node(index)?.site.close().await;
        self.seed_follows();
        Ok(())
    }

    pub(super) async fn restart(&self, index: usize) -> io::Result<()> {
        let node = self.node(index)?;
        if node.site.is_live() {
            return Err(super::runs(index));
        }
        node.store.clear();
        node.site.reopen().await?;
        self.seed_follows();
        Ok(())
    }

    pub(super) fn freeze(&self, index: usize) -> io::Result<()> {
        self.node(index)?.site.freeze();
        self.seed_follows();
        Ok(())
    }

    pub(super) fn thaw(&self, index: usize) -> io::Result<()> {
        self.node(index)?.site.thaw();
        self.seed_follows();
        Ok(())
    }

    pub(super) async fn change_ports(&self, indices: &[usize]) -> io::Result<()> {
        for index in indices {
            let node = self.node(*index)?;
            let place = node.site.another_port().await?;
            lock(&self.shared.layout).addresses.insert(*index, place.address());
            node.site.move_to(place).await;
        }
        Ok(())
    }

    pub(super) async fn change_all_ports(&self) -> io::Result<()> {
        let live: Vec<_> = self.all().iter().filter(|node| node.site.is_live()).map(|node| node.index).collect();
        self.change_ports(&live).await
    }

    pub(super) async fn add_node(&self) -> io::Result<usize> {
        let shared = &self.shared;
        let index = shared.next_index.fetch_add(1, Relaxed);
        let store = shared.first.node(Member { index, layout: Arc::clone(&shared.layout) });
        let site = Site::open(shared.fronts.front(Backend::Store(store.clone()))).await?;
        lock(&shared.layout).addresses.insert(index, site.address());
        lock(&shared.nodes).push(Arc::new(Node { index, site, store }));
        self.seed_follows();
        Ok(index)
    }

    pub(super) async fn remove_node(&self, index: usize) -> io::Result<()> {
        let node = self.node(index)?;
        let others: Vec<_> = self.all().into_iter().filter(|other| other.index != index).collect();
        if others.is_empty() {
            return Err(super::last_primary());
        }
        let slots = self.slots_of(index);
        for (position, other) in others.iter().enumerate() {
            let part = slots.len() * position / others.len()..slots.len() * (position + 1) / others.len();
            self.move_slots(slots[part].iter().copied(), other.index)?;
        }
        self.leave(&node).await;
        Ok(())
    }

    pub(super) async fn replace_node(&self, index: usize) -> io::Result<usize> {
        let old = self.node(index)?;
        let new = self.add_node().await?;
        self.move_slots(self.slots_of(index), new)?;
        self.leave(&old).await;
        Ok(new)
    }

    async fn leave(&self, node: &Node) {
        lock(&self.shared.layout).addresses.remove(&node.index);
        lock(&self.shared.nodes).retain(|other| other.index != node.index);
        self.seed_follows();
        node.site.drained().await;
        node.site.close().await;
    }

    fn slots_of(&self, index: usize) -> Vec<u16> {
        let ranges = lock(&self.shared.layout).ranges();
        let own = ranges.into_iter().filter(|(_, of)| *of == index);
        own.flat_map(|(range, _): (RangeInclusive<u16>, _)| range).collect()
    }

    pub(super) fn move_slots(&self, slots: impl IntoIterator<Item = u16>, to: usize) -> io::Result<()> {
        self.finish_moves(&self.begin_moves(slots, to)?)
    }

    pub(super) fn begin_moves(&self, slots: impl IntoIterator<Item = u16>, to: usize) -> io::Result<Moves> {
        self.node(to)?;
        let mut layout = lock(&self.shared.layout);
        let mut from: BTreeMap<usize, BTreeSet<u16>> = BTreeMap::new();
        for slot in slots {
            let owner = layout.owner(slot).ok_or_else(|| super::no_owner(slot))?;
            if owner != to {
                from.entry(owner).or_default().insert(slot);
                layout.moving.insert(slot, to);
            }
        }
        Ok(Moves { from, to })
    }

    pub(super) fn move_key(&self, moves: &Moves, key: &[u8]) -> io::Result<bool> {
        let slot = slots::slot_of(key);
        match moves.from.iter().find(|(_, slots)| slots.contains(&slot)) {
            Some((from, _)) => Ok(self.hand_over(*from, moves.to, &Handed::Key(key), || ())? > 0),
            None => Ok(false),
        }
    }

    pub(super) fn move_keys(&self, moves: &Moves, at_most: usize) -> io::Result<usize> {
        let mut moved = 0;
        for (from, slots) in &moves.from {
            moved += self.hand_over(*from, moves.to, &Handed::Some(slots, at_most - moved), || ())?;
        }
        Ok(moved)
    }

    pub(super) fn finish_moves(&self, moves: &Moves) -> io::Result<()> {
        for (from, slots) in &moves.from {
            let change = || {
                let mut layout = lock(&self.shared.layout);
                for slot in slots {
                    layout.moving.remove(slot);
                    if let Some(owner) = layout.owners.get_mut(usize::from(*slot)) {
                        *owner = moves.to;
                    }
                }
            };
            self.hand_over(*from, moves.to, &Handed::Some(slots, usize::MAX), change)?;
        }
        Ok(())
    }

    /// Moves keys, then does what is to be seen together with that; returns how many it moved.
    fn hand_over(&self, from: usize, to: usize, keys: &Handed<'_>, then: impl FnOnce()) -> io::Result<usize> {
        let (from, to) = (self.node(from)?, self.node(to)?);
        let _handing = lock(&self.shared.handing);
        Ok(from.store.hand_over(&to.store, keys, then))
    }
}
