//! The replies of several nodes, or of several parts of one command, as one reply.

use super::{address::NodeAddress, split::merge};
use crate::command::aggregate::Aggregate;
use redis::{ErrorKind, RedisError, RedisResult, Value};
use std::collections::HashMap;

/// The reply of one node to its share.
#[derive(Debug)]
pub(crate) struct PartialReply<'a> {
    pub(crate) about: About<'a>,
    pub(crate) outcome: RedisResult<Value>,
}

/// What a reply is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About<'a> {
    /// The node of this address.
    Node(&'a NodeAddress),
    /// These of the caller's keys.
    Keys(&'a [usize]),
}

impl<'a> About<'a> {
    fn keys(self) -> Option<&'a [usize]> {
        match self {
            Self::Keys(keys) => Some(keys),
            Self::Node(_) => None,
        }
    }
}

/// The error of a command for all nodes while there is none.
pub(crate) fn no_node() -> RedisError {
    (ErrorKind::ClusterConnectionNotFound, "no node of the cluster serves any slot").into()
}

/// One reply of several, in the order of the nodes or parts. An error that Redis answered stays a
/// [`Value::ServerError`], as in the reply to a command that goes to one node.
///
/// # Errors
///
/// That of a share, or that there was none, or that the replies are not what they are put together from.
pub(crate) fn gather(aggregate: Aggregate, replies: Vec<PartialReply<'_>>) -> RedisResult<Value> {
    if replies.is_empty() {
        return Err(no_node());
    }
    match aggregate {
        Aggregate::FirstSuccess => first_success(replies),
        Aggregate::FirstNonEmpty => first_non_empty(replies),
        Aggregate::ByNode => by_node(replies),
        Aggregate::Arrays => arrays(replies),
        Aggregate::AllSucceeded | Aggregate::Sum | Aggregate::Min | Aggregate::And | Aggregate::Maps => {
            match succeeded(replies) {
                Ok(values) => combined(aggregate, values),
                Err(failure) => failure,
            }
        }
    }
}

fn is_success(outcome: &RedisResult<Value>) -> bool {
    !matches!(outcome, Ok(Value::ServerError(_)) | Err(_))
}

/// The values of all, or the first one that is an error.
fn succeeded(replies: Vec<PartialReply<'_>>) -> Result<Vec<Value>, RedisResult<Value>> {
    let value = |reply: PartialReply<'_>| match reply.outcome {
        Ok(Value::ServerError(_)) | Err(_) => Err(reply.outcome),
        Ok(value) => Ok(value),
    };
    replies.into_iter().map(value).collect()
}

fn combined(aggregate: Aggregate, values: Vec<Value>) -> RedisResult<Value> {
    let numbers = |combine: fn(i64, i64) -> Option<i64>| {
        let mut numbers = values.iter().map(number);
        let first = numbers.next().unwrap_or(Ok(0))?;
        let combined =
            numbers.try_fold(first, |so_far, next| combine(so_far, next?).ok_or_else(|| unexpected("smaller numbers")));
        combined.map(Value::Int)
    };
    match aggregate {
        Aggregate::Sum => numbers(i64::checked_add),
        Aggregate::Min => numbers(|a, b| Some(a.min(b))),
        Aggregate::And => and(&values),
        Aggregate::Maps => maps(values),
        _ => Ok(values.into_iter().next().unwrap_or_default()),
    }
}

fn first_success(replies: Vec<PartialReply<'_>>) -> RedisResult<Value> {
    let mut last = Ok(Value::Nil);
    for reply in replies {
        last = reply.outcome;
        if is_success(&last) {
            break;
        }
    }
    last
}

fn first_non_empty(replies: Vec<PartialReply<'_>>) -> RedisResult<Value> {
    let mut failure = None;
    for reply in replies {
        match reply.outcome {
            Ok(Value::Nil) => {}
            outcome if is_success(&outcome) => return outcome,
            outcome => failure = Some(outcome),
        }
    }
    // While one node has not answered nobody can say that all are empty.
    failure.unwrap_or(Ok(Value::Nil))
}

