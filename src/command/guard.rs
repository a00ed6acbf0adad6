//! Which commands a shared connection cannot carry.

#[cfg(test)]
mod tests;

use super::{
    lane::{Effect, Lane},
    profile::{Profile, profile},
};
use redis::{ErrorKind, Pipeline, RedisError, RedisResult};
use std::time::Duration;

/// Refuses a command that would block the shared connection, change its state under everybody else, or that is about
/// one connection of several.
pub(crate) fn check(profile: Profile) -> RedisResult<()> {
    match profile.lane() {
        Lane::Shared => Ok(()),
        Lane::Own(effect) | Lane::Refused(effect) => Err(refused(profile, effect)),
        Lane::Empty => Err(empty()),
    }
}

/// As [`check`], for a pipeline. In a transaction nothing blocks: Redis answers at once there.
pub(crate) fn check_pipeline(pipeline: &Pipeline) -> RedisResult<()> {
    let atomic = pipeline.is_transaction();
    if pipeline.is_empty() && !atomic {
        return Err(empty());
    }
    let mut profiles = pipeline.cmd_iter().map(profile);
    profiles.try_for_each(|profile| if atomic && blocks(profile) { Ok(()) } else { check(profile) })
}

/// Whether a command of the pipeline would block outside of a transaction.
pub(crate) fn would_block(pipeline: &Pipeline) -> bool {
    pipeline.cmd_iter().map(profile).any(blocks)
}

fn blocks(profile: Profile) -> bool {
    profile.lane() == Lane::Own(Effect::Blocks)
}

/// For how long the commands of the pipeline that block do so one after the other, if there are such; the longest time
/// that there is, if one of them blocks for ever, or nobody knows for how long.
pub(crate) fn block_in_turn(pipeline: &Pipeline) -> Option<Duration> {
    let longest = |cmd| profile(cmd).longest(cmd);
    pipeline.cmd_iter().filter(|cmd| blocks(profile(cmd))).map(longest).reduce(Duration::saturating_add)
}

/// The refusal of what cannot be sent even over a connection that its caller has alone.
#[cold]
pub(crate) fn refused_even_alone(profile: Profile) -> RedisError {
    let name = profile.full_name();
    let detail = format!("{name} was not sent: this client keeps the connection up; {}", instead(name));
    (ErrorKind::Client, "command refused", detail).into()
}

#[cold]
fn empty() -> RedisError {
    (ErrorKind::Client, "empty command").into()
}

#[cold]
fn refused(profile: Profile, effect: Effect) -> RedisError {
    let why = match effect {
        Effect::Blocks => "it would hold up everything sent after it",
        Effect::IsOfOne => "it is about one connection, and this client has several, which come and go",
        Effect::Ends => "it would close the connection under its other users",
        Effect::ChangesState => "it would change the connection under its other users",
    };
    let name = profile.full_name();
    let instead = if profile.is_sliced() { ON_ITS_OWN } else { instead(name) };
    let detail = format!("{name} was not sent: {why}; {instead}");
    (ErrorKind::Client, "command refused on a shared connection", detail).into()
}

/// What to do with a command that blocks, in a pipeline: a handle sends it over a connection of its own.
const ON_ITS_OWN: &str =
    "send it on its own, not in a pipeline: then it has a connection to itself for as long as it blocks";

/// What to use in place of a command that is refused.
fn instead(name: &str) -> &'static str {
    match name {
        "MULTI" | "EXEC" | "DISCARD" => {
            "use `redis::pipe().atomic()`, which is sent in one piece, or `EntraRedis::dedicated` for one step after the \
             other"
        }
        "WATCH" | "UNWATCH" => {
            "use `EntraRedis::transaction`, which watches and tries again, or `EntraRedis::dedicated` for one step after \
             the other"
        }
        "AUTH" | "HELLO" => "every connection is authenticated, and kept so, by the client itself",
        "QUIT" | "RESET" => "connections are closed by `shutdown`, or when the last handle is dropped",
        "POST" | "HOST:" => "it is no command, but what browsers send",
        "SELECT" => {
            "Azure Managed Redis has the database 0 and no others; where there are more, use `EntraRedis::dedicated`"
        }
        "CLIENT REPLY" => {
            "use `set_no_response(true)` for commands whose replies do not matter, or `EntraRedis::dedicated`"
        }
        "CLIENT ID" | "CLIENT INFO" | "CLIENT GETNAME" => {
            "use `CLIENT LIST`, which shows them all with the library's name `entra-redis` (Redis 7.2 and later), or \
             `manager().stats().links`; `EntraRedis::dedicated` gives one to ask"
        }
        "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE" | "UNSUBSCRIBE" | "PUNSUBSCRIBE" | "SUNSUBSCRIBE" => {
            "use `EntraRedis::pubsub()`, which keeps subscriptions up on connections of their own"
        }
        "SHUTDOWN" => {
            "it would end the server, which is up to whoever runs it; where that is you, send it with `redis-cli`"
        }
        "CLIENT SETNAME" => "`Config::client_name` names all connections",
        "CLIENT SETINFO" => "on Redis 7.2 and later `CLIENT LIST` shows them all with the library's name `entra-redis`",
        "MONITOR" | "SYNC" | "PSYNC" | "REPLCONF" => {
            "use a connection of the `redis` crate's with `EntraCredentials` (feature `streaming-credentials`), for \
             this alone"
        }
        _ => "use `EntraRedis::dedicated`, which gives a connection for this alone",
    }
}
