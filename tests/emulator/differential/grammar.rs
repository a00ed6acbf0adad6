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
    "LMPOP several where most?",
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
    "WATCH key+",
    "WATCH str1 str2 str3 str4 num1 num2 num3 num4 hash1 hash2 hash3 hash4 list1 list2 list3 list4 members1 members2",
    "WATCH stream1 stream2 stream3 stream4",
    "UNWATCH",
    "XADD stream trim* newid field value",
    "XADD stream newid field value field value",
    "XADD stream newid field value",
    "XLEN stream",
    "XRANGE stream start end most?",
    "XREVRANGE stream end start most?",
    "XDEL stream id+",
    "XTRIM stream trim+",
    "XREAD most? STREAMS stream after",
    "XREAD most? STREAMS stream stream after after",
    "XGROUP CREATE stream group begin group_option*",
    "XGROUP CREATE stream group begin",
    "XGROUP SETID stream group begin group_option*",
    "XGROUP CREATECONSUMER stream group consumer",
    "XGROUP DELCONSUMER stream group consumer",
    "XREADGROUP GROUP group consumer read* STREAMS stream undelivered",
    "XREADGROUP GROUP group consumer read* STREAMS stream undelivered",
    "XREADGROUP GROUP group consumer read* STREAMS stream stream undelivered undelivered",
    "XACK stream group id+",
    "XPENDING stream group",
    "XPENDING stream group start end count consumer?",
    "XPENDING stream group IDLE idle start end count consumer?",
    "XCLAIM stream group consumer idle id+ claim*",
    "XAUTOCLAIM stream group consumer idle start auto*",
    "XINFO STREAM stream",
    "XINFO GROUPS stream",
    "XINFO CONSUMERS stream group",
];

/// They come more seldom, and wait: for no more than an instant, unless they are in a transaction, where nothing waits.
const WAITING: &[&str] = &[
    "BLPOP list+ patience",
    "BRPOP list+ patience",
    "BLMOVE list list where where patience",
    "BRPOPLPUSH list list patience",
    "BLMPOP patience several where most?",
    "XREAD BLOCK moment most? STREAMS stream after",
    "XREADGROUP GROUP group consumer BLOCK moment read* STREAMS stream undelivered",
    "WAIT count moment",
];

/// They come more seldom: the stream is to find something there, and to change something.
const SELDOM: &[&str] =
    &["MULTI", "EXEC", "DISCARD", "FLUSHALL flush*", "FLUSHDB flush*", "FLUSHALL ASYNC", "XGROUP DESTROY stream group"];

pub(super) fn knows(words: &str) -> bool {
    let longer = format!("{words} ");
    GRAMMAR.iter().chain(SELDOM).chain(WAITING).any(|line| *line == words || line.starts_with(&longer))
}

/// What a stretch of commands on one stream begins with, so that they find something there.
const STRETCH: &[&str] = &[
    "DEL stream1",
    "XADD stream1 newid field value",
    "XADD stream1 newid field value",
    "XADD stream1 newid field value",
    "XGROUP CREATE stream1 g1 0",
    "XREADGROUP GROUP g1 consumer COUNT 2 STREAMS stream1 >",
];

pub(super) struct Stream {
    rng: Rng,
    /// How many commands of such a stretch are left.
    stretch: usize,
    /// What has to come next.
    ahead: Vec<Command>,
    in_transaction: bool,
    times: u64,
}

/// A step over all keys: those that have expired are gone after it.
const MEETS_ALL: &str = "SCAN 0 COUNT 1000000";

impl Stream {
    pub(super) fn new(rng: Rng) -> Self {
        Self { rng, stretch: 0, ahead: Vec::new(), in_transaction: false, times: 0 }
    }

