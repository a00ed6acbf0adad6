//! The table beside what a real server says of its own commands (`COMMAND`, `COMMAND GETKEYS`).

use super::cmd;
use crate::command::{
    aggregate::Aggregate,
    fan_out::FanOut,
    lane::{Effect, Lane},
    profile::{Profile, profile},
};
use redis::{Cmd, Connection, Value};
use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Differences of one kind: commands, separated by commas, and why the table says something else than the server.
type Differences<'a> = &'a [(&'a str, &'a str)];

const READS: Differences = &[
    ("ECHO, INFO, PING, TIME", "the server does not flag what reads no data, and they change none"),
    ("EVAL_RO, EVALSHA_RO, FCALL_RO", "what a script answers is the script's own word"),
    ("LOLWUT, TOUCH", "it is not the answer that they are for"),
    (
        "MEMORY USAGE, OBJECT ENCODING, OBJECT FREQ, OBJECT IDLETIME, OBJECT REFCOUNT, XREAD",
        "they are not sent a second time by `retry_reads` so far",
    ),
    ("XINFO HELP", "the server does not flag help"),
];

const KEYS: Differences =
    &[("SPUBLISH, SSUBSCRIBE, SUNSUBSCRIBE", "the server does not call channels keys, and places them as keys")];

const FAN_OUT: Differences = &[
    (
        "ACL DELUSER, ACL LOAD, ACL SAVE, ACL SETUSER, CONFIG RESETSTAT, CONFIG REWRITE, DEBUG, PUBSUB CHANNELS, \
         PUBSUB NUMPAT, PUBSUB NUMSUB, PUBSUB SHARDCHANNELS, PUBSUB SHARDNUMSUB, UNWATCH, WAITAOF",
        "each node has its own, of which the server says nothing",
    ),
    (
        "CLUSTER ADDSLOTS, CLUSTER COUNTKEYSINSLOT, CLUSTER DELSLOTS, CLUSTER DELSLOTSRANGE, CLUSTER GETKEYSINSLOT, \
         CLUSTER SETSLOT",
        "their slot has a node",
    ),
    ("LATENCY RESET", "the server says that all must succeed, and the answer is a number"),
    ("MSETEX, MSETNX", "all is set or nothing, which two nodes cannot do together"),
    ("RANDOMKEY", "one key is asked for, and not one of each node"),
];

/// Lines for the commands whose keys are at no fixed place.
const LINES: &[&str] = &[
    "BLMPOP 0 2 a b LEFT",
    "BZMPOP 0 1 a MIN COUNT 2",
    "EVAL x 2 a b c",
    "EVALSHA x 1 a b c",
    "EVALSHA_RO x 3 a b c",
    "EVAL_RO x 1 a",
    "FCALL x 2 a b c",
    "FCALL_RO x 1 a 2",
    "GEORADIUS a 1 1 1 m COUNT 1 STORE b",
    "GEORADIUS a 1 1 1 m STOREDIST b",
    "GEORADIUS STORE 1 1 1 m",
    "GEORADIUSBYMEMBER a m 1 m STORE b",
    "GEORADIUSBYMEMBER a STORE 1 m",
    "LMPOP 2 a b LEFT",
    "MIGRATE h 1 a 0 100 COPY",
    "MIGRATE h 1 a 0 100 AUTH KEYS",
    "MSETEX 2 a 1 b 2 EX 10",
    "SDIFFCARD 2 a b",
    "SINTERCARD 2 a b LIMIT 1",
    "SORT a",
    "SORT a BY x GET y GET z LIMIT 0 1 ASC STORE b",
    "SORT a STORE b STORE c",
    "SORT a GET STORE BY STORE LIMIT STORE STORE GET b",
    "SORT STORE",
    "SORT_RO a BY x GET y",
    "SUNIONCARD 2 a b",
    "XREAD COUNT 1 BLOCK 0 STREAMS a b 0 0",
    "XREAD STREAMS a 0",
    "XREADGROUP GROUP g c COUNT 1 NOACK STREAMS a b > >",
    "XREADGROUP GROUP STREAMS BLOCK BLOCK 0 STREAMS STREAMS >",
    "ZDIFF 2 a b WITHSCORES",
    "ZDIFFSTORE a 2 b c",
    "ZINTER 2 a b WEIGHTS 1 2",
    "ZINTERCARD 2 a b LIMIT 1",
    "ZINTERSTORE a 1 b",
    "ZMPOP 2 a b MIN",
    "ZUNION 1 a",
    "ZUNIONSTORE a 2 b c AGGREGATE MAX",
];

