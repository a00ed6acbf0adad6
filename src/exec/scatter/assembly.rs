//! One reply from those of several nodes.

use crate::{
    cluster::{
        address::NodeAddress,
        gather::{About, PartialReply, gather},
        node::Node,
        partial::{Fate, Partial},
        router::{Cluster, Map},
        scan::Position,
        split::Layout,
    },
    command::{aggregate::Aggregate, cursor},
    lock::lock,
};
use redis::{RedisError, RedisResult, ServerError, Value};
use std::{mem::replace, sync::Arc};
use tokio::time::Instant;

/// How a command's reply comes about.
pub(super) enum Assembly {
    /// It is that of this unit.
    One(usize),
    /// Nobody needs to be asked.
    Known(Value),
    /// From those of the parts, by keys.
    Parts { gather: Aggregate, layout: Layout, writes: bool, shares: Vec<Share> },
    /// From those of all primaries: the number of each one's unit, and its address.
    Nodes { gather: Aggregate, shares: Vec<(usize, NodeAddress)> },
    /// That of this unit, with another cursor.
    Scan { unit: usize, node: Option<Arc<Node>>, position: Position, map: Arc<Map> },
}

/// A part of a command.
pub(super) struct Share {
    /// The number of its unit.
    pub(super) unit: usize,
    /// The numbers of the command's keys that it has.
    pub(super) keys: Vec<usize>,
}

impl Assembly {
    pub(super) async fn assemble(
        self,
        outcomes: &mut [RedisResult<Value>],
        cluster: &Cluster,
        deadline: Instant,
    ) -> RedisResult<Value> {
        match self {
            Self::One(unit) => take(outcomes, unit),
            Self::Known(value) => Ok(value),
            Self::Scan { unit, node, position, map } => {
                let reply = take(outcomes, unit)?;
                let Some(answered) = cursor::answered(&reply) else {
                    return Ok(reply);
                };
                let comes_again = match node {
                    Some(node) if answered == 0 => cluster.has_lost_slots(&node, &map, deadline).await,
                    _ => false,
                };
                let mut positions = lock(&cluster.positions);
                let next =
                    if comes_again { positions.again(position) } else { positions.advance(position, answered, &map) };
                Ok(cursor::with_answer(reply, next))
            }
            Self::Nodes { gather: aggregate, shares } => {
                let replies = shares
                    .iter()
                    .map(|(unit, by)| PartialReply { about: About::Node(by), outcome: take(outcomes, *unit) });
                gather(aggregate, replies.collect())
            }
            Self::Parts { gather: aggregate, layout, writes, shares } => {
                let is_done = |share: &Share| Fate::of(&outcomes[share.unit]) == Fate::Done;
                let has_failed = writes && !shares.iter().all(is_done);
                let partial = has_failed.then(|| partial(&shares, outcomes, layout));
                let replies = shares.iter().map(|Share { unit, keys }| PartialReply {
                    about: About::Keys(keys),
                    outcome: take(outcomes, *unit),
                });
                let result = gather(aggregate, replies.collect());
                match partial {
                    Some(partial) => explained(&partial, result),
                    None => result,
                }
            }
        }
    }
}

/// The outcome of a unit, which has one reader.
fn take(outcomes: &mut [RedisResult<Value>], unit: usize) -> RedisResult<Value> {
    outcomes.get_mut(unit).map_or(Ok(Value::Nil), |outcome| replace(outcome, Ok(Value::Nil)))
}

/// What has become of each key of a write.
fn partial(shares: &[Share], outcomes: &[RedisResult<Value>], layout: Layout) -> Partial {
    let mut partial = Partial::of_keys();
    for share in shares {
        partial.add(Fate::of(&outcomes[share.unit]), share.keys.iter().map(|key| layout.argument(*key)));
    }
    partial
}

fn explained(partial: &Partial, result: RedisResult<Value>) -> RedisResult<Value> {
    match result {
        Err(error) => Err(partial.explain(&error)),
        Ok(Value::ServerError(error)) => {
            ServerError::try_from(partial.explain(&RedisError::from(error))).map(Value::ServerError)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests;
