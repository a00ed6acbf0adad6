//! Sends units to their nodes, and those that are refused again, until each has its outcome.

use super::plan::{Plan, To, Unit};
use crate::{
    admission::{Overload, Permit},
    cluster::{
        node::Node,
        redirect::{Redirect, RedirectBudget, Sent},
        router::Cluster,
    },
    error::{Error, ErrorKind, Stage},
    exec::{
        core::{Core, Way},
        order::Memory,
        request::{CommandRequest, PipelineRequest},
        slow_path::SlowPath,
        waiting::Turn,
    },
};
use futures_util::future::join_all;
use redis::{Pipeline, RedisError, RedisResult, Value};
use std::sync::Arc;
use tokio::time::Instant;

/// How long a command waits between two looks for as many permits as it needs.
const RECHECK: std::time::Duration = std::time::Duration::from_millis(5);

pub(super) struct Rounds<'a> {
    core: &'a Core,
    cluster: &'a Cluster,
    memory: &'a mut Memory,
    deadline: Instant,
    budget: RedirectBudget,
}

/// A unit that has no outcome yet, and where it was sent by a redirect.
struct Pending {
    unit: usize,
    way: Way,
}

/// Units that go to one node in one piece.
struct Group {
    node: Arc<Node>,
    asking: bool,
    units: Vec<usize>,
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
    pub(super) fn new(core: &'a Core, cluster: &'a Cluster, memory: &'a mut Memory) -> Self {
        let deadline = Instant::now() + core.command_timeout;
        Self { core, cluster, memory, deadline, budget: RedirectBudget::default() }
    }

