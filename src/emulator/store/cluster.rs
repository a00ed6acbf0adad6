//! A store that is one node of a cluster: which keys are its own, and what it tells of the others.

use super::{
    args::{Args, Outcome, Problem},
    data::{Data, count},
};
use crate::{
    emulator::{
        resp::Reply,
        slots::{SLOTS, slot_of},
    },
    lock::lock,
};
use std::{
    collections::BTreeMap,
    fmt::Write,
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex},
};

/// Which node serves what, shared by all nodes of a cluster. It is changed by whoever holds the data of the nodes that
/// a slot goes from and to, so that it stays as it is for a command that holds its node's.
#[derive(Default)]
pub(in crate::emulator) struct Layout {
    /// By slot. Empty before the cluster has been formed.
    pub(in crate::emulator) owners: Vec<usize>,
    /// Slots that are on their way, and where they go.
    pub(in crate::emulator) moving: BTreeMap<u16, usize>,
    pub(in crate::emulator) addresses: BTreeMap<usize, SocketAddr>,
}

impl Layout {
    pub(in crate::emulator) fn owner(&self, slot: u16) -> Option<usize> {
        self.owners.get(usize::from(slot)).copied()
    }

    /// The slots of every node, as ranges.
    pub(in crate::emulator) fn ranges(&self) -> Vec<(RangeInclusive<u16>, usize)> {
        let mut ranges: Vec<(RangeInclusive<u16>, usize)> = Vec::new();
        for (slot, owner) in (0..SLOTS).zip(&self.owners) {
            match ranges.last_mut() {
                Some((range, of)) if of == owner => *range = *range.start()..=slot,
                _ => ranges.push((slot..=slot, *owner)),
            }
        }
        ranges
    }

    fn redirection(&self, kind: &str, slot: u16, node: usize) -> Problem {
        match self.addresses.get(&node) {
            Some(address) => format!("{kind} {slot} {address}").into(),
            None => "CLUSTERDOWN Hash slot not served".into(),
        }
    }
}

/// What a node is called among nodes.
pub(super) fn id(node: usize) -> String {
    format!("{:040x}", node + 1)
}

/// A store's place in a cluster.
#[derive(Clone)]
pub(in crate::emulator) struct Member {
    pub(in crate::emulator) index: usize,
    pub(in crate::emulator) layout: Arc<Mutex<Layout>>,
}

impl Member {
    /// Whether this node serves all these keys together; otherwise where the client is to go.
    pub(super) fn check(&self, keys: &[&[u8]], data: &mut Data, asking: bool) -> Result<(), Problem> {
        let Some(slot) = keys.first().map(|key| slot_of(key)) else {
            return Ok(());
        };
        if keys.iter().any(|key| slot_of(key) != slot) {
            return Err("CROSSSLOT Keys in request don't hash to the same slot".into());
        }
        let layout = lock(&self.layout);
        let owner = layout.owner(slot).ok_or("CLUSTERDOWN Hash slot not served")?;
        let target = layout.moving.get(&slot).copied();
        let mut missing = || keys.iter().filter(|key| !data.exists(key)).count();
        let try_again = || Err("TRYAGAIN Multiple keys request during rehashing of slot".into());
        match target {
            Some(target) if owner == self.index => match missing() {
                0 => Ok(()),
                some if some < keys.len() => try_again(),
                _ => Err(layout.redirection("ASK", slot, target)),
            },
            Some(target) if target == self.index && asking => {
                let several = keys.iter().any(|key| *key != keys[0]);
                if several && missing() > 0 { try_again() } else { Ok(()) }
            }
            _ if owner == self.index => Ok(()),
            _ => Err(layout.redirection("MOVED", slot, owner)),
        }
    }

    /// Where a client that waits for these keys is to go, if they are no longer served here.
    pub(super) fn moved(&self, keys: &[Vec<u8>]) -> Option<Problem> {
        let slot = slot_of(keys.first()?);
        let layout = lock(&self.layout);
        let owner = layout.owner(slot)?;
        let is_here = owner == self.index || layout.moving.get(&slot) == Some(&self.index);
        (!is_here).then(|| layout.redirection("MOVED", slot, owner))
    }

