//! The commands on data, by name.

use super::{
    args::{Args, Outcome},
    data::Data,
    hashes, keys, lists, sets, strings,
};
use crate::emulator::resp::Reply;

type Run = fn(&mut Data, Args<'_>) -> Outcome;

/// Any number of arguments.
const ANY: usize = usize::MAX;

/// Name, least and most arguments, function.
#[rustfmt::skip]
const COMMANDS: &[(&str, usize, usize, Run)] = &[
    ("ECHO", 1, 1, |_, args| Ok(Reply::bulk(args.at(0)))),
    ("PING", 0, 1, |_, args| Ok(if args.len() == 0 { Reply::Simple("PONG") } else { Reply::bulk(args.at(0)) })),
    ("DBSIZE", 0, 0, keys::dbsize),
    ("FLUSHALL", 0, 1, keys::flush),
    ("FLUSHDB", 0, 1, keys::flush),
    ("DEL", 1, ANY, keys::del),
    ("UNLINK", 1, ANY, keys::del),
    ("EXISTS", 1, ANY, keys::exists),
    ("TYPE", 1, 1, keys::key_type),
    ("KEYS", 1, 1, keys::keys),
    ("SCAN", 1, ANY, keys::scan),
    ("RENAME", 2, 2, keys::rename),
    ("EXPIRE", 2, 2, keys::expire),
    ("PEXPIRE", 2, 2, keys::pexpire),
    ("EXPIREAT", 2, 2, keys::expireat),
    ("PEXPIREAT", 2, 2, keys::pexpireat),
    ("TTL", 1, 1, keys::ttl),
    ("PTTL", 1, 1, keys::pttl),
    ("PERSIST", 1, 1, keys::persist),
    ("GET", 1, 1, strings::get),
    ("SET", 2, ANY, strings::set),
    ("SETEX", 3, 3, strings::setex),
    ("PSETEX", 3, 3, strings::psetex),
    ("SETNX", 2, 2, strings::setnx),
    ("GETSET", 2, 2, strings::getset),
    ("GETDEL", 1, 1, strings::getdel),
    ("GETEX", 1, ANY, strings::getex),
    ("MGET", 1, ANY, strings::mget),
    ("MSET", 2, ANY, strings::mset),
    ("APPEND", 2, 2, strings::append),
    ("STRLEN", 1, 1, strings::strlen),
    ("GETRANGE", 3, 3, strings::getrange),
    ("SETRANGE", 3, 3, strings::setrange),
    ("INCR", 1, 1, strings::incr),
    ("DECR", 1, 1, strings::decr),
    ("INCRBY", 2, 2, strings::incrby),
    ("DECRBY", 2, 2, strings::decrby),
    ("INCRBYFLOAT", 2, 2, strings::incrbyfloat),
    ("HSET", 3, ANY, hashes::hset),
    ("HMSET", 3, ANY, hashes::hmset),
    ("HSETNX", 3, 3, hashes::hsetnx),
    ("HGET", 2, 2, hashes::hget),
    ("HMGET", 2, ANY, hashes::hmget),
    ("HGETALL", 1, 1, hashes::hgetall),
    ("HKEYS", 1, 1, hashes::hkeys),
    ("HVALS", 1, 1, hashes::hvals),
    ("HLEN", 1, 1, hashes::hlen),
    ("HEXISTS", 2, 2, hashes::hexists),
    ("HDEL", 2, ANY, hashes::hdel),
    ("HINCRBY", 3, 3, hashes::hincrby),
    ("HINCRBYFLOAT", 3, 3, hashes::hincrbyfloat),
    ("LPUSH", 2, ANY, lists::lpush),
    ("RPUSH", 2, ANY, lists::rpush),
    ("LPUSHX", 2, ANY, lists::lpushx),
    ("RPUSHX", 2, ANY, lists::rpushx),
    ("LPOP", 1, 2, lists::lpop),
    ("RPOP", 1, 2, lists::rpop),
    ("LLEN", 1, 1, lists::llen),
    ("LRANGE", 3, 3, lists::lrange),
    ("LINDEX", 2, 2, lists::lindex),
    ("LSET", 3, 3, lists::lset),
    ("LTRIM", 3, 3, lists::ltrim),
    ("LREM", 3, 3, lists::lrem),
    ("LMOVE", 4, 4, lists::lmove),
    ("RPOPLPUSH", 2, 2, lists::rpoplpush),
    ("SADD", 2, ANY, sets::sadd),
    ("SREM", 2, ANY, sets::srem),
    ("SMEMBERS", 1, 1, sets::smembers),
    ("SCARD", 1, 1, sets::scard),
    ("SISMEMBER", 2, 2, sets::sismember),
    ("SMISMEMBER", 2, ANY, sets::smismember),
    ("SPOP", 1, 2, sets::spop),
    ("SINTER", 1, ANY, sets::sinter),
    ("SUNION", 1, ANY, sets::sunion),
    ("SDIFF", 1, ANY, sets::sdiff),
];

/// The command of this name, if it can run with so many arguments.
pub(super) fn find(name: &str, arguments: usize) -> Result<Run, String> {
    let Some((_, least, most, run)) = COMMANDS.iter().find(|(known, ..)| *known == name) else {
        return Err(format!(
            "ERR unknown command '{}': the emulator's embedded store does not have it; start the emulator with \
             `.redis_server()`, or its example with `--redis`",
            name.chars().filter(|c| !c.is_control()).take(64).collect::<String>()
        ));
    };
    if (*least..=*most).contains(&arguments) { Ok(*run) } else { Err(wrong_number(name)) }
}

pub(super) fn wrong_number(name: &str) -> String {
    format!("ERR wrong number of arguments for '{}' command", name.to_ascii_lowercase())
}
