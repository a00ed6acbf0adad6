//! The embedded store and a real redis-server are sent the same stream of commands, and have to answer the same.
//!
//! The stream is made up at random from a grammar of the commands that the store has, with right and wrong arguments.
//! The seed of one that has failed is in its message; `DIFFERENTIAL_SEED` makes the same stream again.

mod compare;
mod grammar;
mod limits;
mod reply;
mod scripts;
mod streams;
mod waiting;
mod words;

use crate::{Raw, auth, start};
use common::{Azure, SECOND, server::Server, within};
use compare::{Rule, same};
use entra_redis::emulator::Emulator;
use fastrand::Rng;
use reply::Reply;
use std::fmt::Write as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::TcpStream,
};

/// In each of the two protocols: 100,000 in all.
const COMMANDS: usize = 50_000;

/// How many commands are under way at once.
const BATCH: usize = 1000;

/// A command's name and arguments.
type Command = Vec<Vec<u8>>;

/// A connection to either of the two.
struct Peer<S> {
    stream: S,
    heard: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn new(stream: S) -> Self {
        Self { stream, heard: Vec::new() }
    }

    /// Sends the commands together, and returns as many replies.
    async fn ask(&mut self, commands: &[Command]) -> Vec<Reply> {
        let said: Vec<u8> = commands.iter().flat_map(|command| packed(command)).collect();
        self.ask_raw(&said, commands.len()).await
    }

    /// Sends these bytes, and returns so many replies.
    async fn ask_raw(&mut self, said: &[u8], count: usize) -> Vec<Reply> {
        let (mut input, mut output) = split(&mut self.stream);
        let heard = &mut self.heard;
        let replies = async {
            let mut replies = Vec::with_capacity(count);
            while replies.len() < count {
                let mut done = 0;
                while replies.len() < count
                    && let Some((reply, next)) = Reply::parse(heard, done)
                {
                    replies.push(reply);
                    done = next;
                }
                heard.drain(..done);
                if replies.len() < count {
                    assert!(input.read_buf(heard).await.unwrap() > 0, "it has hung up");
                }
            }
            replies
        };
        let sending = async {
            output.write_all(said).await.unwrap();
            output.flush().await.unwrap();
        };
        within("all commands are answered", 60 * SECOND, async { tokio::join!(replies, sending).0 }).await
    }

    async fn ask_one(&mut self, line: &str) -> Reply {
        self.ask(&[words_of(line)]).await.remove(0)
    }
}

fn words_of(line: &str) -> Command {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn packed(command: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// For people to read, and to type into `redis-cli`.
fn shown(command: &[Vec<u8>]) -> String {
    command.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect::<Vec<_>>().join(" ")
}

type Store = Peer<tokio_rustls::client::TlsStream<TcpStream>>;
type Redis = Peer<TcpStream>;

/// Connections to both, which speak this protocol.
async fn peers(emulator: &Azure, server: &Server, protocol: &str) -> (Store, Redis) {
    let mut raw = Raw::connect(emulator).await;
    raw.expect(&auth(emulator, &emulator.identity().issue_token().unwrap()), "+OK\r\n").await;
    let mut store = Peer::new(raw.0);
    let stream = TcpStream::connect(("127.0.0.1", server.plain_port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut redis = Peer::new(stream);
    let hello = format!("HELLO {protocol}");
    let names = [store.ask_one(&hello).await, redis.ask_one(&hello).await];
    assert!(names.iter().all(|reply| !reply.is_error()), "{names:?}");
    (store, redis)
}

async fn compare_in(protocol: &str) {
    let seed = std::env::var("DIFFERENTIAL_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    let (emulator, server) = (start(Emulator::builder()).await, Server::start());
    let (mut store, mut redis) = peers(&emulator, &server, protocol).await;
    // It looks ten times a second otherwise whether somebody has waited for long enough.
    redis.ask_one("CONFIG SET hz 500").await;
    let mut stream = grammar::Stream::new(Rng::with_seed(seed));
    let mut history: Vec<Command> = Vec::new();
    let mut queued: Vec<Rule> = Vec::new();
    while history.len() < COMMANDS {
        let commands: Vec<Command> = (0..BATCH).map(|_| stream.next_command()).collect();
        let (ours, theirs) = tokio::join!(store.ask(&commands), redis.ask(&commands));
        for ((command, ours), theirs) in commands.into_iter().zip(ours).zip(theirs) {
            let rule = Rule::of(&command, &mut queued, &theirs);
            if !same(&rule, &ours, &theirs) {
                let past = past(&history, &command);
                panic!(
                    "DIFFERENTIAL_SEED={seed} (RESP{protocol}), command {}:\n{past}{}\nthe store: {ours:?}\n    Redis: {theirs:?}",
                    history.len(),
                    shown(&command),
                );
            }
            history.push(command);
        }
    }
}

/// What has happened lately that may have to do with the command.
fn past(history: &[Command], command: &Command) -> String {
    const MOST: usize = 25;
    // Of one that names no key, all has to do with it.
    let shares = |earlier: &&Command| {
        command.len() == 1 || earlier.iter().any(|word| word.len() > 1 && command[1..].contains(word))
    };
    let mut lines: Vec<_> = history.iter().rev().filter(shares).take(MOST).map(|command| shown(command)).collect();
    lines.reverse();
    lines.into_iter().fold(String::new(), |mut text, line| {
        _ = writeln!(text, "  {line}");
        text
    })
}

#[tokio::test]
async fn the_store_answers_as_redis_does() {
    tokio::join!(compare_in("2"), compare_in("3"));
}

/// Commands that the front answers itself, or that end the connection; those whose subcommands count; and those that
/// are for nodes of a cluster.
const OTHERS: &[&str] = &[
    "AUTH",
    "MONITOR",
    "QUIT",
    "RESET",
    "CLIENT",
    "CLIENT REPLY",
    "XGROUP",
    "XINFO",
    "ASKING",
    "CLUSTER",
    "READONLY",
    "READWRITE",
];

/// Of the commands that a server has, the store has those of the grammar and of the scripts, and refuses the others by
/// name.
#[tokio::test]
async fn what_the_store_does_not_have_is_refused_by_name() {
    let (emulator, server) = (start(Emulator::builder()).await, Server::start());
    let (mut store, mut redis) = peers(&emulator, &server, "3").await;
    let mut names = redis.ask_one("COMMAND LIST").await.texts();
    names.extend(redis.ask_one("COMMAND LIST FILTERBY PATTERN client|*").await.texts());
    assert!(names.len() > 250, "{names:?}");
    let mut missing = 0;
    for name in names {
        let words = name.replace('|', " ").to_uppercase();
        if OTHERS.contains(&words.as_str()) || words.starts_with("CLUSTER ") || scripts::knows(&words) {
            continue;
        }
        // With so many arguments, hardly any command can do anything, and none that blocks does.
        let reply = store.ask_one(&format!("{words} a b c d e f g h i j k l")).await;
        let text = reply.text();
        let known = grammar::knows(&words);
        assert_eq!(text.contains("the emulator's embedded store does not have"), !known, "{words}: {text}");
        if !known {
            // A command with others below it is missing as a whole, but for those of which the store has some.
            let some = ["CLIENT ", "XGROUP ", "XINFO "].iter().any(|some| words.starts_with(some));
            let named = if some { words.as_str() } else { words.split(' ').next().unwrap() };
            assert!(text.contains(&format!("does not have {named};")) && text.contains(".redis_server()"), "{text}");
            missing += 1;
        }
    }
    assert!(missing > 100, "{missing}");
}
