//! What is sent for each command, and where to.

use super::assembly::{Assembly, Share};
use crate::{
    cluster::{
        node::Node,
        router::Cluster,
        scan,
        slot::Slot,
        split::{Layout, Split, split},
    },
    command::{Profile, aggregate::Aggregate, fan_out::FanOut, profile},
    exec::request::slot_of,
    lock::lock,
};
use redis::{Cmd, RedisResult, Value};
use std::{borrow::Cow, sync::Arc};

/// Where a unit goes.
#[derive(Clone)]
pub(super) enum To {
    Slot(Slot),
    Node(Arc<Node>),
    Any,
}

/// One command for one node.
pub(super) struct Unit<'a> {
    pub(super) cmd: Cow<'a, Cmd>,
    pub(super) profile: Profile,
    pub(super) to: To,
}

/// The units of some commands, and what becomes of their replies.
pub(super) struct Plan<'a> {
    pub(super) units: Vec<Unit<'a>>,
    /// For each command, in order.
    commands: Vec<Assembly>,
}

impl<'a> Plan<'a> {
    /// # Errors
    ///
    /// A `SCAN` cursor that is not known.
    pub(super) fn of(commands: &[&'a Cmd], cluster: &Cluster) -> RedisResult<Self> {
        let mut plan = Self { units: Vec::with_capacity(commands.len()), commands: Vec::with_capacity(commands.len()) };
        for cmd in commands {
            let assembly = plan.add(cmd, cluster)?;
            plan.commands.push(assembly);
        }
        Ok(plan)
    }

    fn add(&mut self, cmd: &'a Cmd, cluster: &Cluster) -> RedisResult<Assembly> {
        let profile = profile(cmd);
        match profile.fan_out() {
            FanOut::Split { each, last, gather } => {
                let layout = Layout { first: 1, step: each.into(), trailing: last.into() };
                match split(cmd, layout) {
                    Split::Whole(slot) => Ok(self.one(cmd, profile, slot)),
                    Split::Parts(parts) => {
                        let share = |part: crate::cluster::split::Part| {
                            self.units.push(Unit { cmd: Cow::Owned(part.cmd), profile, to: To::Slot(part.slot) });
                            Share { unit: self.units.len() - 1, slot: Some(part.slot), node: None, keys: part.keys }
                        };
                        let shares = parts.into_iter().map(share).collect();
                        let writes = !profile.only_reads();
                        Ok(Assembly::Parts { gather, layout, writes, shares })
                    }
                }
            }
            FanOut::Primaries(gather) => Ok(self.all_primaries(cmd, profile, gather, cluster)),
            FanOut::Scan(1) => self.scan(cmd, profile, cluster),
            FanOut::One | FanOut::Slot(_) | FanOut::Scan(_) => Ok(self.one(cmd, profile, slot_of(cmd, profile))),
        }
    }

    fn one(&mut self, cmd: &'a Cmd, profile: Profile, slot: Option<Slot>) -> Assembly {
        self.units.push(Unit { cmd: Cow::Borrowed(cmd), profile, to: slot.map_or(To::Any, To::Slot) });
        Assembly::One(self.units.len() - 1)
    }

    fn all_primaries(&mut self, cmd: &'a Cmd, profile: Profile, gather: Aggregate, cluster: &Cluster) -> Assembly {
        let map = cluster.map();
        let share = |member: &crate::cluster::map::Member<Arc<Node>>| {
            let to = To::Node(Arc::clone(&member.node));
            self.units.push(Unit { cmd: Cow::Borrowed(cmd), profile, to });
            let unit = self.units.len() - 1;
            Share { unit, slot: None, node: Some(Arc::clone(&member.node)), keys: Vec::new() }
        };
        Assembly::Nodes { gather, shares: map.primaries().iter().map(share).collect() }
    }

    /// `SCAN` goes to one node after the other, by its cursor.
    fn scan(&mut self, cmd: &'a Cmd, profile: Profile, cluster: &Cluster) -> RedisResult<Assembly> {
        let Some(cursor) = scan::cursor_of(cmd) else {
            return Ok(self.one(cmd, profile, None));
        };
        let map = cluster.map();
        let Some(position) = lock(&cluster.positions).resume(cursor, &map)? else {
            let none = vec![Value::BulkString(b"0".to_vec()), Value::Array(Vec::new())];
            return Ok(Assembly::Known(Value::Array(none)));
        };
        let cmd = Cow::Owned(scan::with_cursor(cmd, position.cursor));
        self.units.push(Unit { cmd, profile, to: To::Slot(position.slot) });
        Ok(Assembly::Scan { unit: self.units.len() - 1, position, map: Arc::clone(&map) })
    }

    /// The replies to the commands, made from the outcomes of the units.
    pub(super) fn assemble(self, mut outcomes: Vec<RedisResult<Value>>, cluster: &Cluster) -> Vec<RedisResult<Value>> {
        self.commands.into_iter().map(|assembly| assembly.assemble(&mut outcomes, cluster)).collect()
    }
}
