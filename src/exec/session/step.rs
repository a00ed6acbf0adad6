//! What a command does to the connection that it is sent over.

use crate::command::{
    Profile, guard,
    lane::{Effect, Lane},
    profile,
};
use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisResult};

/// Which replies the caller wants (`CLIENT REPLY`). That is kept on this side, where replies are read and dropped: so
/// none is ever taken for another one's, and an `AUTH` between the commands has its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyMode {
    On,
    Off,
    /// All but that of the next command.
    SkipNext,
}

/// What a command does to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing that anybody sees after it.
    Plain,
    /// Nothing, but what is sent behind it waits.
    Blocks,
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
    /// The number of the database; none if that cannot be read.
    Select(Option<i64>),
    Reply(ReplyMode),
    /// The next command is served differently.
    ForNext,
    /// Something that is undone only by the connection's end.
    Changes,
}

impl Step {
    /// # Errors
    ///
    /// Why nobody may send it who wants the connection to be kept up.
    pub(super) fn of(profile: Profile, cmd: &Cmd) -> RedisResult<Self> {
        match profile.lane() {
            Lane::Shared => return Ok(Self::Plain),
            Lane::Empty => return guard::check(profile).map(|()| Self::Plain),
            Lane::Own(Effect::Blocks) => return Ok(Self::Blocks),
            Lane::Own(_) | Lane::Refused(_) => {}
        }
        Ok(match profile.full_name() {
            "MULTI" => Self::Multi,
            "EXEC" => Self::Exec,
            "DISCARD" => Self::Discard,
            "WATCH" => Self::Watch,
            "UNWATCH" => Self::Unwatch,
            "SELECT" => Self::Select(word(cmd, 1).and_then(|db| db.parse().ok())),
            "CLIENT REPLY" => Self::Reply(reply(cmd)?),
            "ASKING" | "CLIENT CACHING" => Self::ForNext,
            "CLIENT ID" | "CLIENT INFO" | "CLIENT GETNAME" | "CLIENT GETREDIR" | "CLIENT TRACKINGINFO" => Self::Plain,
            "AUTH" | "HELLO" | "RESET" | "QUIT" | "POST" | "HOST:" | "MONITOR" | "SYNC" | "PSYNC" | "REPLCONF"
            | "SUBSCRIBE" | "PSUBSCRIBE" | "SSUBSCRIBE" | "UNSUBSCRIBE" | "PUNSUBSCRIBE" | "SUNSUBSCRIBE" => {
                return Err(guard::refused_even_alone(profile));
            }
            _ => Self::Changes,
        })
    }

    /// Those of a pipeline.
    pub(super) fn of_pipeline(pipeline: &Pipeline, in_multi: bool) -> RedisResult<Vec<Self>> {
        let is_transaction = pipeline.is_transaction();
        if pipeline.is_empty() && !is_transaction {
            return Err((ErrorKind::Client, "empty command").into());
        }
        if is_transaction && in_multi {
            return Err(misplaced("an atomic pipeline within `MULTI`"));
        }
        let step = |cmd: &Cmd| {
            let step = Self::of(profile(cmd), cmd)?;
            match step {
                Self::Reply(_) => Err(misplaced("CLIENT REPLY in a pipeline")),
                Self::Multi | Self::Exec | Self::Discard | Self::Watch if is_transaction => {
                    Err(misplaced("a step of a transaction in an atomic pipeline"))
                }
                step => Ok(step),
            }
        };
        pipeline.cmd_iter().map(step).collect()
    }
}

#[cold]
fn misplaced(what: &str) -> RedisError {
    (ErrorKind::Client, "command refused", format!("{what} was not sent: send it on its own")).into()
}

fn word(cmd: &Cmd, at: usize) -> Option<&str> {
    match cmd.args_iter().nth(at)? {
        Arg::Simple(bytes) => str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn reply(cmd: &Cmd) -> RedisResult<ReplyMode> {
    let mode = word(cmd, 2).unwrap_or_default();
    let is = |name: &str| mode.eq_ignore_ascii_case(name);
    match () {
        () if is("ON") => Ok(ReplyMode::On),
        () if is("OFF") => Ok(ReplyMode::Off),
        () if is("SKIP") => Ok(ReplyMode::SkipNext),
        () => Err((ErrorKind::Client, "command refused", "CLIENT REPLY takes ON, OFF or SKIP".to_owned()).into()),
    }
}
