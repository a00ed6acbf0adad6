//! Dialogues whose replies are no single ones, or change the connection.

use super::{Peer, Redis, Store, peers, words_of};
use crate::start;
use common::{Azure, SECOND, eventually, server::Server};
use entra_redis::emulator::Emulator;
use tokio::io::{AsyncRead, AsyncWrite};

pub(super) fn knows(words: &str) -> bool {
    [
        "HELLO",
        "SELECT",
        "INFO",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "PSUBSCRIBE",
        "PUNSUBSCRIBE",
        "CLIENT NO-TOUCH",
        "CLIENT SETINFO",
    ]
    .contains(&words)
}

/// Azure has the database 0 alone, so that the others are missing here, as those beyond the last are from any server.
#[tokio::test]
async fn there_is_one_database() {
    let (_emulator, _server, mut store, mut redis) = both("3").await;
    for number in ["0", "-1", "99", "abc", "+0", "00", "", "2147483647", "2147483648", "-2147483649", "0 0"] {
        let line = format!("SELECT {number}");
        assert_eq!(store.ask_one(&line).await, redis.ask_one(&line).await, "{line}");
    }
    assert_eq!(store.ask_one("SELECT 1").await.text(), "ERR DB index is out of range");
}

#[tokio::test]
async fn it_says_of_itself_what_is_asked_for() {
    let (_emulator, _server, mut store, mut redis) = both("3").await;
    for (line, holds) in [
        ("INFO server", "# Server\r\nredis_version:"),
        ("INFO REPLICATION", "# Replication\r\nrole:master\r\n"),
        ("INFO cluster", "# Cluster\r\ncluster_enabled:0\r\n"),
        ("INFO server replication", "role:master"),
        ("INFO all", "role:master"),
        ("INFO", "role:master"),
    ] {
        for reply in [store.ask_one(line).await, redis.ask_one(line).await] {
            assert!(reply.kind == b'=' && reply.text().contains(holds), "{line}: {reply:?}");
        }
    }
    for line in ["INFO nothing", "INFO keyspace"] {
        assert_eq!(store.ask_one(line).await, redis.ask_one(line).await, "{line}");
    }
    // A server of version 7.2 or newer has these.
    for (line, answer) in [
        ("CLIENT NO-TOUCH on", "OK"),
        ("CLIENT NO-TOUCH perhaps", "ERR syntax error"),
        ("CLIENT SETINFO LIB-NAME me", "OK"),
        ("CLIENT SETINFO lib-ver 1", "OK"),
        ("CLIENT SETINFO LIB-AGE 1", "ERR Unrecognized option 'LIB-AGE'"),
        ("CLIENT SETINFO LIB-NAME", "ERR wrong number of arguments for 'client|setinfo' command"),
        ("CLIENT SETINFO LIB-VER a\tb", "ERR LIB-VER cannot contain spaces, newlines or special characters."),
    ] {
        assert_eq!(store.ask_one(line).await.text(), answer, "{line}");
    }
}

/// Commands, and how many messages each is answered with.
const SUBSCRIBERS: &[(&str, usize)] = &[
    ("SUBSCRIBE", 1),
    ("UNSUBSCRIBE", 1),
    ("PUNSUBSCRIBE none", 1),
    ("subscribe news news weather", 3),
    ("PSUBSCRIBE n* [", 2),
    ("PING", 1),
    ("PING hello", 1),
    ("PING a b", 1),
    ("GET str", 1),
    ("CLIENT ID x", 1),
    ("CLIENT GETNAME", 1),
    ("MULTI", 1),
    ("EXEC", 1),
    ("ECHO", 1),
    ("UNSUBSCRIBE news", 1),
    ("UNSUBSCRIBE news", 1),
    ("PUNSUBSCRIBE n*", 1),
    ("PUNSUBSCRIBE", 1),
    ("UNSUBSCRIBE", 1),
    ("UNSUBSCRIBE", 1),
    ("GET str", 1),
];

async fn messages<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>, line: &str, count: usize) -> String {
    let command = words_of(line);
    // What is asked for without a command of its own is an empty one, which is not answered.
    let mut commands = vec![command];
    commands.resize(count, Vec::new());
    format!("{:?}", peer.ask(&commands).await)
}

async fn both(protocol: &str) -> (Azure, Server, Store, Redis) {
    let (emulator, server) = (start(Emulator::builder()).await, Server::start());
    let (store, redis) = peers(&emulator, &server, protocol).await;
    (emulator, server, store, redis)
}

#[tokio::test]
async fn subscribers_hear_the_same() {
    for protocol in ["2", "3"] {
        let (_emulator, _server, mut store, mut redis) = both(protocol).await;
        for (line, count) in SUBSCRIBERS {
            let ours = messages(&mut store, line, *count).await;
            assert_eq!(ours, messages(&mut redis, line, *count).await, "{line} (RESP{protocol})");
        }
    }
}