    /// `CLUSTER`.
    pub(super) fn tell(&self, args: Args<'_>, data: &mut Data) -> Outcome {
        // Where a slot is expected, the text for what is none is the subcommand's own.
        let slot = |problem: &str| {
            let slot = u16::try_from(args.integer(1)?).ok().filter(|slot| *slot < SLOTS);
            slot.ok_or_else(|| Problem::from(problem))
        };
        match args.option(0).as_str() {
            "SLOTS" => Ok(self.slots()),
            "SHARDS" => Ok(self.shards()),
            "NODES" => Ok(Reply::Text(self.nodes())),
            "INFO" => Ok(Reply::Text(self.info())),
            "KEYSLOT" => Ok(Reply::Int(slot_of(args.at(1)).into())),
            "COUNTKEYSINSLOT" => Ok(count(data.keys_in(slot("ERR Invalid slot")?).len())),
            "GETKEYSINSLOT" => {
                let problem = "ERR Invalid slot or number of keys";
                let (slot, at_most) = (slot(problem)?, usize::try_from(args.integer(2)?).map_err(|_| problem)?);
                Ok(Reply::Array(data.keys_in(slot).into_iter().take(at_most).map(Reply::Bulk).collect()))
            }
            // All that `commands` knows beside these.
            _ => Ok(Reply::bulk(id(self.index))),
        }
    }

    fn slots(&self) -> Reply {
        let layout = lock(&self.layout);
        let node = |node: usize| {
            let address = layout.addresses.get(&node)?;
            let (ip, port) = (Reply::bulk(address.ip().to_string()), Reply::Int(address.port().into()));
            Some(Reply::Array(vec![ip, port, Reply::bulk(id(node)), Reply::Array(Vec::new())]))
        };
        let range = |(range, owner): (RangeInclusive<u16>, usize)| {
            let (first, last) = (Reply::Int((*range.start()).into()), Reply::Int((*range.end()).into()));
            Some(Reply::Array(vec![first, last, node(owner)?]))
        };
        Reply::Array(layout.ranges().into_iter().filter_map(range).collect())
    }

    /// As redis-server tells it where it has no port without TLS.
    fn shards(&self) -> Reply {
        let layout = lock(&self.layout);
        let ranges = layout.ranges();
        let shard = |(node, address): (&usize, &SocketAddr)| {
            let of_node = ranges.iter().filter(|(_, owner)| owner == node);
            let slots = of_node.flat_map(|(range, _)| [*range.start(), *range.end()]);
            let ip = address.ip().to_string();
            let node = Reply::Map(vec![
                (Reply::bulk("id"), Reply::bulk(id(*node))),
                (Reply::bulk("tls-port"), Reply::Int(address.port().into())),
                (Reply::bulk("ip"), Reply::bulk(ip.as_str())),
                (Reply::bulk("endpoint"), Reply::bulk(ip.as_str())),
                (Reply::bulk("role"), Reply::bulk("master")),
                (Reply::bulk("replication-offset"), Reply::Int(0)),
                (Reply::bulk("health"), Reply::bulk("online")),
            ]);
            Reply::Map(vec![
                (Reply::bulk("slots"), Reply::Array(slots.map(|slot| Reply::Int(slot.into())).collect())),
                (Reply::bulk("nodes"), Reply::Array(vec![node])),
            ])
        };
        Reply::Array(layout.addresses.iter().map(shard).collect())
    }

    fn nodes(&self) -> String {
        let layout = lock(&self.layout);
        let ranges = layout.ranges();
        let mut text = String::new();
        for (node, address) in &layout.addresses {
            let flags = if *node == self.index { "myself,master" } else { "master" };
            let bus = u32::from(address.port()) + 10_000;
            _ = write!(text, "{} {address}@{bus} {flags} - 0 0 {} connected", id(*node), node + 1);
            for (range, _) in ranges.iter().filter(|(_, owner)| owner == node) {
                _ = if range.start() == range.end() {
                    write!(text, " {}", range.start())
                } else {
                    write!(text, " {}-{}", range.start(), range.end())
                };
            }
            for (slot, target) in layout.moving.iter().filter(|_| *node == self.index) {
                _ = match layout.owner(*slot) {
                    Some(owner) if owner == *node => write!(text, " [{slot}->-{}]", id(*target)),
                    Some(owner) if target == node => write!(text, " [{slot}-<-{}]", id(owner)),
                    _ => Ok(()),
                };
            }
            text.push('\n');
        }
        text
    }

    fn info(&self) -> String {
        let layout = lock(&self.layout);
        let (slots, nodes) = (layout.owners.len(), layout.addresses.len());
        let mut owners = layout.owners.clone();
        owners.sort_unstable();
        owners.dedup();
        format!(
            "cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_assigned:{slots}\r\ncluster_slots_ok:{slots}\r\n\
             cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:{nodes}\r\ncluster_size:{}\r\n\
             cluster_current_epoch:{nodes}\r\ncluster_my_epoch:{}\r\n",
            owners.len(),
            self.index + 1,
        )
    }
}
