//! Sends units to their nodes, and those that are refused again, until each has its outcome.

use super::plan::{Plan, To, Unit};
use crate::{
    cluster::{
        node::Node,
        redirect::{Redirect, Sent},
        router::{Cluster, Map},
        slot::Slot,
    },
    error::{Error, ErrorKind, Stage},
    exec::{
        core::{Core, Way},
        order::Memory,
        redirects::Redirects,
        request::{CommandRequest, PipelineRequest, leaning_of, slot_by},
        retry::{Remedy, remedy},
        slow_path::SlowPath,
        waiting::{Turn, has_strayed},
    },
};
use futures_util::future::join_all;
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value};
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

pub(super) struct Rounds<'a> {
    core: &'a Core,
    cluster: &'a Cluster,
    memory: &'a mut Memory,
    deadline: Instant,
    redirects: Redirects<'a>,
}

/// A unit that is to be sent, and where a redirect has sent it.
struct Pending {
    unit: usize,
    way: Way,
}

/// Units that go to one node in one piece.
struct Group {
    node: Arc<Node>,
    asking: bool,
    pending: Vec<Pending>,
}

/// What became of a group, and the link that carried it.
struct Answered {
    replies: RedisResult<Vec<Value>>,
    link: Option<u64>,
}

/// What each group remembers of what it has sent. The handle's memory gets all of it, also if nobody waits any more.
struct Memories<'m> {
    whole: &'m mut Memory,
    parts: Vec<Memory>,
}

impl Drop for Memories<'_> {
    fn drop(&mut self) {
        for part in self.parts.drain(..) {
            self.whole.join(part);
        }
    }
}

impl<'a> Rounds<'a> {
    pub(super) fn new(core: &'a Core, cluster: &'a Cluster, memory: &'a mut Memory, deadline: Instant) -> Self {
        Self { core, cluster, memory, deadline, redirects: Redirects::new(core, cluster, deadline) }
    }

    /// The outcomes of all units, in order.
    ///
    /// # Errors
    ///
    /// Why none of them was sent: there was no room for all, or no node for some.
    pub(super) async fn run(mut self, plan: &Plan<'_>) -> RedisResult<Vec<RedisResult<Value>>> {
        let units = &plan.units;
        let pending = (0..units.len()).map(|unit| Pending { unit, way: Way::Owner }).collect();
        let groups = self.groups(units, pending).await.map_err(|error| self.failed(error))?;
        let permits = self.core.permits(groups.len(), self.deadline).await.map_err(|error| self.failed(error))?;
        let turns = permits.into_iter().map(|permit| Turn::Unsent(Some(permit))).collect();
        let answered = self.send(units, &groups, turns).await;

        let mut outcomes: Vec<_> = units.iter().map(|_| Ok(Value::Nil)).collect();
        let mut pending = self.settle(units, groups, answered, &mut outcomes).await;
        while !pending.is_empty() {
            // What was refused keeps that as its outcome if nobody serves it in time.
            let Ok(groups) = self.groups(units, pending).await else {
                break;
            };
            let again = |_| {
                self.core.admission.note_retry();
                Turn::Again
            };
            let turns = groups.iter().map(again).collect();
            let answered = self.send(units, &groups, turns).await;
            pending = self.settle(units, groups, answered, &mut outcomes).await;
        }
        Ok(outcomes)
    }

    fn failed(&self, error: Error) -> RedisError {
        self.core.admission.note_failure(&error);
        error.into()
    }