/// A server of this test's own, killed when dropped.
struct Server {
    child: Child,
    connection: Connection,
    _dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let mut server = Command::new("redis-server");
        server.args(["--port", "0", "--save", "", "--unixsocket"]).arg(&socket).current_dir(dir.path());
        let child = server.stdout(Stdio::null()).spawn();
        let child = child.expect("redis-server is needed for this test: `make test` installs it");
        let client = redis::Client::open(format!("unix://{}", socket.display())).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let connection = loop {
            match client.get_connection() {
                Ok(connection) => break connection,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            thread::sleep(Duration::from_millis(5));
        };
        Self { child, connection, _dir: dir }
    }

    /// All commands that the server has; those with subcommands are named by these.
    fn commands(&mut self) -> Vec<Known> {
        let commands: Vec<Value> = redis::cmd("COMMAND").query(&mut self.connection).unwrap();
        let commands: Vec<_> = commands.into_iter().flat_map(Known::all).collect();
        assert!(commands.len() > 300, "{}", commands.len());
        commands
    }

    /// The keys of a command; one without arguments cannot be asked about, and has none. None if the server cannot
    /// tell, as with `PFMERGE` of one key, though that may be run.
    fn keys(&mut self, line: &str) -> Option<Vec<String>> {
        if !line.contains(' ') {
            return Some(Vec::new());
        }
        let mut ask = redis::cmd("COMMAND");
        ask.arg("GETKEYS").arg(line.split(' ').collect::<Vec<_>>());
        match ask.query(&mut self.connection) {
            Ok(keys) => Some(keys),
            Err(error) if error.to_string().contains("The command has no key arguments") => Some(Vec::new()),
            Err(error) if error.to_string().contains("Invalid arguments specified for command") => None,
            Err(error) => panic!("{line}: {error}"),
        }
    }
}

/// What the server says of a command.
#[derive(Debug)]
struct Known {
    name: String,
    arity: i64,
    flags: Vec<String>,
    tips: Vec<String>,
}

impl Known {
    fn all(command: Value) -> Vec<Self> {
        type Row = (String, i64, Vec<String>, i64, i64, i64, Vec<String>, Vec<String>, Value, Vec<Value>);
        let (name, arity, flags, _, _, _, _, tips, _, subcommands): Row = redis::from_redis_value(command).unwrap();
        let name = name.replace('|', " ").to_ascii_uppercase();
        let mut all: Vec<_> = subcommands.into_iter().flat_map(Self::all).collect();
        if all.is_empty() {
            all.push(Self { name, arity, flags, tips });
        }
        all
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own == flag)
    }

    fn tip(&self, kind: &str) -> Option<&str> {
        self.tips.iter().find_map(|tip| tip.strip_prefix(kind))
    }

    fn profile(&self) -> Profile {
        profile(&cmd(&self.name))
    }

    /// Lines with as few arguments as it may have, and with more if it may have more.
    fn lines(&self) -> impl Iterator<Item = String> {
        let least = usize::try_from(self.arity.unsigned_abs()).unwrap();
        let lens = if self.arity < 0 { least..least + 4 } else { least..least + 1 };
        let words = self.name.split(' ').count();
        lens.map(move |len| {
            let arguments = (words..len).map(|at| format!(" argument{at}"));
            self.name.clone() + &arguments.collect::<String>()
        })
    }

    /// Where it says that the command is to be sent in a cluster.
    fn fan_out(&self) -> FanOut {
        let aggregate = match self.tip("response_policy:") {
            Some("one_succeeded") => Some(Aggregate::FirstSuccess),
            Some("all_succeeded") => Some(Aggregate::AllSucceeded),
            Some("agg_sum") => Some(Aggregate::Sum),
            Some("agg_min") => Some(Aggregate::Min),
            Some("agg_logical_and") => Some(Aggregate::And),
            Some("special") => Some(Aggregate::ByNode),
            None => None,
            other => panic!("{}: {other:?}", self.name),
        };
        match self.tip("request_policy:") {
            Some("all_nodes" | "all_shards") => FanOut::Primaries(aggregate.unwrap_or(Aggregate::Arrays)),
            Some("multi_shard") => {
                let each = if self.name.starts_with("MSET") { 2 } else { 1 };
                FanOut::Split { each, last: false, gather: aggregate.unwrap_or(Aggregate::Arrays) }
            }
            // By a cursor.
            Some("special") if self.name == "SCAN" => FanOut::Scan(1),
            Some("special") if self.name == "BLESS SCAN" => FanOut::Scan(2),
            _ if matches!(&*self.name, "HSCAN" | "SSCAN" | "ZSCAN") => FanOut::Cursor(2),
            _ => FanOut::One,
        }
    }
}