    /// The outcomes of all units, in order.
    ///
    /// # Errors
    ///
    /// That there was no room for all of them, so that none was sent.
    pub(super) async fn run(mut self, plan: &Plan<'_>) -> RedisResult<Vec<RedisResult<Value>>> {
        let units = &plan.units;
        let mut outcomes: Vec<Option<RedisResult<Value>>> = units.iter().map(|_| None).collect();
        let mut pending: Vec<_> = (0..units.len()).map(|unit| Pending { unit, way: Way::default() }).collect();
        let mut is_first = true;
        while !pending.is_empty() {
            let groups = self.groups(units, &pending).await?;
            let turns =
                if is_first { self.permits(groups.len()).await? } else { groups.iter().map(|_| Turn::Again).collect() };
            is_first = false;
            let replies = self.send(units, &groups, turns).await;
            pending = self.settle(units, &groups, replies, &mut outcomes).await;
        }
        let none = || Err(RedisError::from(Error::closed()));
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(none)).collect())
    }

    /// Waits until each unit has a node, and puts those of the same node together.
    async fn groups(&self, units: &[Unit<'_>], pending: &[Pending]) -> RedisResult<Vec<Group>> {
        loop {
            let changed = self.core.availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.core.is_closed() {
                return Err(Error::closed().into());
            }
            if let Some(groups) = self.try_groups(units, pending) {
                return Ok(groups);
            }
            self.cluster.doubt();
            if self.core.timers.timeout_at(self.deadline, changed).await.is_none() {
                let error = Error::new(
                    ErrorKind::Timeout(Stage::Command),
                    "no node of the cluster served the slot of a key within the command's deadline; it was not sent",
                );
                self.core.admission.note_unserved();
                self.core.admission.note_failure(&error);
                return Err(error.into());
            }
        }
    }

    fn try_groups(&self, units: &[Unit<'_>], pending: &[Pending]) -> Option<Vec<Group>> {
        let map = self.cluster.map();
        let mut any = None;
        let mut groups: Vec<Group> = Vec::new();
        for Pending { unit, way } in pending {
            let node = match (&way.to, &units[*unit].to) {
                (Some(node), _) | (None, To::Node(node)) => Arc::clone(node),
                (None, To::Slot(slot)) => Arc::clone(map.get(*slot)?),
                // All of them to the same one.
                (None, To::Any) => {
                    if any.is_none() {
                        any = self.cluster.any_node();
                    }
                    Arc::clone(any.as_ref()?)
                }
            };
            // `ASKING` is for one command.
            let group = groups.iter_mut().find(|group| !way.asking && !group.asking && Arc::ptr_eq(&group.node, &node));
            match group {
                Some(group) => group.units.push(*unit),
                None => groups.push(Group { node, asking: way.asking, units: vec![*unit] }),
            }
        }
        Some(groups)
    }

    /// Permits for all parts, before any of them is sent.
    async fn permits(&self, count: usize) -> RedisResult<Vec<Turn>> {
        let admission = &self.core.admission;
        let refuse = |error: Error| {
            admission.note_failure(&error);
            RedisError::from(error)
        };
        let _waiting = admission.wait();
        loop {
            if !admission.has_queue() && admission.try_acquire_many(count) {
                let permit = |_| Turn::Unsent(Some(Permit::acquired(admission)));
                return Ok((0..count).map(permit).collect());
            }
            if self.core.is_closed() {
                return Err(refuse(Error::closed()));
            }
            if self.core.overload == Overload::Refuse || !admission.has_room_for(count) {
                return Err(refuse(admission.overloaded()));
            }
            let again = Instant::now() + RECHECK;
            if again >= self.deadline {
                admission.note_unserved();
                let text =
                    "too many commands were in flight (`max_in_flight`) until this one's deadline; it was not sent";
                return Err(refuse(Error::new(ErrorKind::Timeout(Stage::Command), text)));
            }
            self.core.timers.sleep_until(again).await;
        }
    }

    /// Sends all groups, and waits for all of them.
    async fn send(&mut self, units: &[Unit<'_>], groups: &[Group], turns: Vec<Turn>) -> Vec<RedisResult<Vec<Value>>> {
        let (core, deadline) = (self.core, self.deadline);
        let parts = groups.iter().map(|_| self.memory.clone()).collect();
        let mut memories = Memories { whole: self.memory, parts };
        let sent = memories.parts.iter_mut().zip(groups).zip(turns).map(async |((memory, group), turn)| {
            let way = Way { to: Some(Arc::clone(&group.node)), asking: group.asking };
            let mut slow_path = SlowPath { core, memory };
            if let [unit] = *group.units {
                let Unit { cmd, profile, .. } = &units[unit];
                let request = CommandRequest { cmd, profile: *profile };
                return slow_path.run_from(request, None, turn, way, deadline).await.map(|value| vec![value]);
            }
            let mut pipeline = Pipeline::with_capacity(group.units.len());
            group.units.iter().for_each(|unit| _ = pipeline.add_command(units[*unit].cmd.clone().into_owned()));
            let request = PipelineRequest { pipeline: &pipeline, offset: 0, count: pipeline.len() };
            slow_path.run_from(request, None, turn, way, deadline).await
        });
        join_all(sent).await
    }

    /// Notes the outcomes; returns what is to be sent again, when it is time for that.
    async fn settle(
        &mut self,
        units: &[Unit<'_>],
        groups: &[Group],
        replies: Vec<RedisResult<Vec<Value>>>,
        outcomes: &mut [Option<RedisResult<Value>>],
    ) -> Vec<Pending> {
        let mut refused: Vec<(Pending, Value, Redirect)> = Vec::new();
        for (group, reply) in groups.iter().zip(replies) {
            let values = match reply {
                Ok(values) => values.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error); group.units.len()],
            };
            for (unit, outcome) in group.units.iter().zip(values) {
                // A command alone has followed its redirects already.
                let redirect =
                    if group.units.len() > 1 { redirect(&units[*unit], &group.node, &outcome) } else { None };
                match (redirect, outcome) {
                    (Some(redirect), Ok(value)) => {
                        let way = self.way(&redirect, &group.node);
                        refused.push((Pending { unit: *unit, way }, value, redirect));
                    }
                    (_, outcome) => outcomes[*unit] = Some(outcome),
                }
            }
        }
        refused.sort_by_key(|(pending, ..)| pending.unit);
        let Some((.., redirect)) = refused.iter().max_by_key(|(.., redirect)| redirect.target().is_none()) else {
            return Vec::new();
        };
        match self.budget.next_delay(redirect, Instant::now(), self.deadline) {
            Some(delay) => {
                if !delay.is_zero() {
                    self.core.timers.sleep_until(Instant::now() + delay).await;
                }
                self.core.admission.note_retry();
                refused.into_iter().map(|(pending, ..)| pending).collect()
            }
            None => {
                for (Pending { unit, .. }, value, _) in refused {
                    outcomes[unit] = Some(Ok(value));
                }
                Vec::new()
            }
        }
    }

    fn way(&self, redirect: &Redirect, node: &Node) -> Way {
        match redirect {
            Redirect::Moved { slot, to } => {
                self.cluster.moved(*slot, to);
                if node.name() == to {
                    // Whichever of its links it was: all of them are looked at.
                    node.pool().snapshot().iter().for_each(|link| link.suspect());
                }
                Way { to: Some(self.cluster.nodes.get(to)), asking: false }
            }
            Redirect::Ask { to, .. } => Way { to: Some(self.cluster.nodes.get(to)), asking: true },
            Redirect::ClusterDown => {
                self.cluster.doubt();
                Way::default()
            }
            Redirect::TryAgain | Redirect::CrossSlot => Way::default(),
        }
    }
}

fn redirect(unit: &Unit<'_>, node: &Node, outcome: &RedisResult<Value>) -> Option<Redirect> {
    let (Ok(Value::ServerError(error)), To::Slot(slot)) = (outcome, &unit.to) else {
        return None;
    };
    let sent = Sent { slot: Some(*slot), runs_script: unit.profile.runs_script(), to: node.name() };
    Redirect::of(error, sent).filter(|redirect| *redirect != Redirect::CrossSlot)
}