    /// Waits until each unit has a node, and puts those of the same node together.
    async fn groups(&self, units: &[Unit<'_>], pending: Vec<Pending>) -> Result<Vec<Group>, Error> {
        let mut seeker = None;
        loop {
            let changed = self.core.availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.core.is_closed() {
                return Err(Error::closed());
            }
            let map = self.cluster.map();
            let targets = pending.iter().map(|pending| self.target(&map, &units[pending.unit], &pending.way));
            if let Some(targets) = targets.collect::<Option<Vec<_>>>() {
                return Ok(together(pending, targets));
            }
            drop(map);
            seeker.get_or_insert_with(|| self.cluster.seek_owner());
            if self.core.timers.timeout_at(self.deadline, changed).await.is_none() {
                self.core.admission.note_unserved();
                let text =
                    "no node of the cluster served the slot of a key within the command's deadline; it was not sent";
                return Err(Error::new(ErrorKind::Timeout(Stage::Command), text).not_run());
            }
        }
    }

    /// The node that a unit goes to, by what is known now; and whether behind `ASKING`.
    fn target(&self, map: &Map, unit: &Unit<'_>, way: &Way) -> Option<(Arc<Node>, bool)> {
        let node = match (way, &unit.to) {
            (Way::Redirected { to, asking } | Way::Part { to, asking }, _) => return Some((Arc::clone(to), *asking)),
            (Way::Owner, To::Node(node)) => Arc::clone(node),
            (Way::Owner, To::Primary { node, lowest }) => {
                let is_primary = map.primaries().iter().any(|member| Arc::ptr_eq(&member.node, node));
                // Whoever has taken its place has its slots.
                if is_primary { Arc::clone(node) } else { Arc::clone(map.get(*lowest)?) }
            }
            (Way::Owner, To::Slot(slot)) => Arc::clone(map.get(*slot)?),
            (Way::Owner, To::Any) => self.cluster.any_node_for(leaning_of(&unit.cmd, unit.profile))?,
        };
        Some((node, false))
    }

    /// Sends all groups, and waits for all of them.
    async fn send(&mut self, units: &[Unit<'_>], groups: &[Group], turns: Vec<Turn>) -> Vec<Answered> {
        let (core, deadline) = (self.core, self.deadline);
        let parts = groups.iter().map(|_| self.memory.clone()).collect();
        let mut memories = Memories { whole: self.memory, parts };
        let sent = memories.parts.iter_mut().zip(groups).zip(turns).map(async |((memory, group), turn)| {
            let mut slow_path = SlowPath::new(core, memory);
            let replies = match &*group.pending {
                [only] => {
                    let Unit { cmd, profile, .. } = &units[only.unit];
                    let request = CommandRequest { cmd, profile: *profile };
                    slow_path.run_from(request, None, turn, group.way(units), deadline).await.map(|value| vec![value])
                }
                several => {
                    let mut pipeline = Pipeline::with_capacity(several.len());
                    for one in several {
                        pipeline.add_command(Cmd::clone(&units[one.unit].cmd));
                    }
                    let request = PipelineRequest { pipeline: &pipeline, offset: 0, count: pipeline.len() };
                    slow_path.run_from(request, None, turn, group.way(units), deadline).await
                }
            };
            Answered { replies, link: slow_path.link }
        });
        join_all(sent).await
    }

    /// Notes the outcomes; returns what is to be sent again, when it is time for that.
    async fn settle(
        &mut self,
        units: &[Unit<'_>],
        groups: Vec<Group>,
        answered: Vec<Answered>,
        outcomes: &mut [RedisResult<Value>],
    ) -> Vec<Pending> {
        let mut refused: Vec<(Pending, Redirect)> = Vec::new();
        for (group, Answered { replies, link }) in groups.into_iter().zip(answered) {
            let is_part = matches!(group.way(units), Way::Part { .. });
            let values: Vec<_> = match replies {
                Ok(values) => values.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error); group.pending.len()],
            };
            for (Pending { unit, .. }, outcome) in group.pending.iter().zip(values) {
                // A command alone has followed its redirects already.
                if is_part && let Some(redirect) = self.refusal(&units[*unit], &group.node, group.asking, &outcome) {
                    let way = self.redirects.heed(&redirect, link);
                    refused.push((Pending { unit: *unit, way }, redirect));
                }
                outcomes[*unit] = outcome;
            }
        }
        // One that is to be sent later decides for all of them.
        let Some((_, redirect)) = refused.iter().max_by_key(|(_, redirect)| redirect.target().is_none()) else {
            return Vec::new();
        };
        if self.redirects.allow(redirect).await { in_order(units, refused) } else { Vec::new() }
    }

    /// Why a unit of several is to be sent again: its node has said, or nobody has asked it, so that it has not run.
    fn refusal(&self, unit: &Unit<'_>, node: &Node, asking: bool, outcome: &RedisResult<Value>) -> Option<Redirect> {
        let error = match outcome {
            Ok(Value::ServerError(error)) => error,
            // The node's cursor means nothing to another one.
            Err(error) if has_strayed(error) && !matches!(unit.to, To::Node(_)) => return Some(Redirect::ClusterDown),
            _ => return None,
        };
        let runs_script = unit.profile.runs_script();
        if let To::Slot(slot) = unit.to {
            let sent = Sent { slot: slot_by(error, unit.profile, Some(slot)), runs_script, to: node.name() };
            let redirect = Redirect::of(error, sent).filter(|redirect| *redirect != Redirect::CrossSlot);
            if let Some(redirect) = redirect {
                return Some(self.redirects.read(redirect, asking));
            }
        }
        match remedy(error).filter(|_| !runs_script)? {
            // It is not ready, or not what it was: whoever has the slots then may be another one.
            Remedy::Later | Remedy::Reconnect => Some(Redirect::ClusterDown),
            Remedy::Elsewhere => None,
        }
    }
}

impl Group {
    fn way(&self, units: &[Unit<'_>]) -> Way {
        match &*self.pending {
            // It finds its way alone.
            [only] if matches!(units[only.unit].to, To::Slot(_) | To::Any) => only.way.clone(),
            _ => Way::Part { to: Arc::clone(&self.node), asking: self.asking },
        }
    }
}

/// Groups of the units that go to the same node.
fn together(pending: Vec<Pending>, targets: Vec<(Arc<Node>, bool)>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (pending, (node, asking)) in pending.into_iter().zip(targets) {
        match groups.iter_mut().find(|group| group.asking == asking && Arc::ptr_eq(&group.node, &node)) {
            Some(group) => group.pending.push(pending),
            None => groups.push(Group { node, asking, pending: vec![pending] }),
        }
    }
    groups
}

/// What was refused, in order. Units of one slot go the way of the first one of them: none overtakes another.
fn in_order(units: &[Unit<'_>], refused: Vec<(Pending, Redirect)>) -> Vec<Pending> {
    let mut refused: Vec<_> = refused.into_iter().map(|(pending, _)| pending).collect();
    refused.sort_unstable_by_key(|pending| pending.unit);
    let mut ways: HashMap<Slot, Way> = HashMap::new();
    for pending in &mut refused {
        // Of commands that are not known the slot is a guess, which may be wrong for each in another way.
        if let To::Slot(slot) = units[pending.unit].to
            && !units[pending.unit].profile.guesses_keys()
        {
            pending.way = ways.entry(slot).or_insert_with(|| pending.way.clone()).clone();
        }
    }
    refused
}

#[cfg(test)]
mod tests;
