//! What is sent for each command, and where to.

use super::assembly::{Assembly, Share};
use crate::{
    cluster::{
        gather::no_node,
        map::Member,
        node::Node,
        router::{Cluster, Map},
        slot::Slot,
        split::{Layout, Part, Split, split},
    },
    command::{Profile, aggregate::Aggregate, cursor, fan_out::FanOut, profile},
    exec::request::slot_of,
    lock::lock,
};
use redis::{Arg, Cmd, RedisResult, Value};
use std::{borrow::Cow, ops::Range, sync::Arc};
use tokio::time::Instant;

/// Where a unit goes.
pub(super) enum To {
    /// The owner of this slot.
    Slot(Slot),
    /// This primary, or whoever has taken its place: then the owner of the lowest slot that it had.
    Primary {
        node: Arc<Node>,
        lowest: Slot,
    },
    /// This node and no other one.
    Node(Arc<Node>),
    Any,
}

impl To {
    /// The primary that it is by this map; none if it is for no primary, or nobody has taken the place of that one.
    pub(super) fn primary<'m>(&'m self, map: &'m Map) -> Option<&'m Arc<Node>> {
        let Self::Primary { node, lowest } = self else {
            return None;
        };
        let is_primary = map.primaries().iter().any(|member| Arc::ptr_eq(&member.node, node));
        // Whoever has taken its place has its slots.
        if is_primary { Some(node) } else { map.get(*lowest) }
    }
}

/// One command for one node.
pub(super) struct Unit<'a> {
    pub(super) cmd: Cow<'a, Cmd>,
    pub(super) profile: Profile,
    pub(super) to: To,
}

/// The units of some commands, and what becomes of their replies.
pub(super) struct Plan<'a> {
    /// Who had which slots when they were taken apart.
    pub(super) map: Arc<Map>,
    pub(super) units: Vec<Unit<'a>>,
    /// The units of each `SCRIPT LOAD`, and of each `FUNCTION LOAD` that may run twice: the one with `REPLACE`.
    pub(super) loads: Vec<Range<usize>>,
    /// For each command, in order.
    commands: Vec<Assembly>,
}

impl<'a> Plan<'a> {
    /// # Errors
    ///
    /// A `SCAN` cursor that is not known.
    pub(super) fn of(commands: &[&'a Cmd], cluster: &Cluster) -> RedisResult<Self> {
        let mut plan = Self {
            map: Arc::clone(&cluster.map()),
            units: Vec::with_capacity(commands.len()),
            loads: Vec::new(),
            commands: Vec::with_capacity(commands.len()),
        };
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
                        let share = |Part { slot, cmd, keys }| Share {
                            unit: self.unit(Cow::Owned(cmd), profile, To::Slot(slot)),
                            keys,
                        };
                        let shares = parts.into_iter().map(share).collect();
                        let writes = !profile.only_reads();
                        Ok(Assembly::Parts { gather, layout, writes, shares })
                    }
                }
            }
            FanOut::Primaries(gather) => Ok(self.all_primaries(cmd, profile, gather)),
            FanOut::Scan(1) => self.scan(cmd, profile, cluster),
            FanOut::One | FanOut::Cursor(_) | FanOut::Slot(_) | FanOut::Scan(_) => {
                Ok(self.one(cmd, profile, slot_of(cmd, profile)))
            }
        }
    }

    /// Notes a unit; returns its number.
    fn unit(&mut self, cmd: Cow<'a, Cmd>, profile: Profile, to: To) -> usize {
        self.units.push(Unit { cmd, profile, to });
        self.units.len() - 1
    }

    fn one(&mut self, cmd: &'a Cmd, profile: Profile, slot: Option<Slot>) -> Assembly {
        Assembly::One(self.unit(Cow::Borrowed(cmd), profile, slot.map_or(To::Any, To::Slot)))
    }

    fn all_primaries(&mut self, cmd: &'a Cmd, profile: Profile, gather: Aggregate) -> Assembly {
        let map = Arc::clone(&self.map);
        let share = |member: &Member<Arc<Node>>| {
            let to = To::Primary { node: Arc::clone(&member.node), lowest: member.lowest()? };
            Some((self.unit(answered(cmd), profile, to), member.address.clone()))
        };
        let shares: Vec<_> = map.primaries().iter().filter_map(share).collect();
        let may_run_twice = match profile.full_name() {
            "SCRIPT LOAD" => true,
            "FUNCTION LOAD" => {
                cmd.args_iter().any(|arg| matches!(arg, Arg::Simple(word) if word.eq_ignore_ascii_case(b"REPLACE")))
            }
            _ => false,
        };
        if may_run_twice && !shares.is_empty() {
            self.loads.push(self.units.len() - shares.len()..self.units.len());
        }
        Assembly::Nodes { gather, shares }
    }

    /// `SCAN` goes to one node after the other, by its cursor.
    fn scan(&mut self, cmd: &'a Cmd, profile: Profile, cluster: &Cluster) -> RedisResult<Assembly> {
        let Some(given) = cursor::cursor_of(cmd, 1) else {
            return Ok(self.one(cmd, profile, None));
        };
        let map = Arc::clone(&self.map);
        let Some(position) = lock(&cluster.positions).resume(given, &map)? else {
            if map.primaries().is_empty() {
                return Err(no_node());
            }
            let none = vec![Value::BulkString(b"0".to_vec()), Value::Array(Vec::new())];
            return Ok(Assembly::Known(Value::Array(none)));
        };
        // The cursor is that node's own, whoever owns the slot when the command is sent.
        let node = map.get(position.slot).map(Arc::clone);
        let to = node.clone().map_or(To::Slot(position.slot), To::Node);
        let unit = self.unit(Cow::Owned(cursor::with_cursor(cmd, 1, position.cursor)), profile, to);
        Ok(Assembly::Scan { unit, node, position, map })
    }

    /// The replies to the commands, made from the outcomes of the units.
    pub(super) async fn assemble(
        self,
        mut outcomes: Vec<RedisResult<Value>>,
        cluster: &Cluster,
        deadline: Instant,
    ) -> Vec<RedisResult<Value>> {
        let mut replies = Vec::with_capacity(self.commands.len());
        for assembly in self.commands {
            replies.push(assembly.assemble(&mut outcomes, cluster, deadline).await);
        }
        replies
    }
}

/// A command whose replies are put together, whether its caller wants the whole of them or not.
fn answered(cmd: &Cmd) -> Cow<'_, Cmd> {
    if !cmd.is_no_response() {
        return Cow::Borrowed(cmd);
    }
    let mut answered = cmd.clone();
    answered.set_no_response(false);
    Cow::Owned(answered)
}

#[cfg(test)]
mod tests;
