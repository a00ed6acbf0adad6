//! Which commands a shared connection cannot carry.

mod effect;
#[cfg(test)]
mod tests;

use effect::{Effect, effect};
use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisResult};

/// Refuses a command that would block the shared connection, change its state under everybody else, or that is about
/// one connection of several.
pub(crate) fn check(cmd: &Cmd) -> RedisResult<()> {
    check_effect(cmd, effect(cmd))
}

fn check_effect(cmd: &Cmd, effect: Effect) -> RedisResult<()> {
    match effect {
        // Redis passes over it without a reply, and all that follow would go to the wrong requests.
        Effect::None if is_empty(cmd) => Err(empty()),
        Effect::None => Ok(()),
        effect => Err(refused(cmd, effect)),
    }
}

/// As [`check`], for a pipeline. In a transaction nothing blocks: Redis answers at once there.
pub(crate) fn check_pipeline(pipeline: &Pipeline) -> RedisResult<()> {
    let atomic = pipeline.is_transaction();
    if pipeline.is_empty() && !atomic {
        return Err(empty());
    }
    let mut commands = pipeline.cmd_iter();
    commands.try_for_each(|cmd| match effect(cmd) {
        Effect::Blocks if atomic => Ok(()),
        effect => check_effect(cmd, effect),
    })
}

/// Whether a command of the pipeline would block outside of a transaction.
pub(crate) fn would_block(pipeline: &Pipeline) -> bool {
    pipeline.cmd_iter().any(|cmd| effect(cmd) == Effect::Blocks)
}

/// Whether the command runs a script or a function.
pub(crate) fn runs_script(cmd: &Cmd) -> bool {
    let Some(Arg::Simple(name)) = cmd.args_iter().next() else {
        return false;
    };
    let starts_with = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts_with(b"EVAL") || starts_with(b"FCALL")
}

fn is_empty(cmd: &Cmd) -> bool {
    cmd.args_iter().len() == 0
}

#[cold]
fn empty() -> RedisError {
    (ErrorKind::Client, "empty command").into()
}

#[cold]
fn refused(cmd: &Cmd, effect: Effect) -> RedisError {
    let why = match effect {
        Effect::Blocks => "it would hold up everything sent after it",
        Effect::IsOfOne => "it is about one connection, and this client has several, which come and go",
        Effect::Ends => "it would close the connection under its other users",
        Effect::ChangesState | Effect::None => "it would change the connection under its other users",
    };
    let name = full_name(cmd);
    let detail = format!("{name} was not sent: {why}; {}", instead(&name));
    (ErrorKind::Client, "command refused on a shared connection", detail).into()
}

/// The command's name, with the subcommand of those that have some. Nothing else of it: other arguments may be secrets.
fn full_name(cmd: &Cmd) -> String {
    let mut words = cmd.args_iter().map_while(|arg| match arg {
        Arg::Simple(word) => Some(String::from_utf8_lossy(word).to_ascii_uppercase()),
        _ => None,
    });
    let name = words.next().unwrap_or_default();
    match words.next() {
        Some(subcommand) if matches!(name.as_str(), "CLIENT" | "SCRIPT") => format!("{name} {subcommand}"),
        _ => name,
    }
}

/// What to use in place of a command that is refused.
fn instead(name: &str) -> &'static str {
    match name {
        "MULTI" | "EXEC" | "DISCARD" => "use `redis::pipe().atomic()`, which is sent in one piece",
        "WATCH" | "UNWATCH" => {
            "use a script, or a connection of the `redis` crate's with `EntraCredentials` (feature \
             `streaming-credentials`), for this task alone"
        }
        "AUTH" | "HELLO" => "every connection is authenticated, and kept so, by the client itself",
        "QUIT" | "RESET" => "connections are closed by `shutdown`, or when the last handle is dropped",
        "POST" | "HOST:" => "it is no command, but what browsers send",
        "SELECT" => "Azure Managed Redis has the database 0 and no others",
        "CLIENT REPLY" => "use `set_no_response(true)` for commands whose replies do not matter",
        "CLIENT ID" | "CLIENT INFO" | "CLIENT GETNAME" => {
            "use `CLIENT LIST`, which shows them all with the library's name `entra-redis` (Redis 7.2 and later), or \
             `manager().stats().links`"
        }
        "CLIENT SETNAME" | "CLIENT SETINFO" => {
            "there is no setting for it yet: on Redis 7.2 and later `CLIENT LIST` shows them all with the library's \
             name `entra-redis`"
        }
        _ => {
            "use a connection of the `redis` crate's with `EntraCredentials` (feature `streaming-credentials`), for \
             this alone"
        }
    }
}
