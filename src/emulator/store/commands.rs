//! The commands, by name.

use super::{
    args::{Args, Outcome, Problem},
    counters,
    data::Data,
    expiry, hashes, keys, lists, sets, streams, strings,
    waiting::{self, Attempt},
};
use crate::emulator::{hello::c_string, resp::Reply};

pub(super) type Run = fn(&mut Data, Args<'_>) -> Outcome;

/// Those on data: name, arity as in Redis (the name counts, and a negative one is the least), function.
#[rustfmt::skip]
const COMMANDS: &[(&str, i8, Run)] = &[
    ("ECHO", 2, |_, args| Ok(Reply::bulk(args.at(0)))),
    ("DBSIZE", 1, keys::dbsize),
    ("FLUSHALL", -1, keys::flush),
    ("FLUSHDB", -1, keys::flush),
    ("DEL", -2, keys::del),
    ("UNLINK", -2, keys::del),
    ("EXISTS", -2, keys::exists),
    ("TYPE", 2, keys::key_type),
    ("KEYS", 2, keys::keys),
    ("SCAN", -2, keys::scan),
    ("RENAME", 3, keys::rename),
    ("EXPIRE", -3, expiry::expire),
    ("PEXPIRE", -3, expiry::pexpire),
    ("EXPIREAT", -3, expiry::expireat),
    ("PEXPIREAT", -3, expiry::pexpireat),
    ("TTL", 2, expiry::ttl),
    ("PTTL", 2, expiry::pttl),
    ("PERSIST", 2, expiry::persist),
    ("GET", 2, strings::get),
    ("SET", -3, strings::set),
    ("SETEX", 4, strings::setex),
    ("PSETEX", 4, strings::psetex),
    ("SETNX", 3, strings::setnx),
    ("GETSET", 3, strings::getset),
    ("GETDEL", 2, strings::getdel),
    ("GETEX", -2, strings::getex),
    ("MGET", -2, strings::mget),
    ("MSET", -3, strings::mset),
    ("APPEND", 3, strings::append),
    ("STRLEN", 2, strings::strlen),
    ("GETRANGE", 4, strings::getrange),
    ("SETRANGE", 4, strings::setrange),
    ("INCR", 2, counters::incr),
    ("DECR", 2, counters::decr),
    ("INCRBY", 3, counters::incrby),
    ("DECRBY", 3, counters::decrby),
    ("INCRBYFLOAT", 3, counters::incrbyfloat),
    ("HSET", -4, hashes::hset),
    ("HMSET", -4, hashes::hmset),
    ("HSETNX", 4, hashes::hsetnx),
    ("HGET", 3, hashes::hget),
    ("HMGET", -3, hashes::hmget),
    ("HGETALL", 2, hashes::hgetall),
    ("HKEYS", 2, hashes::hkeys),
    ("HVALS", 2, hashes::hvals),
    ("HLEN", 2, hashes::hlen),
    ("HEXISTS", 3, hashes::hexists),
    ("HDEL", -3, hashes::hdel),
    ("HINCRBY", 4, hashes::hincrby),
    ("HINCRBYFLOAT", 4, hashes::hincrbyfloat),
    ("LPUSH", -3, lists::lpush),
    ("RPUSH", -3, lists::rpush),
    ("LPUSHX", -3, lists::lpushx),
    ("RPUSHX", -3, lists::rpushx),
    ("LPOP", -2, lists::lpop),
    ("RPOP", -2, lists::rpop),
    ("LLEN", 2, lists::llen),
    ("LRANGE", 4, lists::lrange),
    ("LINDEX", 3, lists::lindex),
    ("LSET", 4, lists::lset),
    ("LTRIM", 4, lists::ltrim),
    ("LREM", 4, lists::lrem),
    ("LMPOP", -4, lists::lmpop),
    ("LMOVE", 5, lists::lmove),
    ("RPOPLPUSH", 3, lists::rpoplpush),
    ("SADD", -3, sets::sadd),
    ("SREM", -3, sets::srem),
    ("SMEMBERS", 2, sets::smembers),
    ("SCARD", 2, sets::scard),
    ("SISMEMBER", 3, sets::sismember),
    ("SMISMEMBER", -3, sets::smismember),
    ("SPOP", -2, sets::spop),
    ("SINTER", -2, sets::sinter),
    ("SUNION", -2, sets::sunion),
    ("SDIFF", -2, sets::sdiff),
    ("XADD", -5, streams::xadd),
    ("XLEN", 2, streams::xlen),
    ("XRANGE", -4, streams::xrange),
    ("XREVRANGE", -4, streams::xrevrange),
    ("XDEL", -3, streams::xdel),
    ("XTRIM", -4, streams::xtrim),
    ("XGROUP", -2, streams::xgroup),
    ("XINFO", -2, streams::xinfo),
    ("XACK", -4, streams::xack),
    ("XPENDING", -3, streams::xpending),
    ("XCLAIM", -6, streams::xclaim),
    ("XAUTOCLAIM", -6, streams::xautoclaim),
];

/// Those that may wait.
const WAITING: &[(&str, i8, Attempt)] = &[
    ("BLMOVE", 6, lists::blmove),
    ("BLMPOP", -5, lists::blmpop),
    ("BLPOP", -3, lists::blpop),
    ("BRPOP", -3, lists::brpop),
    ("BRPOPLPUSH", 4, lists::brpoplpush),
    ("WAIT", 3, waiting::wait),
    ("XREAD", -4, streams::xread),
    ("XREADGROUP", -7, streams::xreadgroup),
];

/// Those on the connection, with their arity.
const OF_CONNECTIONS: &[(&str, i8)] = &[
    ("ASKING", 1),
    ("AUTH", -2),
    ("CLIENT", -2),
    ("CLUSTER", -2),
    ("DISCARD", 1),
    ("EXEC", 1),
    ("HELLO", -1),
    ("INFO", -1),
    ("MULTI", 1),
    ("PING", -1),
    ("PSUBSCRIBE", -2),
    ("PUBLISH", 3),
    ("PUNSUBSCRIBE", -1),
    ("QUIT", -1),
    ("READONLY", 1),
    ("READWRITE", 1),
    ("RESET", 1),
    ("ROLE", 1),
    ("SELECT", 2),
    ("SUBSCRIBE", -2),
    ("UNSUBSCRIBE", -1),
    ("UNWATCH", 1),
    ("WATCH", -2),
];

const OF_CLIENT: &[(&str, i8)] =
    &[("GETNAME", 2), ("ID", 2), ("NO-EVICT", 3), ("NO-TOUCH", 3), ("SETINFO", 4), ("SETNAME", 3)];

const OF_CLUSTER: &[(&str, i8)] = &[
    ("COUNTKEYSINSLOT", 3),
    ("GETKEYSINSLOT", 4),
    ("INFO", 2),
    ("KEYSLOT", 3),
    ("MYID", 2),
    ("NODES", 2),
    ("SHARDS", 2),
    ("SLOTS", 2),
];

const OF_XGROUP: &[(&str, i8)] =
    &[("CREATE", -5), ("CREATECONSUMER", 5), ("DELCONSUMER", 5), ("DESTROY", 4), ("SETID", -5)];

const OF_XINFO: &[(&str, i8)] = &[("CONSUMERS", 4), ("GROUPS", 3), ("STREAM", -3)];

/// What runs a command.
#[derive(Clone, Copy)]
pub(super) enum Runner {
    OnData(Run),
    Waiting(Attempt),
    /// The session.
    OfConnection,
}

/// A command that the store has, with as many arguments as it takes.
pub(super) struct Known {
    /// As errors name it.
    pub(super) full_name: String,
    pub(super) runner: Runner,
}

/// The command of this name, if it can run with these arguments.
pub(super) fn find(name: &str, args: Args<'_>) -> Result<Known, Problem> {
    let full_name = name.to_ascii_lowercase();
    let (arity, runner) = look_up(name).ok_or_else(|| missing("command", name.as_bytes(), ""))?;
    if !fits(arity, args) {
        return Err(wrong_number(&full_name));
    }
    let full_name = match name {
        "CLIENT" => within(name, OF_CLIENT, args)?,
        "CLUSTER" => within(name, OF_CLUSTER, args)?,
        "XGROUP" => within(name, OF_XGROUP, args)?,
        "XINFO" => within(name, OF_XINFO, args)?,
        _ => full_name,
    };
    Ok(Known { full_name, runner })
}

fn look_up(name: &str) -> Option<(i8, Runner)> {
    let on_data = COMMANDS.iter().find(|(known, ..)| *known == name);
    let waiting = WAITING.iter().find(|(known, ..)| *known == name);
    match (on_data, waiting) {
        (Some((_, arity, run)), _) => Some((*arity, Runner::OnData(*run))),
        (_, Some((_, arity, attempt))) => Some((*arity, Runner::Waiting(*attempt))),
        _ => of(OF_CONNECTIONS, name).map(|arity| (*arity, Runner::OfConnection)),
    }
}

fn within(container: &str, commands: &[(&str, i8)], args: Args<'_>) -> Result<String, Problem> {
    let name = args.option(0);
    let arity = of(commands, &name).ok_or_else(|| missing("subcommand", args.at(0), &format!("{container} ")))?;
    let full_name = format!("{}|{}", container.to_ascii_lowercase(), name.to_ascii_lowercase());
    if fits(*arity, args) { Ok(full_name) } else { Err(wrong_number(&full_name)) }
}

fn of<'a>(commands: &'a [(&str, i8)], name: &str) -> Option<&'a i8> {
    commands.iter().find(|(known, _)| *known == name).map(|(_, arity)| arity)
}

fn fits(arity: i8, args: Args<'_>) -> bool {
    let count = args.len() + 1;
    let wanted = usize::from(arity.unsigned_abs());
    if arity < 0 { count >= wanted } else { count == wanted }
}

/// Refuses by name what the store does not have.
fn missing(kind: &str, name: &[u8], container: &str) -> Problem {
    let name: String = String::from_utf8_lossy(c_string(name)).chars().filter(|c| !c.is_control()).take(64).collect();
    missing_here(kind, &name, &format!("{container}{}", name.to_uppercase()))
}

/// As Redis refuses what it does not know, and says what to use.
pub(super) fn missing_here(kind: &str, name: &str, what: &str) -> Problem {
    format!(
        "ERR unknown {kind} '{name}': the emulator's embedded store does not have {what}; start the emulator with \
         `.redis_server()`, or its example with `--redis-server`"
    )
    .into()
}

pub(super) fn wrong_number(name: &str) -> Problem {
    format!("ERR wrong number of arguments for '{name}' command").into()
}
