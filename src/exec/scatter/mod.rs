//! Commands and pipelines for several nodes of a cluster: taken apart by where their keys are, sent together, and put
//! together again.
//!
//! A pipeline's commands for one node are sent in one piece and in their order. Between nodes there is no order but that
//! of the pipeline's keys: all commands on one key go to the same node.

mod assembly;
mod plan;
mod rounds;

use super::{core::Core, order::Memory};
use crate::{
    cluster::{cross_slot, router::Cluster, slot::Slot},
    command::{Operation, Profile, fan_out::FanOut, profile},
    observe::metrics::{Failure, Stopwatch},
};
use plan::Plan;
use redis::{Cmd, Pipeline, RedisResult, Value};
use rounds::Rounds;
use std::slice::from_ref;

/// Whether a command may have to go to several nodes.
pub(crate) fn is_for_several(profile: Profile) -> bool {
    matches!(profile.fan_out(), FanOut::Split { .. } | FanOut::Primaries(_) | FanOut::Scan(_))
}

/// Sends one command to all nodes that it is for.
pub(crate) async fn command(core: &Core, cluster: &Cluster, memory: &mut Memory, cmd: &Cmd) -> RedisResult<Value> {
    let profile = profile(cmd);
    let mut stopwatch = Stopwatch::default();
    stopwatch.start();
    let result = async {
        let plan = Plan::of(from_ref(&cmd), cluster)?;
        let outcomes = Rounds::new(core, cluster, memory).run(&plan).await?;
        let mut values = plan.assemble(outcomes, cluster);
        values.pop().unwrap_or(Ok(Value::Nil))
    }
    .await;
    if let Some(took) = stopwatch.stop() {
        let failure = match &result {
            Ok(Value::ServerError(error)) => Some(Failure::of_answer(error)),
            Ok(_) => None,
            Err(error) => Some(Failure::of_error(error)),
        };
        core.operations.record(Operation::Command(profile), took, failure);
    }
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
    let mut stopwatch = Stopwatch::default();
    stopwatch.start();
    let result = async {
        let commands: Vec<&Cmd> = pipeline.cmd_iter().collect();
        let plan = Plan::of(&commands, cluster)?;
        let outcomes = Rounds::new(core, cluster, memory).run(&plan).await?;
        plan.assemble(outcomes, cluster).into_iter().skip(offset).take(count).collect::<RedisResult<Vec<_>>>()
    }
    .await;
    if let Some(took) = stopwatch.stop() {
        let is_error = |value: &Value| matches!(value, Value::ServerError(_));
        let failure = match &result {
            Ok(values) => values.iter().find(|value| is_error(value)).and_then(|value| match value {
                Value::ServerError(error) => Some(Failure::of_answer(error)),
                _ => None,
            }),
            Err(error) => Some(Failure::of_error(error)),
        };
        core.operations.record(Operation::Pipeline, took, failure);
    }
    result
}

/// Whether all keys of a transaction are in one slot.
///
/// # Errors
///
/// `CROSSSLOT`, with the slots of its keys.
pub(crate) fn check_transaction(pipeline: &Pipeline) -> RedisResult<()> {
    let places = pipeline.cmd_iter().enumerate().flat_map(|(command, cmd)| {
        let profile = profile(cmd);
        profile.key_places(cmd).map(move |(argument, key)| cross_slot::KeyPlace {
            command,
            argument,
            slot: Slot::of(key),
        })
    });
    let places: Vec<_> = places.collect();
    cross_slot::one_slot(places.iter().copied()).map(drop)
}