/// Fails for commands that differ, which come with what differs, and are not listed, and for listed ones that do not
/// differ.
fn assert_listed<'a>(differ: impl IntoIterator<Item = (&'a str, String)>, listed: Differences, commands: &[Known]) {
    let mut differ: BTreeMap<_, _> = differ.into_iter().collect();
    for name in listed.iter().flat_map(|(names, _)| names.split(", ")) {
        let is_there = commands.iter().any(|command| command.name == name);
        assert_eq!(differ.remove(name).is_some(), is_there, "{name} is listed");
    }
    assert!(differ.is_empty(), "{differ:#?}");
}

fn keys(cmd: &Cmd) -> Vec<String> {
    profile(cmd).keys(cmd).map(|key| String::from_utf8(key.to_vec()).unwrap()).collect()
}

#[test]
fn every_command_of_a_server_is_in_the_table_and_reads_and_blocks_as_it_says() {
    let mut server = Server::start();
    let commands = server.commands();
    for command in &commands {
        let name = command.profile().full_name();
        assert!(!name.is_empty() && command.name.starts_with(name), "{} is not in the table", command.name);
        let blocks = [command.name.as_str(), &format!("{} BLOCK", command.name)]
            .map(|line| profile(&cmd(line)).lane() == Lane::Own(Effect::Blocks));
        // `SHUTDOWN` waits for replicas: the server has no flag for that.
        let expected = command.has("blocking") || command.name == "SHUTDOWN" || command.name == "WAIT";
        assert_eq!(blocks.contains(&true), expected, "{}", command.name);
    }
    let differ = commands.iter().filter(|command| command.profile().only_reads() != command.has("readonly"));
    assert_listed(differ.map(|command| (&*command.name, format!("{:?}", command.flags))), READS, &commands);
}

#[test]
fn keys_are_where_a_server_finds_them() {
    let mut server = Server::start();
    let commands = server.commands();
    let mut differ = BTreeMap::new();
    for command in &commands {
        let lines: Vec<_> = if command.has("movablekeys") {
            let own = |line: &&&str| line.split(' ').next() == Some(&command.name);
            LINES.iter().filter(own).map(|line| (*line).to_owned()).collect()
        } else {
            command.lines().collect()
        };
        let told: Vec<_> = lines.iter().filter_map(|line| Some((line, server.keys(line)?))).collect();
        assert!(!told.is_empty(), "there is no line that the server tells the keys of: {}", command.name);
        for (line, theirs) in told {
            let ours = keys(&cmd(line));
            if ours != theirs {
                differ.insert(command.name.as_str(), format!("{line}: {ours:?}, the server: {theirs:?}"));
            }
        }
    }
    assert_listed(differ, KEYS, &commands);
}

#[test]
fn commands_go_to_the_nodes_that_a_server_names() {
    let mut server = Server::start();
    let commands = server.commands();
    let differ = commands.iter().filter_map(|command| {
        let (ours, theirs) = (command.profile().fan_out(), command.fan_out());
        (ours != theirs).then(|| (&*command.name, format!("{ours:?}, the server: {theirs:?}")))
    });
    assert_listed(differ, FAN_OUT, &commands);
}
