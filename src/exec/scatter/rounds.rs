//! Sends units to their nodes, and those that are refused again, until each has its outcome.

use super::{
    groups::{Group, Loaded, Pending, in_order, together},
    plan::{Plan, To, Unit},
};
use crate::{
    cluster::{
        node::Node,
        redirect::{Redirect, Sent},
        router::{Cluster, Map},
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
use std::sync::Arc;
use tokio::time::Instant;

pub(super) struct Rounds<'a> {
    core: &'a Core,
    cluster: &'a Cluster,
    memory: &'a mut Memory,
    deadline: Instant,
    redirects: Redirects<'a>,
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
        let mut groups = self.groups(units, pending).await.map_err(|error| self.unserved(error))?;
        let mut loaded = Loaded::by(plan);
        loaded.complete(&mut groups);
        let permits = self.core.permits(groups.len(), self.deadline).await.map_err(|error| self.failed(error))?;
        let turns = permits.into_iter().map(|permit| Turn::Unsent(Some(permit))).collect();
        let answered = self.send(plan, &groups, turns).await;

        let mut outcomes: Vec<_> = units.iter().map(|_| Ok(Value::Nil)).collect();
        let mut pending = self.settle(plan, groups, answered, &mut outcomes).await;
        while !pending.is_empty() {
            let Ok(mut groups) = self.groups(units, pending).await else {
                break;
            };
            loaded.complete(&mut groups);
            let again = |_| {
                self.core.admission.note_retry();
                Turn::Again
            };
            let turns = groups.iter().map(again).collect();
            let answered = self.send(plan, &groups, turns).await;
            pending = self.settle(plan, groups, answered, &mut outcomes).await;
        }
        // What was refused keeps that as its outcome if nobody has served it in time. Whoever asks for one node alone
        // knows what to do when it is gone.
        let has_strayed = |(unit, outcome): &(&Unit<'_>, &mut RedisResult<Value>)| {
            !matches!(unit.to, To::Node(_)) && outcome.as_ref().is_err_and(has_strayed)
        };
        let mut strayed = units.iter().zip(&mut outcomes).filter(has_strayed).peekable();
        if strayed.peek().is_some() {
            let error =
                if self.core.is_closed() { self.failed(Error::closed()) } else { self.core.strayed_till_the_end() };
            strayed.for_each(|(_, outcome)| *outcome = Err(error.clone()));
        }
        Ok(outcomes)
    }

    fn unserved(&self, error: Error) -> RedisError {
        if matches!(error.kind(), ErrorKind::Timeout(_)) {
            self.core.admission.note_unserved();
        }
        self.failed(error)
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
    async fn send(&mut self, plan: &Plan<'_>, groups: &[Group], turns: Vec<Turn>) -> Vec<Answered> {
        let units = &plan.units;
        let (core, deadline) = (self.core, self.deadline);
        let parts = groups.iter().map(|_| self.memory.clone()).collect();
        let mut memories = Memories { whole: self.memory, parts };
        let sent = memories.parts.iter_mut().zip(groups).zip(turns).map(async |((memory, group), turn)| {
            let mut slow_path = SlowPath::new(core, memory);
            let way = group.way(plan);
            let replies = match &*group.pending {
                [only] if group.code.is_empty() => {
                    let Unit { cmd, profile, .. } = &units[only.unit];
                    let request = CommandRequest { cmd, profile: *profile };
                    slow_path.run_from(request, None, turn, way, deadline).await.map(|value| vec![value])
                }
                several => {
                    let before = group.code.len();
                    let mut pipeline = Pipeline::with_capacity(before + several.len());
                    for unit in group.code.iter().copied().chain(several.iter().map(|pending| pending.unit)) {
                        pipeline.add_command(Cmd::clone(&units[unit].cmd));
                    }
                    let request = PipelineRequest { pipeline: &pipeline, offset: 0, count: pipeline.len() };
                    let replies = slow_path.run_from(request, None, turn, way, deadline).await;
                    replies.map(|mut replies| replies.split_off(before.min(replies.len())))
                }
            };
            Answered { replies, link: slow_path.link }
        });
        join_all(sent).await
    }

    /// Notes the outcomes; returns what is to be sent again, when it is time for that.
    async fn settle(
        &mut self,
        plan: &Plan<'_>,
        groups: Vec<Group>,
        answered: Vec<Answered>,
        outcomes: &mut [RedisResult<Value>],
    ) -> Vec<Pending> {
        let units = &plan.units;
        let mut refused: Vec<(Pending, Redirect)> = Vec::new();
        for (group, Answered { replies, link }) in groups.into_iter().zip(answered) {
            let is_part = matches!(group.way(plan), Way::Part { .. });
            let values: Vec<_> = match replies {
                Ok(values) => values.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error); group.pending.len()],
            };
            for (Pending { unit, .. }, outcome) in group.pending.iter().zip(values) {
                // A command alone has followed its redirects already.
                if is_part
                    && let Some(redirect) = self.to_send_again(&units[*unit], &group.node, group.asking, &outcome)
                {
                    let way = self.redirects.heed(&redirect, link);
                    refused.push((Pending { unit: *unit, way }, redirect));
                }
                // That Redis has refused it says more than that it could not be sent again since.
                let has_word = matches!(outcomes[*unit], Ok(Value::ServerError(_)));
                if !has_word || !outcome.as_ref().is_err_and(is_unsent) {
                    outcomes[*unit] = outcome;
                }
            }
        }
        // One that is to be sent later decides for all of them.
        let Some((_, redirect)) = refused.iter().max_by_key(|(_, redirect)| redirect.target().is_none()) else {
            return Vec::new();
        };
        if self.redirects.allow(redirect).await { in_order(units, refused) } else { Vec::new() }
    }

    /// Why a unit of several is to be sent again, if it is: its node has refused it, or it was sent to none. In either
    /// case it has not run.
    fn to_send_again(
        &self,
        unit: &Unit<'_>,
        node: &Node,
        asking: bool,
        outcome: &RedisResult<Value>,
    ) -> Option<Redirect> {
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

/// Whether it was not sent, because there was no node for it, or no time left.
fn is_unsent(error: &RedisError) -> bool {
    has_strayed(error) || (error.is_timeout() && !Error::leaves_open(error))
}

#[cfg(test)]
mod tests;
