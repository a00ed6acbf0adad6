//! Which commands a shared connection cannot carry.

use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisResult};

/// What a command does to the connection it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    /// The replies to everything sent after it wait with it.
    Blocks,
    /// What others send on the connection means something else after it.
    ChangesState,
}

/// Refuses a command that would block the shared connection, or change its state under everybody else.
pub(crate) fn check(cmd: &Cmd) -> RedisResult<()> {
    match effect(cmd) {
        // Redis passes over it without a reply, and all that follow would go to the wrong requests.
        Effect::None if is_empty(cmd) => Err(empty()),
        Effect::None => Ok(()),
        Effect::Blocks => Err(refused(cmd, "it would hold up everything sent after it")),
        Effect::ChangesState => Err(refused(cmd, "it would change the connection under its other users")),
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
        _ => check(cmd),
    })
}

/// Whether the command runs a script or a function.
pub(crate) fn runs_script(cmd: &Cmd) -> bool {
    let Some(Arg::Simple(name)) = cmd.args_iter().next() else {
        return false;
    };
    let starts_with = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    starts_with(b"EVAL") || starts_with(b"FCALL")
}

/// Longer than any name below, so that a longer one needs no look.
const LONGEST_NAME: usize = 16;

fn effect(cmd: &Cmd) -> Effect {
    let mut args = cmd.args_iter().filter_map(|arg| match arg {
        Arg::Simple(bytes) => Some(bytes),
        _ => None,
    });
    let mut buffer = [0; LONGEST_NAME];
    let Some(name) = args.next().and_then(|name| upper(name, &mut buffer)) else {
        return Effect::None;
    };
    match name {
        b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BLMPOP" | b"BZPOPMIN" | b"BZPOPMAX" | b"BZMPOP"
        | b"WAIT" | b"WAITAOF" => Effect::Blocks,
        // Keys and ids follow STREAMS; only options stand before it.
        b"XREAD" | b"XREADGROUP" => {
            if name == b"XREADGROUP" {
                // GROUP, the group's name and the consumer's, which may be called anything.
                args.by_ref().take(3).for_each(drop);
            }
            let mut options = args.take_while(|arg| !arg.eq_ignore_ascii_case(b"STREAMS"));
            if options.any(|option| option.eq_ignore_ascii_case(b"BLOCK")) { Effect::Blocks } else { Effect::None }
        }
        b"SUBSCRIBE" | b"UNSUBSCRIBE" | b"PSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SSUBSCRIBE" | b"SUNSUBSCRIBE"
        | b"MONITOR" | b"HELLO" | b"AUTH" | b"RESET" | b"SELECT" | b"QUIT" | b"MULTI" | b"EXEC" | b"DISCARD"
        | b"WATCH" | b"UNWATCH" | b"SYNC" | b"PSYNC" | b"ASKING" | b"READONLY" | b"READWRITE" | b"REPLCONF" => {
            Effect::ChangesState
        }
        b"SCRIPT" if args.next().is_some_and(|sub| sub.eq_ignore_ascii_case(b"DEBUG")) => Effect::ChangesState,
        b"CLIENT" => client_effect(args.next().unwrap_or_default()),
        _ => Effect::None,
    }
}

fn client_effect(subcommand: &[u8]) -> Effect {
    let mut buffer = [0; LONGEST_NAME];
    match upper(subcommand, &mut buffer) {
        Some(b"REPLY" | b"TRACKING" | b"CACHING" | b"NO-TOUCH") => Effect::ChangesState,
        _ => Effect::None,
    }
}

fn upper<'a>(name: &[u8], buffer: &'a mut [u8; LONGEST_NAME]) -> Option<&'a [u8]> {
    let upper = buffer.get_mut(..name.len())?;
    upper.copy_from_slice(name);
    upper.make_ascii_uppercase();
    Some(upper)
}

fn is_empty(cmd: &Cmd) -> bool {
    cmd.args_iter().len() == 0
}

#[cold]
fn empty() -> RedisError {
    (ErrorKind::Client, "empty command").into()
}

#[cold]
fn refused(cmd: &Cmd, why: &str) -> RedisError {
    // The name alone: other arguments may be secrets.
    let name = match cmd.args_iter().next() {
        Some(Arg::Simple(name)) => String::from_utf8_lossy(name).to_ascii_uppercase(),
        _ => String::new(),
    };
    (ErrorKind::Client, "command refused on a shared connection", format!("{name} was not sent: {why}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Effect {
        let mut words = line.split(' ');
        let mut cmd = redis::cmd(words.next().unwrap());
        words.for_each(|word| _ = cmd.arg(word));
        effect(&cmd)
    }

    #[test]
    fn commands_are_told_apart() {
        for line in ["GET k", "get", "SCRIPT LOAD x", "CLIENT SETNAME n", "XREAD STREAMS block 0", "LPUSH BLPOP x"] {
            assert_eq!(of(line), Effect::None, "{line}");
        }
        for line in ["BLPOP k 0", "blpop k 0", "XREAD COUNT 1 BLOCK 0 STREAMS s $", "WAIT 1 0"] {
            assert_eq!(of(line), Effect::Blocks, "{line}");
        }
        for line in ["XREADGROUP GROUP streams c BLOCK 0 STREAMS s >", "xreadgroup group g streams block 0 streams s >"]
        {
            assert_eq!(of(line), Effect::Blocks, "{line}");
        }
        for line in [
            "SUBSCRIBE c",
            "Select 1",
            "MULTI",
            "WATCH k",
            "AUTH u p",
            "client reply off",
            "script debug yes",
            "REPLCONF ACK 0",
        ] {
            assert_eq!(of(line), Effect::ChangesState, "{line}");
        }
        assert_eq!(effect(&Cmd::new()), Effect::None);
    }

    #[test]
    fn an_empty_command_has_no_place_in_a_pipeline() {
        let mut pipeline = redis::pipe();
        pipeline.cmd("PING").add_command(Cmd::new());
        assert!(check_pipeline(&pipeline).is_err());
        assert!(check_pipeline(pipeline.atomic()).is_err());
    }

    #[test]
    fn scripts_are_told_apart() {
        for (name, is_script) in [("EVAL", true), ("evalsha_ro", true), ("fcall", true), ("GET", false), ("EV", false)]
        {
            assert_eq!(runs_script(&redis::cmd(name)), is_script, "{name}");
        }
        assert!(!runs_script(&Cmd::new()));
    }

    #[test]
    fn refusals_name_the_command_and_nothing_else() {
        let mut auth = redis::cmd("auth");
        auth.arg("user").arg("s3cr3t");
        let error = check(&auth).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Client);
        let shown = error.to_string();
        assert!(shown.contains("AUTH was not sent") && !shown.contains("s3cr3t"), "{shown}");
    }

    #[test]
    fn blocking_commands_do_not_block_in_a_transaction() {
        let mut pipeline = redis::pipe();
        pipeline.cmd("BLPOP").arg("k").arg(0);
        assert!(check_pipeline(&pipeline).is_err());
        assert!(check_pipeline(pipeline.atomic()).is_ok());
        assert!(check_pipeline(pipeline.cmd("SELECT").arg(1)).is_err());
    }
}
