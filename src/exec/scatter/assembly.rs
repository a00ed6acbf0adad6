//! One reply from those of several nodes.

use crate::{
    cluster::{
        address::NodeAddress,
        gather::{Reply, gather},
        node::Node,
        partial::{Fate, PartialWrite},
        router::{Cluster, Map},
        scan::Position,
        slot::Slot,
        split::Layout,
    },
    command::aggregate::Aggregate,
    lock::lock,
};
use redis::{RedisError, RedisResult, Value};
use std::{mem::replace, sync::Arc};

/// A part of a command.
pub(super) struct Share {
    /// The number of its unit.
    pub(super) unit: usize,
    pub(super) slot: Option<Slot>,
    pub(super) node: Option<Arc<Node>>,
    /// The numbers of the command's keys that it has.
    pub(super) keys: Vec<usize>,
}

/// How a command's reply comes about.
pub(super) enum Assembly {
    /// It is that of this unit.
    One(usize),
    /// Nobody needs to be asked.
    Known(Value),
    /// From those of the parts, by keys.
    Parts { gather: Aggregate, layout: Layout, writes: bool, shares: Vec<Share> },
    /// From those of all primaries.
    Nodes { gather: Aggregate, shares: Vec<Share> },
    /// That of this unit, with another cursor.
    Scan { unit: usize, position: Position, map: Arc<Map> },
}

impl Assembly {
    pub(super) fn assemble(self, outcomes: &mut [RedisResult<Value>], cluster: &Cluster) -> RedisResult<Value> {
        let mut take =
            |unit: usize| outcomes.get_mut(unit).map_or(Ok(Value::Nil), |outcome| replace(outcome, Ok(Value::Nil)));
        match self {
            Self::One(unit) => take(unit),
            Self::Known(value) => Ok(value),
            Self::Scan { unit, position, map } => {
                let value = take(unit)?;
                Ok(with_cursor(value, |answered| lock(&cluster.positions).advance(position, answered, &map)))
            }
            Self::Nodes { gather: aggregate, shares } => {
                let shares: Vec<_> = shares.into_iter().map(|share| (take(share.unit), share)).collect();
                together(aggregate, shares, cluster, false)
            }
            Self::Parts { gather: aggregate, layout, writes, shares } => {
                let shares: Vec<_> = shares.into_iter().map(|share| (take(share.unit), share)).collect();
                let partial = writes.then(|| partial(&shares, layout));
                let result = together(aggregate, shares, cluster, true);
                match (partial, result) {
                    (Some(partial), Err(error)) => Err(partial.explain(&error)),
                    (Some(partial), Ok(Value::ServerError(error))) => {
                        let explained = partial.explain(&RedisError::from(error));
                        redis::ServerError::try_from(explained).map(Value::ServerError)
                    }
                    (_, result) => result,
                }
            }
        }
    }
}

/// The address of the node that a part was for.
fn address(share: &Share, cluster: &Cluster) -> NodeAddress {
    match (&share.node, share.slot) {
        (Some(node), _) => node.name().clone(),
        (None, Some(slot)) => {
            cluster.map().owner(slot).map_or_else(|| NodeAddress::new("none", 1), |owner| owner.address.clone())
        }
        (None, None) => NodeAddress::new("none", 1),
    }
}

fn together(
    aggregate: Aggregate,
    shares: Vec<(RedisResult<Value>, Share)>,
    cluster: &Cluster,
    by_keys: bool,
) -> RedisResult<Value> {
    let named: Vec<_> =
        shares.into_iter().map(|(outcome, share)| (outcome, address(&share, cluster), share.keys)).collect();
    let mut replies = Vec::with_capacity(named.len());
    let mut sources = Vec::with_capacity(named.len());
    let mut outcomes = Vec::with_capacity(named.len());
    for (outcome, by, keys) in named {
        outcomes.push(outcome);
        sources.push((by, keys));
    }
    for (outcome, (by, keys)) in outcomes.into_iter().zip(&sources) {
        replies.push(Reply { by, keys: by_keys.then_some(&**keys), outcome });
    }
    gather(aggregate, replies)
}

fn partial(shares: &[(RedisResult<Value>, Share)], layout: Layout) -> PartialWrite {
    let mut partial = PartialWrite::default();
    for (outcome, share) in shares {
        partial.add(Fate::of(outcome, was_sent(outcome)), share.keys.iter().map(|key| layout.argument(*key)));
    }
    partial
}

/// Whether a part without an answer may have run.
fn was_sent(outcome: &RedisResult<Value>) -> bool {
    let Err(error) = outcome else {
        return true;
    };
    // Everything that was not sent says so, in an error of this crate's.
    error.is_connection_dropped() || !error.to_string().contains("not sent")
}

/// The reply to `SCAN` with the cursor that takes the place of the node's.
fn with_cursor(value: Value, cursor: impl FnOnce(u64) -> u64) -> Value {
    let Value::Array(mut parts) = value else {
        return value;
    };
    let answered = match parts.first() {
        Some(Value::BulkString(text)) => str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
        Some(Value::SimpleString(text)) => text.parse().ok(),
        Some(Value::Int(number)) => u64::try_from(*number).ok(),
        _ => None,
    };
    if let (Some(answered), Some(first)) = (answered, parts.first_mut()) {
        *first = Value::BulkString(cursor(answered).to_string().into_bytes());
    }
    Value::Array(parts)
}
