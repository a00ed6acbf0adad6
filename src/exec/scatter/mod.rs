//! Commands and pipelines for several nodes of a cluster: taken apart by where their keys are, sent together, and put
//! together again.
//!
//! A pipeline's commands for one node are sent in one piece and in their order. Between nodes there is no order but
//! that of the pipeline's keys: all commands on one key go to the same node, and what that refuses is not sent again
//! behind what it has run on the same key (`overtaken`).

mod assembly;
#[cfg(test)]
pub(super) mod ground;
mod groups;
mod overtaken;
mod plan;
mod progress;
mod rounds;

use super::{core::Core, order::Memory, record::Record, waiting::has_strayed};
use crate::{
    cluster::{
        cross_slot::{KeyPlace, one_slot},
        partial::{Fate, Partial},
        router::Cluster,
        slot::Slot,
    },
    command::{Operation, Profile, fan_out::FanOut, profile},
    error::Error,
};
use plan::Plan;
use redis::{Cmd, Pipeline, RedisResult, Value};
use rounds::Rounds;
use std::slice::from_ref;
use tokio::time::Instant;

/// Whether a command may have to go to several nodes.
pub(crate) fn is_for_several(cmd: &Cmd, profile: Profile) -> bool {
    match profile.fan_out() {
        FanOut::One | FanOut::Cursor(_) | FanOut::Slot(_) => false,
        FanOut::Split { .. } => {
            let mut slots = profile.keys(cmd).map(Slot::of);
            let first = slots.next();
            slots.any(|slot| Some(slot) != first)
        }
        FanOut::Primaries(_) | FanOut::Scan(_) => true,
    }
}

/// Sends one command to all nodes that it is for.
pub(crate) async fn command(core: &Core, cluster: &Cluster, memory: &mut Memory, cmd: &Cmd) -> RedisResult<Value> {
    let profile = profile(cmd);
    let is_scan = matches!(profile.fan_out(), FanOut::Scan(_));
    let work = async {
        let deadline = Instant::now() + core.command_timeout;
        loop {
            let plan = Plan::of(from_ref(&cmd), cluster)?;
            let outcomes = Rounds::new(core, cluster, memory, deadline).run(&plan).await?;
            match plan.assemble(outcomes, cluster, deadline).await.pop().unwrap_or(Ok(Value::Nil)) {
                // A scan goes on at another node when the one that it was at has left: by the map as it is now.
                Err(error) if is_scan && has_strayed(&error) => {
                    if Instant::now() >= deadline {
                        return Err(core.strayed_till_the_end());
                    }
                }
                // Nobody waits for what the nodes have answered.
                Ok(value) if cmd.is_no_response() && !is_error(&value) => return Ok(Value::Nil),
                result => return result,
            }
        }
    };
    let mut record = Record::of(core, Operation::Command(profile));
    let result = work.await;
    record.end(&result);
    result
}

/// Sends a pipeline that is no transaction; of the replies, `count` after the first `offset`.
pub(crate) async fn pipeline(
    core: &Core,
    cluster: &Cluster,
    memory: &mut Memory,
    pipeline: &Pipeline,
    (offset, count): (usize, usize),
) -> RedisResult<Vec<Value>> {
    let work = async {
        let deadline = Instant::now() + core.command_timeout;
        let commands: Vec<&Cmd> = pipeline.cmd_iter().collect();
        let plan = Plan::of(&commands, cluster)?;
        let outcomes = Rounds::new(core, cluster, memory, deadline).run(&plan).await?;
        let results = plan.assemble(outcomes, cluster, deadline).await;
        if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
            // A `SCAN`'s: the cursor of a node that is gone means nothing to another one.
            if let Some(strayed) = Error::from_redis(error).filter(|_| has_strayed(error)) {
                core.admission.note_failure(strayed);
            }
            let mut partial = Partial::of_commands();
            for (index, result) in results.iter().enumerate() {
                partial.add(Fate::of_command(result), [index]);
            }
            return Err(partial.explain(error));
        }
        Ok(results.into_iter().flatten().skip(offset).take(count).collect())
    };
    let mut record = Record::of(core, Operation::Pipeline);
    let result = work.await;
    record.end_with(result.as_ref().map(Vec::as_slice));
    result
}

fn is_error(value: &Value) -> bool {
    matches!(value, Value::ServerError(_))
}

/// Whether all keys of a transaction are in one slot.
///
/// # Errors
///
/// `CROSSSLOT`, with the slots of its keys.
pub(crate) fn check_transaction(pipeline: &Pipeline) -> RedisResult<()> {
    let places: Vec<_> = pipeline
        .cmd_iter()
        .enumerate()
        .flat_map(|(command, cmd)| {
            let place = move |(argument, key)| KeyPlace { command, argument, slot: Slot::of(key) };
            profile(cmd).key_places(cmd).map(place)
        })
        .collect();
    one_slot(places.iter().copied()).map(drop)
}