fn by_node(replies: Vec<PartialReply<'_>>) -> RedisResult<Value> {
    let pair = |reply: PartialReply<'_>| {
        let value = match reply.outcome {
            Err(error) => Value::ServerError(error.try_into()?),
            Ok(value) => value,
        };
        match reply.about {
            About::Node(by) => Ok((Value::BulkString(by.to_string().into_bytes()), value)),
            About::Keys(_) => Err(unexpected("replies")),
        }
    };
    replies.into_iter().map(pair).collect::<RedisResult<_>>().map(Value::Map)
}

fn arrays(replies: Vec<PartialReply<'_>>) -> RedisResult<Value> {
    let keys: Option<Vec<&[usize]>> = replies.iter().map(|reply| reply.about.keys()).collect();
    let values = match succeeded(replies) {
        Ok(values) => values,
        Err(failure) => return failure,
    };
    let is_set = values.iter().all(|value| matches!(value, Value::Set(_)));
    let lists: Vec<_> = values.into_iter().map(list).collect::<RedisResult<_>>()?;
    match keys {
        Some(keys) => {
            let count = keys.iter().map(|keys| keys.len()).sum();
            merge(count, keys.into_iter().zip(lists)).map(Value::Array)
        }
        None if is_set => Ok(Value::Set(lists.concat())),
        None => Ok(Value::Array(lists.into_iter().flatten().collect())),
    }
}

fn and(values: &[Value]) -> RedisResult<Value> {
    let mut all: Option<Vec<bool>> = None;
    for value in values {
        let Value::Array(items) = value else {
            return Err(unexpected("lists of numbers"));
        };
        let truths: Vec<_> = items.iter().map(truth).collect::<RedisResult<_>>()?;
        let all = all.get_or_insert_with(|| vec![true; truths.len()]);
        if all.len() != truths.len() {
            return Err(unexpected("lists of one length"));
        }
        all.iter_mut().zip(truths).for_each(|(all, truth)| *all &= truth);
    }
    let number = |truth| Value::Int(i64::from(truth));
    Ok(Value::Array(all.unwrap_or_default().into_iter().map(number).collect()))
}

/// Keys come in the order in which they are first met.
fn maps(values: Vec<Value>) -> RedisResult<Value> {
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut sums: Vec<(Vec<u8>, i64)> = Vec::new();
    for value in values {
        for (key, value) in pairs(value)? {
            let key = match key {
                Value::BulkString(key) => key,
                Value::SimpleString(key) => key.into_bytes(),
                _ => return Err(unexpected("maps with texts as keys")),
            };
            let value = number(&value)?;
            if let Some(place) = places.get(&key) {
                let sum = &mut sums[*place].1;
                *sum = sum.checked_add(value).ok_or_else(|| unexpected("smaller numbers"))?;
            } else {
                places.insert(key.clone(), sums.len());
                sums.push((key, value));
            }
        }
    }
    Ok(Value::Map(sums.into_iter().map(|(key, sum)| (Value::BulkString(key), Value::Int(sum))).collect()))
}

fn pairs(value: Value) -> RedisResult<Vec<(Value, Value)>> {
    match value {
        Value::Map(pairs) => Ok(pairs),
        Value::Array(items) if items.len() % 2 == 0 => {
            let mut items = items.into_iter();
            Ok(std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect())
        }
        _ => Err(unexpected("maps")),
    }
}

fn list(value: Value) -> RedisResult<Vec<Value>> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        _ => Err(unexpected("lists")),
    }
}

fn number(value: &Value) -> RedisResult<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => Err(unexpected("numbers")),
    }
}

fn truth(value: &Value) -> RedisResult<bool> {
    match value {
        Value::Int(number) => Ok(*number > 0),
        Value::Boolean(truth) => Ok(*truth),
        _ => Err(unexpected("lists of numbers")),
    }
}

#[cold]
fn unexpected(wanted: &str) -> RedisError {
    let detail = format!("expected {wanted} from all nodes");
    (ErrorKind::UnexpectedReturnType, "the replies of the nodes cannot be put together", detail).into()
}

#[cfg(test)]
mod tests;