/// `HELLO` changes the protocol of a connection, or nothing.
#[tokio::test]
async fn connections_are_greeted_alike() {
    let (_emulator, _server, mut store, mut redis) = both("3").await;
    for line in [
        "HELLO 4",
        "HELLO abc",
        "HELLO +3",
        "HELLO 03",
        "HELLO 2 BOGUS",
        "HELLO 2 SETNAME a\tb",
        "HELLO 2 SETNAME",
        "HELLO 2 AUTH me",
        // It still speaks the third.
        "GET nothing",
        "HELLO 3 SETNAME me",
        "CLIENT GETNAME",
        "hello",
        "HELLO 2 SetName you",
        "GET nothing",
        "CLIENT GETNAME",
        "HELLO",
        "HELLO 3",
        "GET nothing",
    ] {
        let (mut ours, mut theirs) = (store.ask_one(line).await, redis.ask_one(line).await);
        for hello in [&mut ours, &mut theirs] {
            // Two servers have versions and numbers of connections of their own.
            let own = [b"version".to_vec(), b"id".to_vec()];
            let pairs = hello.items.chunks(2).filter(|pair| !own.contains(&pair[0].text));
            hello.items = pairs.flatten().cloned().collect();
        }
        assert_eq!(ours, theirs, "{line}");
    }
}

/// Lines as people type them.
#[tokio::test]
async fn lines_are_read_alike() {
    let (_emulator, _server, mut store, mut redis) = both("2").await;
    for line in [
        r#"SET str1 "a b""#,
        "get str1",
        r#"SET 'str 2' "\x41\n\"\\ \q""#,
        "GET 'str 2'",
        r"SET str3 'it\'s \n'",
        "GET str3",
        r#"SET str4 """#,
        "  GET   str4  ",
        r#"SET str5 a"b c""#,
        "GET str5",
    ] {
        let said = format!("{line}\r\n");
        assert_eq!(store.ask_raw(said.as_bytes(), 1).await, redis.ask_raw(said.as_bytes(), 1).await, "{line}");
    }
}

/// What expires is gone a moment later, in both.
#[tokio::test]
async fn keys_expire_alike() {
    const BRIEF: &[&str] = &[
        "SET str1 x PX 1000",
        "PSETEX str2 1000 x",
        "SET str3 x EX 100",
        "GETEX str3 PX 1000",
        "RPUSH list1 a b",
        "PEXPIRE list1 1000",
        "LMOVE list1 list1 LEFT LEFT",
        "HSET hash1 a 1",
        "PEXPIRE hash1 1000 NX",
        "HINCRBY hash1 a 1",
        "SET num1 1 PX 1000",
        "INCR num1",
        "INCRBYFLOAT num1 0.5",
        "APPEND num1 5",
        "SETRANGE num1 0 7",
        "RPUSH list2 a",
        "PEXPIRE list2 1000",
        "RPOPLPUSH list2 list2",
        "SET num2 1 PX 1000",
        "SET num2 2 KEEPTTL",
        "RENAME num2 num3",
    ];
    let (_emulator, _server, mut store, mut redis) = both("2").await;
    // Together, so that they are through long before anything expires.
    let commands: Vec<_> = BRIEF.iter().map(|line| words_of(line)).collect();
    let (ours, theirs) = tokio::join!(store.ask(&commands), redis.ask(&commands));
    for ((line, ours), theirs) in BRIEF.iter().zip(ours).zip(theirs) {
        assert_eq!(ours, theirs, "{line}");
    }
    let exists = "EXISTS str1 str2 str3 list1 hash1 num1 list2 num2 num3";
    eventually("everything has expired in both", 10 * SECOND, async || {
        let left = [store.ask_one(exists).await, redis.ask_one(exists).await];
        left.iter().all(|left| left.number() == Some(0)).then_some(())
    })
    .await;
    for line in ["DBSIZE", "KEYS *", "TTL str1", "GET num1", "RPUSHX list1 x", "SET num1 5 XX"] {
        assert_eq!(store.ask_one(line).await, redis.ask_one(line).await, "{line}");
    }
}

/// A program that does not look at the cursor misses keys here, too.
#[tokio::test]
async fn scan_goes_in_steps_and_finds_every_key_once() {
    let (_emulator, _server, mut store, _) = both("2").await;
    for key in 0..500 {
        store.ask_one(&format!("SET key{key} x")).await;
    }
    let (mut cursor, mut steps, mut found) = ("0".to_owned(), 0, Vec::new());
    while steps == 0 || cursor != "0" {
        let step = store.ask_one(&format!("SCAN {cursor} COUNT 7")).await;
        cursor = step.items[0].text();
        found.extend(step.items[1].texts());
        steps += 1;
        // What comes and goes meanwhile is in nobody's way.
        store.ask_one(&format!("SET other{steps} x")).await;
        store.ask_one(&format!("DEL other{}", steps - 1)).await;
    }
    assert!(steps >= 500 / 7, "{steps}");
    found.retain(|key| key.starts_with("key"));
    found.sort();
    let len = found.len();
    found.dedup();
    assert_eq!((len, found.len()), (500, 500));
}
