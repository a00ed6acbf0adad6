//! The commands that the store has, and a stream of them.

use super::{Command, words, words_of};
use fastrand::Rng;

/// A command a line: words in capitals are its own, the others stand for something of their kind; with `?` behind it at
/// most one, with `*` any number, with `+` one at least.
const GRAMMAR: &[&str] = &[
    "ECHO value",
    "PING value?",
    "DBSIZE",
    "DEL key+",
    "UNLINK key+",
    "EXISTS key+",
    "TYPE key",
    "KEYS pattern",
    "SCAN cursor scan*",
    "RENAME key key",
    "EXPIRE key seconds condition*",
    "EXPIRE key seconds condition",
    "PEXPIRE key milliseconds condition*",
    "EXPIREAT key second condition*",
    "PEXPIREAT key millisecond condition*",
    "TTL key",
    "PTTL key",
    "PERSIST key",
    "GET str",
    "SET str value",
    "SET num number",
    "SET str value set+",
    "SETEX str seconds value",
    "PSETEX str milliseconds value",
    "SETNX str value",
    "GETSET str value",
    "GETDEL str",
    "GETEX str getex*",
    "MGET str+",
    "MSET str value",
    "MSET num number str value",
    "APPEND str value",
    "STRLEN str",
    "GETRANGE str index index",
    "SETRANGE str offset value",
    "INCR num",
    "DECR num",
    "INCRBY num number",
    "DECRBY num number",
    "INCRBYFLOAT num float",
    "INCRBYFLOAT num float",
    "HSET hash field value",
    "HSET hash field number field value",
    "HMSET hash field value",
    "HMSET hash field value field value",
    "HSETNX hash field value",
    "HGET hash field",
    "HMGET hash field+",
    "HGETALL hash",
    "HKEYS hash",
    "HVALS hash",
    "HLEN hash",
    "HEXISTS hash field",
    "HDEL hash field+",
    "HINCRBY hash field number",
    "HINCRBYFLOAT hash field float",
    "HINCRBYFLOAT hash field float",
    "LPUSH list value+",
    "RPUSH list value+",
    "LPUSHX list value+",
    "RPUSHX list value+",
    "LPOP list count?",
    "RPOP list count?",
    "LLEN list",
    "LRANGE list index index",
    "LINDEX list index",
    "LSET list index value",
    "LTRIM list index index",
    "LREM list index value",
    "LMOVE list list where where",
    "RPOPLPUSH list list",
    "SADD members value+",
    "SREM members value+",
    "SMEMBERS members",
    "SCARD members",
    "SISMEMBER members value",
    "SMISMEMBER members value+",
    "SPOP members count?",
    "SINTER members+",
    "SUNION members+",
    "SDIFF members+",
    "CLIENT SETNAME name",
    "CLIENT GETNAME",
    "CLIENT ID",
    "CLIENT NO-EVICT switch",
    "PUBLISH value value",
    "ROLE",
];

/// They come more seldom: the stream is to find something there, and to change something.
const SELDOM: &[&str] =
    &["MULTI", "EXEC", "DISCARD", "FLUSHALL flush*", "FLUSHDB flush*", "FLUSHALL ASYNC", "FLUSHDB SYNC"];

pub(super) fn knows(words: &str) -> bool {
    let longer = format!("{words} ");
    GRAMMAR.iter().chain(SELDOM).any(|line| *line == words || line.starts_with(&longer))
}

pub(super) struct Stream {
    rng: Rng,
    /// What has to come next.
    ahead: Vec<Command>,
    in_transaction: bool,
    times: u64,
}

impl Stream {
    pub(super) fn new(rng: Rng) -> Self {
        Self { rng, ahead: Vec::new(), in_transaction: false, times: 0 }
    }

    pub(super) fn next_command(&mut self) -> Command {
        if let Some(command) = self.ahead.pop() {
            return command;
        }
        let mut command = self.made_up();
        match command[0].to_ascii_uppercase().as_slice() {
            // Keys that have expired count until somebody meets them: a step over all of them meets them.
            b"DBSIZE" => {
                self.ahead.push(command);
                command = words_of("SCAN 0 COUNT 1000000");
            }
            // Each takes members of its own choice; then they are of one mind again.
            b"SPOP" => self.ahead.extend(command.get(1).map(|key| vec![b"DEL".to_vec(), key.clone()])),
            b"MULTI" => self.in_transaction = true,
            b"EXEC" | b"DISCARD" => self.in_transaction = false,
            _ => {}
        }
        command
    }

    fn made_up(&mut self) -> Command {
        let line = match self.rng.u8(..) {
            // Transactions are short.
            0..40 if self.in_transaction => ["EXEC", "EXEC", "EXEC", "DISCARD", "MULTI"][self.rng.usize(..5)],
            0..5 => SELDOM[self.rng.usize(..SELDOM.len())],
            _ => GRAMMAR[self.rng.usize(..GRAMMAR.len())],
        };
        let mut command = Command::new();
        for word in line.split(' ') {
            let (kind, least, most) = match word.as_bytes().last() {
                Some(b'?') => (&word[..word.len() - 1], 0, 1),
                Some(b'*') => (&word[..word.len() - 1], 0, 3),
                Some(b'+') => (&word[..word.len() - 1], 1, 4),
                _ => (word, 1, 1),
            };
            for _ in 0..self.rng.usize(least..=most) {
                self.times += 1;
                words::of_kind(kind, &mut self.rng, self.times, &mut command);
            }
        }
        if self.rng.u8(..) < 30 {
            self.spoil(&mut command);
        }
        keep_from_expiring(&mut command);
        for word in &mut command {
            if word.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-') && self.rng.u8(..) < 60 {
                // What the rules of comparison look at stays as it is.
                word.iter_mut().filter(|_| self.rng.bool()).for_each(|byte| *byte = byte.to_ascii_lowercase());
            }
        }
        command
    }

    /// Makes a mistake.
    fn spoil(&mut self, command: &mut Command) {
        let at = self.rng.usize(1..=command.len());
        match self.rng.u8(..4) {
            0 if command.len() > 1 => drop(command.pop()),
            1 if at < command.len() => command[at] = words::junk(&mut self.rng),
            2 if at < command.len() => command.swap(1, at),
            _ => command.insert(at, words::junk(&mut self.rng)),
        }
    }
}

/// Takes away the times that a mistake has made short: what expires soon may be gone in one of the two only.
fn keep_from_expiring(command: &mut Command) {
    let name = command[0].to_ascii_uppercase();
    for at in 2..command.len() {
        let is_time = match name.as_slice() {
            b"SETEX" | b"PSETEX" | b"EXPIRE" | b"PEXPIRE" => at == 2,
            b"SET" | b"GETEX" => {
                let option = command[at - 1].split(|byte| *byte == 0).next().unwrap_or_default();
                option.eq_ignore_ascii_case(b"EX") || option.eq_ignore_ascii_case(b"PX")
            }
            _ => false,
        };
        let time = str::from_utf8(&command[at]).ok().and_then(|text| text.parse().ok());
        if is_time && time.is_some_and(|time: i64| (1..1_000_000).contains(&time)) {
            command[at] = format!("{}000000", time.unwrap_or_default()).into_bytes();
        }
    }
}
