//! How long commands take, by what they are called and how they ended.

use crate::{
    command::Operation,
    error::{Error, ErrorKind},
};
use ::metrics::{Histogram, Label, Unit, describe_histogram, histogram};
use redis::{RedisError, ServerError};
use std::{
    collections::HashMap,
    sync::{LazyLock, OnceLock},
    time::Duration,
};

const DURATION: &str = "db.client.operation.duration";
const WAIT_TIME: &str = "db.client.connection.wait_time";

/// What OpenTelemetry calls whatever is not among the known values: nothing that a caller or a server sends may add a
/// series.
const OTHER: &str = "_OTHER";

/// The names that have a series of their own: the commands of Redis that a shared connection carries, and the common
/// ones of the modules that Azure Managed Redis has.
const NAMES: &str = "ACL APPEND BF.ADD BF.EXISTS BF.INSERT BF.MADD BF.MEXISTS BF.RESERVE BGREWRITEAOF BGSAVE BITCOUNT BITFIELD \
    BITFIELD_RO BITOP BITPOS CF.ADD CF.DEL CF.EXISTS CLIENT CLUSTER CMS.INCRBY CMS.QUERY COMMAND CONFIG COPY DBSIZE \
    DECR DECRBY DEL DUMP ECHO EVAL EVALSHA EVALSHA_RO EVAL_RO EXISTS EXPIRE EXPIREAT EXPIRETIME FCALL FCALL_RO \
    FLUSHALL FLUSHDB FT.AGGREGATE FT.ALTER FT.CREATE FT.CURSOR FT.DROPINDEX FT.EXPLAIN FT.INFO FT.PROFILE FT.SEARCH \
    FT.SUGADD FT.SUGGET FUNCTION GEOADD GEODIST GEOHASH GEOPOS GEORADIUS GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO \
    GEORADIUS_RO GEOSEARCH GEOSEARCHSTORE GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HEXISTS HEXPIRE HEXPIREAT \
    HEXPIRETIME HGET HGETALL HGETDEL HGETEX HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HPERSIST HPEXPIRE HPEXPIREAT \
    HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSET HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT INFO \
    JSON.ARRAPPEND JSON.ARRINDEX JSON.ARRINSERT JSON.ARRLEN JSON.ARRPOP JSON.ARRTRIM JSON.CLEAR JSON.DEL JSON.GET \
    JSON.MERGE JSON.MGET JSON.MSET JSON.NUMINCRBY JSON.OBJKEYS JSON.OBJLEN JSON.SET JSON.STRAPPEND JSON.STRLEN \
    JSON.TOGGLE JSON.TYPE KEYS LASTSAVE LATENCY LCS LINDEX LINSERT LLEN LMOVE LMPOP LOLWUT LPOP LPOS LPUSH LPUSHX \
    LRANGE LREM LSET LTRIM MEMORY MGET MODULE MOVE MSET MSETNX MULTI OBJECT PERSIST PEXPIRE PEXPIREAT PEXPIRETIME \
    PFADD PFCOUNT PFMERGE PING PIPELINE PSETEX PTTL PUBLISH PUBSUB RANDOMKEY RENAME RENAMENX RESTORE ROLE RPOP \
    RPOPLPUSH RPUSH RPUSHX SADD SAVE SCAN SCARD SCRIPT SDIFF SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTER \
    SINTERCARD SINTERSTORE SISMEMBER SLOWLOG SMEMBERS SMISMEMBER SMOVE SORT SORT_RO SPOP SPUBLISH SRANDMEMBER SREM \
    SSCAN STRLEN SUNION SUNIONSTORE SWAPDB TDIGEST.ADD TDIGEST.QUANTILE TIME TOPK.ADD TOPK.QUERY TOUCH TS.ADD \
    TS.CREATE TS.GET TS.INCRBY TS.MADD TS.MGET TS.MRANGE TS.RANGE TTL TYPE UNLINK XACK XADD XAUTOCLAIM XCLAIM XDEL \
    XGROUP XINFO XLEN XPENDING XRANGE XREAD XREADGROUP XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZDIFF ZDIFFSTORE \
    ZINCRBY ZINTER ZINTERCARD ZINTERSTORE ZLEXCOUNT ZMPOP ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX \
    ZRANGEBYSCORE ZRANGESTORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX \
    ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE ZUNION ZUNIONSTORE";

static PLACES: LazyLock<HashMap<&str, usize>> = LazyLock::new(|| NAMES.split(' ').zip(0..).collect());

/// Longer than any name.
const LONGEST_NAME: usize = 24;

/// The name that an operation has a series under, and its place there; none if it has no series of its own.
fn known(operation: Operation<'_>) -> Option<(&'static str, usize)> {
    let mut buffer = [0; LONGEST_NAME];
    let name = match operation {
        Operation::Pipeline => "PIPELINE",
        Operation::Transaction => "MULTI",
        Operation::Command(bytes) => {
            let upper = buffer.get_mut(..bytes.len())?;
            upper.copy_from_slice(bytes);
            upper.make_ascii_uppercase();
            str::from_utf8(upper).ok()?
        }
    };
    PLACES.get_key_value(name).map(|(name, place)| (*name, *place))
}