    pub(super) fn next_command(&mut self) -> Command {
        if let Some(command) = self.ahead.pop() {
            return command;
        }
        let mut command = self.made_up();
        match command[0].to_ascii_uppercase().as_slice() {
            // Keys that have expired count until somebody meets them.
            b"DBSIZE" => {
                self.ahead.push(command);
                command = words_of(MEETS_ALL);
            }
            // Each takes members of its own choice; then they are of one mind again.
            b"SPOP" => self.ahead.extend(removal(&command)),
            // What is watched is changed, or is not, and told by the next transaction.
            b"WATCH" if !self.in_transaction => {
                let between = self.made_up();
                let counts = between[0].eq_ignore_ascii_case(b"DBSIZE");
                self.ahead.extend([words_of("EXEC"), words_of("PING"), words_of("MULTI")]);
                self.ahead.extend(between[0].eq_ignore_ascii_case(b"SPOP").then(|| removal(&between)).flatten());
                self.ahead.push(between);
                self.ahead.extend(counts.then(|| words_of(MEETS_ALL)));
            }
            b"MULTI" => self.in_transaction = true,
            b"EXEC" | b"DISCARD" => self.in_transaction = false,
            _ => {}
        }
        command
    }

    fn made_up(&mut self) -> Command {
        if self.stretch > 0 {
            self.stretch -= 1;
            let of_streams: Vec<_> = GRAMMAR.iter().filter(|line| line.starts_with('X')).collect();
            let line = of_streams[self.rng.usize(..of_streams.len())];
            return self.of_line(&line.replace("stream", "stream1").replace(" group ", " g1 "));
        }
        if !self.in_transaction && self.rng.u16(..) < 200 {
            self.stretch = 100;
            let beginning: Vec<_> = STRETCH.iter().rev().map(|line| self.of_line(line)).collect();
            self.ahead.extend(beginning);
        }
        let line = match self.rng.u8(..) {
            // Transactions are short.
            0..40 if self.in_transaction => ["EXEC", "EXEC", "EXEC", "DISCARD", "MULTI"][self.rng.usize(..5)],
            0..5 => SELDOM[self.rng.usize(..SELDOM.len())],
            5 => WAITING[self.rng.usize(..WAITING.len())],
            _ => GRAMMAR[self.rng.usize(..GRAMMAR.len())],
        };
        let mut command = self.of_line(line);
        if self.rng.u8(..) < 30 {
            self.spoil(&mut command);
        }
        keep_from_expiring(&mut command);
        keep_from_waiting(&mut command);
        for word in &mut command {
            if word.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-') && self.rng.u8(..) < 60 {
                // What the rules of comparison look at stays as it is.
                word.iter_mut().filter(|_| self.rng.bool()).for_each(|byte| *byte = byte.to_ascii_lowercase());
            }
        }
        command
    }

    fn of_line(&mut self, line: &str) -> Command {
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

/// Removes the key that the command works on.
fn removal(command: &Command) -> Option<Command> {
    command.get(1).map(|key| vec![b"DEL".to_vec(), key.clone()])
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

/// Makes an instant of times to wait that a mistake has made long, and takes away ids that the clock would give.
fn keep_from_waiting(command: &mut Command) {
    let name = command[0].to_ascii_uppercase();
    let last = command.len() - 1;
    for at in 1..command.len() {
        let (is_time, instant) = match name.as_slice() {
            b"BLPOP" | b"BRPOP" => (at == last, "0.001"),
            b"BLMOVE" => (at == 5, "0.001"),
            b"BRPOPLPUSH" => (at == 3, "0.001"),
            b"BLMPOP" => (at == 1, "0.001"),
            b"WAIT" => (at == 2, "1"),
            b"XREAD" | b"XREADGROUP" => (command[at - 1].eq_ignore_ascii_case(b"BLOCK"), "1"),
            b"XADD" => (command[at] == b"*", "5"),
            _ => (false, ""),
        };
        let text = String::from_utf8_lossy(&command[at]).to_ascii_lowercase();
        let is_long = text.parse::<f64>().is_ok_and(|time| time == 0.0 || time > 0.01) || text.contains("0x");
        if is_time && (is_long || name == b"XADD") {
            command[at] = instant.as_bytes().to_vec();
        }
    }
}
