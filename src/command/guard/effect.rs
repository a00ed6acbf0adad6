//! What commands do to the connection they run on: one table, of the commands of Redis up to version 8.

use redis::{Arg, Cmd};

/// What a command does to the connection it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    /// The replies to everything sent after it wait with it.
    ///
    /// What holds up the server (`DEBUG SLEEP`, a long script) or all its clients (`CLIENT PAUSE`) is not among these:
    /// it does so over any connection.
    Blocks,
    /// What others send on the connection means something else after it.
    ChangesState,
    /// It sets or tells something of one connection.
    IsOfOne,
    /// Redis closes the connection.
    Ends,
}

/// No shorter name has an effect, so that `GET` and `SET` need no look.
const SHORTEST_NAME: usize = 4;

/// Longer than any name below, so that a longer one needs no look.
const LONGEST_NAME: usize = 16;

/// Does not allocate: every command comes by here.
#[inline]
pub(super) fn effect(cmd: &Cmd) -> Effect {
    let mut args = cmd.args_iter().map(|arg| match arg {
        Arg::Simple(bytes) => bytes,
        // A cursor is a number; what it stands in the place of counts.
        _ => b"0",
    });
    let mut buffer = [0; LONGEST_NAME];
    let name = args.next().filter(|name| name.len() >= SHORTEST_NAME);
    let Some(name) = name.and_then(|name| upper(name, &mut buffer)) else {
        return Effect::None;
    };
    match name {
        b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BLMPOP" | b"BZPOPMIN" | b"BZPOPMAX" | b"BZMPOP"
        | b"WAIT" | b"WAITAOF" => Effect::Blocks,
        b"XREAD" | b"XREADGROUP" if asks_to_block(&mut args) => Effect::Blocks,
        b"SHUTDOWN" if waits_for_replicas(&mut args) => Effect::Blocks,
        b"SUBSCRIBE" | b"UNSUBSCRIBE" | b"PSUBSCRIBE" | b"PUNSUBSCRIBE" | b"SSUBSCRIBE" | b"SUNSUBSCRIBE"
        | b"MONITOR" | b"HELLO" | b"AUTH" | b"RESET" | b"SELECT" | b"MULTI" | b"EXEC" | b"DISCARD" | b"WATCH"
        | b"UNWATCH" | b"SYNC" | b"PSYNC" | b"ASKING" | b"READONLY" | b"READWRITE" | b"REPLCONF" => {
            Effect::ChangesState
        }
        // Redis takes the last two for HTTP from a browser that somebody has tricked.
        b"QUIT" | b"POST" | b"HOST:" => Effect::Ends,
        b"SCRIPT" if args.next().is_some_and(|sub| sub.eq_ignore_ascii_case(b"DEBUG")) => Effect::ChangesState,
        b"CLIENT" => client_effect(args.next().unwrap_or_default()),
        _ => Effect::None,
    }
}

/// `LIST`, `KILL`, `PAUSE`, `UNPAUSE` and `UNBLOCK` are about all connections, or such as they name. The last two of
/// those that are about their own are Valkey's.
fn client_effect(subcommand: &[u8]) -> Effect {
    let mut buffer = [0; LONGEST_NAME];
    match upper(subcommand, &mut buffer) {
        Some(b"REPLY" | b"TRACKING" | b"CACHING") => Effect::ChangesState,
        Some(
            b"SETNAME" | b"GETNAME" | b"SETINFO" | b"ID" | b"INFO" | b"NO-EVICT" | b"NO-TOUCH" | b"TRACKINGINFO"
            | b"GETREDIR" | b"CAPA" | b"IMPORT-SOURCE",
        ) => Effect::IsOfOne,
        _ => Effect::None,
    }
}

/// Whether the arguments of an `XREAD` or `XREADGROUP` have `BLOCK` among their options, which are read as Redis reads
/// them: in any order, up to `STREAMS`, each with the values that belong to it, whatever these are called.
fn asks_to_block<'a>(args: &mut impl Iterator<Item = &'a [u8]>) -> bool {
    while let Some(option) = args.next() {
        let is = |name: &[u8]| option.eq_ignore_ascii_case(name);
        if is(b"BLOCK") {
            return true;
        }
        // Keys and ids follow.
        if is(b"STREAMS") {
            return false;
        }
        let values = if is(b"GROUP") { 2 } else { usize::from(is(b"COUNT") || is(b"CLAIM")) };
        args.by_ref().take(values).for_each(drop);
    }
    false
}

/// Whether a `SHUTDOWN` waits for replicas that lag behind, on its connection alone.
fn waits_for_replicas<'a>(args: &mut impl Iterator<Item = &'a [u8]>) -> bool {
    !args.any(|option| option.eq_ignore_ascii_case(b"NOW") || option.eq_ignore_ascii_case(b"ABORT"))
}

fn upper<'a>(name: &[u8], buffer: &'a mut [u8; LONGEST_NAME]) -> Option<&'a [u8]> {
    let upper = buffer.get_mut(..name.len())?;
    upper.copy_from_slice(name);
    upper.make_ascii_uppercase();
    Some(upper)
}