/// How a command failed.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    /// Redis answered with an error of this code.
    Answered(&'static str),
    /// On this side, as `entra_redis.commands.failed` calls it.
    Ours(&'static str),
}

impl Failure {
    /// Its caller waits no more.
    pub(crate) const CANCELLED: Self = Self::Ours("cancelled");

    pub(crate) fn of_answer(error: &ServerError) -> Self {
        Self::Answered(known_code(error.code()))
    }

    pub(crate) fn of_error(error: &RedisError) -> Self {
        match Error::kind_of(error) {
            Some(ErrorKind::Timeout(_)) => Self::Ours("timed_out"),
            Some(ErrorKind::Overloaded) => Self::Ours("overloaded"),
            Some(ErrorKind::Closed) => Self::Ours("closed"),
            _ if error.kind() == redis::ErrorKind::AuthenticationFailed => Self::Ours("unauthenticated"),
            _ if error.is_connection_dropped() => Self::Ours("lost"),
            _ => error.code().map_or(Self::Ours(OTHER), |code| Self::Answered(known_code(code))),
        }
    }
}

/// Where durations go. A series begins with its first value, and costs a command that succeeds no lock and no
/// allocation from then on; one that fails has its series looked up at the recorder's.
pub(crate) struct Operations {
    labels: Vec<Label>,
    known: Box<[OnceLock<Histogram>]>,
    other: OnceLock<Histogram>,
    wait_time: Histogram,
}

impl Operations {
    /// For nobody who looks.
    #[cfg(feature = "bench-api")]
    pub(crate) fn unlabelled() -> Self {
        Self::new(Vec::new())
    }

    pub(crate) fn new(labels: Vec<Label>) -> Self {
        describe_histogram!(DURATION, Unit::Seconds, "How long commands took, from the call to the reply.");
        describe_histogram!(
            WAIT_TIME,
            Unit::Seconds,
            "How long commands waited for a connection, or for room, that found none at once."
        );
        Self {
            wait_time: histogram!(WAIT_TIME, labels.clone()),
            labels,
            known: PLACES.iter().map(|_| OnceLock::new()).collect(),
            other: OnceLock::new(),
        }
    }

    /// A command that took this long, and how it failed if it did.
    pub(crate) fn record(&self, operation: Operation<'_>, took: Duration, failure: Option<Failure>) {
        let (name, series) = match known(operation) {
            Some((name, place)) => (name, &self.known[place]),
            None => (OTHER, &self.other),
        };
        match failure {
            None => series.get_or_init(|| self.series(name, None)).record(took),
            Some(_) => self.series(name, failure).record(took),
        }
    }

    /// A command that found no connection, or no room, at once.
    pub(crate) fn record_wait(&self, took: Duration) {
        self.wait_time.record(took);
    }

    fn series(&self, name: &'static str, failure: Option<Failure>) -> Histogram {
        let (kind, code) = match failure {
            None => (None, None),
            Some(Failure::Answered(code)) => (Some(code), Some(code)),
            Some(Failure::Ours(kind)) => (Some(kind), None),
        };
        let own = [("db.operation.name", Some(name)), ("error.type", kind), ("db.response.status_code", code)];
        let own = own.into_iter().filter_map(|(key, value)| Some(Label::from_static_parts(key, value?)));
        histogram!(DURATION, self.labels.iter().cloned().chain(own).collect::<Vec<_>>())
    }
}

fn known_code(code: &str) -> &'static str {
    const CODES: &str = "ASK BUSY BUSYGROUP BUSYKEY CLUSTERDOWN CROSSSLOT ERR EXECABORT INPROG LOADING MASTERDOWN MISCONF \
        MOVED NOAUTH NOGROUP NOPERM NOREPLICAS NOSCRIPT NOTBUSY OOM READONLY TRYAGAIN UNKILLABLE WRONGPASS WRONGTYPE";
    CODES.split(' ').find(|known| *known == code).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_nothing_else_is() {
        let name_of = |operation| known(operation).map(|(name, _)| name);
        let command = |name| name_of(Operation::Command(name));
        assert_eq!(command(b"get"), Some("GET"));
        assert_eq!(command(b"HGetAll"), Some("HGETALL"));
        assert_eq!(command(b"json.get"), Some("JSON.GET"));
        for other in [&b""[..], b"GE", b"GET ", b"\xff\xfe", &[b'A'; 1000]] {
            assert_eq!(command(other), None, "{other:?}");
        }
        assert_eq!(name_of(Operation::Transaction), Some("MULTI"));
        assert_eq!(name_of(Operation::Pipeline), Some("PIPELINE"));
        assert!(NAMES.split(' ').all(|name| name.len() <= LONGEST_NAME && PLACES.contains_key(name)));
    }

    #[test]
    fn errors_of_redis_go_by_their_codes_as_far_as_those_are_known() {
        assert_eq!(known_code("WRONGTYPE"), "WRONGTYPE");
        assert_eq!(known_code("A-SCRIPTS-OWN"), "_OTHER");
        assert_eq!(known_code(""), "_OTHER");
    }
}
