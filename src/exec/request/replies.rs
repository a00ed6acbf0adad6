//! What an answer of Redis's means: a reply, a refusal, or the name of another node.

use super::{CommandRequest, PipelineRequest, Request as _, slot_by};
use crate::{
    cluster::{
        address::NodeAddress,
        redirect::{self, Redirect, Sent},
    },
    command::profile,
    exec::exec_abort,
    link::Refused,
};
use futures_util::future::BoxFuture;
use redis::{RedisError, RedisResult, ServerError, Value};

/// What Redis's answer means for what was asked.
pub(crate) trait Replies {
    /// What its caller gets.
    type Reply: Send + Sync;

    /// Where the node `to`, which it was sent to, says that it is to be sent. Of a pipeline that is no transaction each
    /// command has an answer of its own, and whoever has sent it looks at those.
    fn redirect(&self, reply: &RedisResult<Self::Reply>, to: &NodeAddress) -> Option<Redirect>;

    /// Tells what to do where Redis has answered `MOVED` to somebody who took it for a single endpoint.
    fn explain_moved(&self, reply: RedisResult<Self::Reply>) -> RedisResult<Self::Reply>;

    /// Whether Redis's answer is, or may be, an error; a quick look.
    fn looks_bad(&self, value: &Value) -> bool;

    /// What its caller gets for Redis's answer.
    fn reply(&self, value: Value) -> Self::Reply;

    /// What its caller gets for a transaction that Redis refused, in whole or in part.
    fn aborted(&self, refused: Refused) -> BoxFuture<'_, RedisResult<Self::Reply>>;

    /// The error with which Redis refused to run any of it. A script can answer like that after it has run, so that
    /// none of its answers counts as a refusal.
    fn refusal<'a>(&self, reply: &'a RedisResult<Self::Reply>) -> Option<Refusal<'a>>;

    /// The error that Redis answered in place of a reply.
    fn error<'a>(&self, reply: &'a Self::Reply) -> Option<&'a ServerError>;
}

/// An error of Redis's that says that nothing has run.
pub(crate) type Refusal<'a> = std::borrow::Cow<'a, ServerError>;

impl Replies for CommandRequest<'_> {
    type Reply = Value;

    fn redirect(&self, reply: &RedisResult<Value>, to: &NodeAddress) -> Option<Redirect> {
        match reply {
            Ok(Value::ServerError(error)) => {
                let runs_script = self.profile.runs_script();
                let slot = slot_by(error, self.profile, self.slot());
                Redirect::of(error, Sent { slot, runs_script, to })
            }
            _ => None,
        }
    }

    fn explain_moved(&self, reply: RedisResult<Value>) -> RedisResult<Value> {
        // A script may write an error of its own, but hardly with the slot of its keys.
        let is_own = |error: &ServerError| self.slot().is_some_and(|slot| redirect::named_slot(error) == Some(slot));
        let is_redis_s = |value: &Value| match value {
            Value::ServerError(error) => !self.profile.runs_script() || is_own(error),
            _ => false,
        };
        reply.map(|value| if is_redis_s(&value) { redirect::explain_moved(value) } else { value })
    }

    fn looks_bad(&self, value: &Value) -> bool {
        matches!(value, Value::ServerError(_))
    }

    fn reply(&self, value: Value) -> Value {
        value
    }

    fn aborted(&self, refused: Refused) -> BoxFuture<'_, RedisResult<Value>> {
        // Single commands queue nothing: there is nothing but the first.
        let first = refused.errors.into_iter().next().map_or(Value::Nil, |(_, error)| Value::ServerError(error));
        Box::pin(async { Ok(first) })
    }

    fn refusal<'a>(&self, reply: &'a RedisResult<Value>) -> Option<Refusal<'a>> {
        match reply {
            Ok(Value::ServerError(error)) if !self.profile.runs_script() => Some(Refusal::Borrowed(error)),
            _ => None,
        }
    }

    fn error<'a>(&self, reply: &'a Value) -> Option<&'a ServerError> {
        match reply {
            Value::ServerError(error) => Some(error),
            _ => None,
        }
    }
}

impl Replies for PipelineRequest<'_> {
    type Reply = Vec<Value>;

    fn redirect(&self, reply: &RedisResult<Vec<Value>>, to: &NodeAddress) -> Option<Redirect> {
        let error = reply.as_ref().err().filter(|_| self.pipeline.is_transaction())?;
        if exec_abort::is_without_multi(error) {
            return None;
        }
        // If the keys of one command are known, all of them are in that slot.
        let is_known = |cmd| !profile(cmd).guesses_keys();
        let first = || error.clone().into_server_errors().and_then(|errors| redirect::named_slot(&errors.first()?.1));
        let named = if self.pipeline.cmd_iter().any(is_known) { None } else { first() };
        // While a transaction is queued no script runs.
        Redirect::of_redis_error(error, Sent { slot: named.or_else(|| self.slot()), runs_script: false, to })
    }

    fn explain_moved(&self, reply: RedisResult<Vec<Value>>) -> RedisResult<Vec<Value>> {
        reply.map(|values| values.into_iter().map(redirect::explain_moved).collect())
    }

    fn looks_bad(&self, value: &Value) -> bool {
        let is_error = |value: &Value| matches!(value, Value::ServerError(_));
        matches!(value, Value::Array(values) if values.iter().any(is_error))
    }

    fn reply(&self, value: Value) -> Vec<Value> {
        match value {
            Value::Array(values) => values,
            value => vec![value],
        }
    }

    fn aborted(&self, refused: Refused) -> BoxFuture<'_, RedisResult<Vec<Value>>> {
        Box::pin(exec_abort::aborted(self.pipeline.len(), refused))
    }

    fn refusal<'a>(&self, reply: &'a RedisResult<Vec<Value>>) -> Option<Refusal<'a>> {
        let first = match reply {
            // All commands of a pipeline were refused, for the same reason.
            Ok(values) => {
                // Of replies that are left out nobody knows what they say.
                if !self.pipeline.is_transaction() && (self.offset, self.count) != (0, self.pipeline.len()) {
                    return None;
                }
                let Some(Value::ServerError(first)) = values.first() else {
                    return None;
                };
                let same = |value: &Value| matches!(value, Value::ServerError(error) if error.code() == first.code());
                if !values.iter().all(same) {
                    return None;
                }
                Refusal::Borrowed(first)
            }
            // Parts of what should have been a transaction may have run.
            Err(error) if exec_abort::is_without_multi(error) => return None,
            // Redis queued nothing of a transaction.
            Err(error) => Refusal::Owned(all_the_same(error)?),
        };
        (!self.pipeline.cmd_iter().any(|cmd| profile(cmd).runs_script())).then_some(first)
    }

    fn error<'a>(&self, reply: &'a Vec<Value>) -> Option<&'a ServerError> {
        // The first one is what its caller gets, unless it looks at each.
        reply.iter().find_map(|value| match value {
            Value::ServerError(error) => Some(error),
            _ => None,
        })
    }
}

/// The error that Redis gave for everything that it refused.
fn all_the_same(error: &RedisError) -> Option<ServerError> {
    let errors = error.clone().into_server_errors()?;
    let (_, first) = errors.first()?;
    errors.iter().all(|(_, error)| error.code() == first.code()).then(|| first.clone())
}

#[cfg(test)]
mod tests;
