//! Commands that wait, of several connections at once.

use super::{Peer, Redis, Store, packed, peers, words_of};
use crate::{auth, start};
use common::{Azure, SECOND, eventually, server::Server, within};
use entra_redis::emulator::Emulator;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

#[derive(Clone, Copy)]
enum Step {
    /// A connection asks, and is answered.
    Ask(usize, &'static str),
    /// It asks, and is not answered for now: one more waits.
    Wait(usize, &'static str),
    /// It says something behind what waits.
    Say(usize, &'static str),
    /// It is answered.
    Hear(usize),
    /// It hangs up, and one less waits.
    Leave(usize),
}

use Step::{Ask, Hear, Leave, Say, Wait};

const SCENES: &[(&str, &[Step])] = &[
    (
        "first come, first served",
        &[
            Wait(1, "BLPOP q 0"),
            Wait(2, "BRPOP q 0"),
            Wait(3, "BLPOP other q 0"),
            Ask(0, "RPUSH q a b c d"),
            Hear(1),
            Hear(2),
            Hear(3),
            Ask(0, "LRANGE q 0 -1"),
        ],
    ),
    (
        "what one moves, another one waits for",
        &[
            Wait(1, "BLPOP b 0"),
            Wait(2, "BLMOVE a b LEFT RIGHT 0"),
            Ask(0, "RPUSH a v"),
            Hear(2),
            Hear(1),
            Ask(0, "EXISTS a b"),
            Wait(1, "BRPOPLPUSH a a 0"),
            Wait(2, "BLMPOP 0 2 b a RIGHT COUNT 5"),
            Ask(0, "RPUSH a 1 2 3"),
            Hear(1),
            Hear(2),
        ],
    ),
    (
        "a transaction is seen as a whole",
        &[
            Wait(1, "BLPOP q 0"),
            Ask(0, "MULTI"),
            Ask(0, "RPUSH q a"),
            Ask(0, "LPOP q"),
            Ask(0, "EXEC"),
            Ask(0, "MULTI"),
            Ask(0, "RPUSH q b"),
            Ask(0, "LPUSH q c"),
            Ask(0, "EXEC"),
            Hear(1),
            Ask(0, "LRANGE q 0 -1"),
        ],
    ),
    (
        "a key of another type is not what is waited for",
        &[
            Wait(1, "BLPOP q 0"),
            Wait(2, "XREAD BLOCK 0 STREAMS q 0"),
            Ask(0, "SET q x"),
            Ask(0, "DEL q"),
            Ask(0, "XADD q 1-1 a b"),
            Hear(2),
            Ask(0, "RENAME q r"),
            Ask(0, "RPUSH s v"),
            Ask(0, "RENAME s q"),
            Hear(1),
        ],
    ),
    (
        "an item that has nowhere to go stays",
        &[Ask(0, "SET b x"), Wait(1, "BLMOVE a b LEFT LEFT 0"), Ask(0, "RPUSH a v"), Hear(1), Ask(0, "LRANGE a 0 -1")],
    ),
    (
        "whoever hangs up takes nothing",
        &[
            Wait(1, "BLPOP q 0"),
            Wait(2, "BLPOP q 0"),
            Leave(1),
            Ask(0, "RPUSH q a b"),
            Hear(2),
            Ask(0, "LRANGE q 0 -1"),
        ],
    ),
    (
        "what was said meanwhile is answered afterwards",
        &[
            Wait(1, "BLPOP q 0"),
            Say(1, "RPUSH r mine"),
            Say(1, "BLPOP r 0"),
            Say(1, "PING"),
            Ask(0, "EXISTS r"),
            Ask(0, "RPUSH q a"),
            Hear(1),
            Hear(1),
            Hear(1),
            Hear(1),
        ],
    ),
    (
        "the time is up",
        &[
            Ask(1, "BLPOP q 0.05"),
            Ask(1, "BLMOVE q r LEFT LEFT 0.05"),
            Ask(1, "BRPOPLPUSH q r 0.05"),
            Ask(1, "BLMPOP 0.05 1 q LEFT"),
            Ask(1, "XREAD BLOCK 50 STREAMS s $"),
            Ask(1, "WAIT 3 50"),
            Ask(1, "WAIT 0 0"),
            Ask(0, "RPUSH q a"),
            Ask(1, "BLPOP q 0"),
        ],
    ),
    (
        "readers of a stream all get what is new",
        &[
            Ask(0, "XADD s 1-1 a b"),
            Wait(1, "XREAD BLOCK 0 STREAMS s $"),
            Wait(2, "XREAD COUNT 1 BLOCK 0 STREAMS other s 0 1-1"),
            Ask(0, "XADD s 2-1 c d"),
            Hear(1),
            Hear(2),
            Wait(1, "XREAD BLOCK 0 STREAMS s $"),
            Ask(0, "XDEL s 1-1"),
            Ask(0, "XADD s 3-1 e f"),
            Hear(1),
        ],
    ),
    (
        "of a group, one gets it",
        &[
            Ask(0, "XGROUP CREATE s g $ MKSTREAM"),
            Wait(1, "XREADGROUP GROUP g c1 BLOCK 0 STREAMS s >"),
            Wait(2, "XREADGROUP GROUP g c2 BLOCK 0 STREAMS s >"),
            Ask(0, "XADD s 1-1 a b"),
            Hear(1),
            Ask(0, "XADD s 1-2 c d"),
            Hear(2),
            Ask(0, "XPENDING s g"),
            Ask(0, "XREADGROUP GROUP g c1 STREAMS s 0"),
            Ask(0, "XACK s g 1-1 1-2"),
            Wait(1, "XREADGROUP GROUP g c1 BLOCK 0 NOACK STREAMS s >"),
            Ask(0, "XADD s 1-3 e f"),
            Hear(1),
            Ask(0, "XPENDING s g"),
        ],
    ),
    (
        "what is watched and changed by somebody else is not written over",
        &[
            Ask(1, "WATCH k h"),
            Ask(0, "SET k 1"),
            Ask(1, "MULTI"),
            Ask(1, "SET k 2"),
            Ask(1, "EXEC"),
            Ask(1, "GET k"),
            Ask(1, "WATCH k s"),
            Ask(0, "SREM s nothing"),
            Ask(0, "GET k"),
            Ask(1, "MULTI"),
            Ask(1, "SET k 3"),
            Ask(1, "EXEC"),
            Ask(1, "WATCH k"),
            Ask(0, "EXPIRE k 100"),
            Ask(1, "UNWATCH"),
            Ask(1, "MULTI"),
            Ask(1, "TTL none"),
            Ask(1, "EXEC"),
            Ask(1, "WATCH k"),
            Ask(0, "FLUSHALL"),
            Ask(1, "MULTI"),
            Ask(1, "WATCH h"),
            Ask(1, "PING"),
            Ask(1, "EXEC"),
            Ask(1, "WATCH q"),
            Wait(2, "BLMOVE p q LEFT LEFT 0"),
            Ask(0, "RPUSH p v"),
            Hear(2),
            Ask(1, "MULTI"),
            Ask(1, "PING"),
            Ask(1, "EXEC"),
        ],
    ),
];

async fn blocked<S: AsyncRead + AsyncWrite + Unpin>(peer: &mut Peer<S>) -> usize {
    let info = peer.ask_one("INFO clients").await.text();
    let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:")).expect(&info);
    line.parse().unwrap()
}

/// Plays a scene; what was heard, in its order. The last connection looks who waits.
async fn play<S: AsyncRead + AsyncWrite + Unpin>(mut peers: Vec<Option<Peer<S>>>, steps: &[Step]) -> Vec<String> {
    let mut control = peers.pop().flatten().unwrap();
    let mut heard = Vec::new();
    let mut waiting: Vec<usize> = Vec::new();
    for step in steps {
        let (Ask(who, _) | Wait(who, _) | Say(who, _) | Hear(who) | Leave(who)) = *step;
        let peer = peers[who].as_mut().unwrap();
        match *step {
            Ask(_, line) => heard.push(format!("{line}: {:?}", peer.ask_one(line).await)),
            Wait(_, line) | Say(_, line) => {
                peer.stream.write_all(&packed(&words_of(line))).await.unwrap();
                peer.stream.flush().await.unwrap();
                if matches!(step, Wait(..)) {
                    waiting.push(who);
                }
            }
            Hear(_) => {
                heard.push(format!("{who} hears {:?}", peer.ask_raw(b"", 1).await));
                waiting.retain(|waiting| *waiting != who);
            }
            Leave(_) => {
                peers[who] = None;
                waiting.retain(|waiting| *waiting != who);
            }
        }
        if matches!(step, Wait(..) | Leave(_)) {
            let count = waiting.len();
            eventually("so many wait", 10 * SECOND, async || (blocked(&mut control).await == count).then_some(()))
                .await;
        }
    }
    heard
}

/// So many connections to both.
async fn crowds(
    emulator: &Azure,
    server: &Server,
    protocol: &str,
    count: usize,
) -> (Vec<Option<Store>>, Vec<Option<Redis>>) {
    let (mut stores, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (store, redis) = peers(emulator, server, protocol).await;
        stores.push(Some(store));
        servers.push(Some(redis));
    }
    (stores, servers)
}

#[tokio::test]
async fn who_waits_is_served_alike() {
    let (emulator, server) = (start(Emulator::builder()).await, Server::start());
    for protocol in ["2", "3"] {
        for (what, steps) in SCENES {
            let steps = [&[Ask(0, "FLUSHALL")], *steps].concat();
            let (stores, servers) = crowds(&emulator, &server, protocol, 5).await;
            let (ours, theirs) = tokio::join!(play(stores, &steps), play(servers, &steps));
            assert_eq!(ours, theirs, "{what} (RESP{protocol})");
        }
    }
}

/// Redis says it in other words since version 7.2, which are the store's.
#[tokio::test]
async fn who_waits_for_a_group_is_told_that_it_is_gone() {
    let (emulator, server) = (start(Emulator::builder()).await, Server::start());
    for (end, says) in [("XGROUP DESTROY s g", "-NOGROUP "), ("DEL s", "-NOGROUP "), ("SET s x", "-WRONGTYPE ")] {
        let steps = [
            Ask(0, "FLUSHALL"),
            Ask(0, "XGROUP CREATE s g $ MKSTREAM"),
            Wait(1, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >"),
            Ask(0, end),
            Hear(1),
        ];
        let (stores, servers) = crowds(&emulator, &server, "3", 3).await;
        let (ours, theirs) = tokio::join!(play(stores, &steps), play(servers, &steps));
        assert!(ours.last().unwrap().contains(says), "{end}: {ours:?}");
        assert!(theirs.last().unwrap().contains("1 hears [-"), "{end}: {theirs:?}");
    }
}

/// A new token is checked at once, and answered in its turn, as by a server.
#[tokio::test]
async fn auth_is_answered_behind_what_waits() {
    let (emulator, server) = (start(Emulator::builder()).await, Server::start());
    let (mut stores, _servers) = crowds(&emulator, &server, "2", 2).await;
    let (mut waiting, mut other) = (stores.remove(0).unwrap(), stores.remove(0).unwrap());
    let token = emulator.identity().issue_token().unwrap();
    let wait = packed(&words_of("BLPOP q 0"));
    waiting.stream.write_all(&[&wait, auth(&emulator, &token).as_bytes()].concat()).await.unwrap();
    eventually("it waits", 10 * SECOND, async || (blocked(&mut other).await == 1).then_some(())).await;
    other.ask_one("RPUSH q a").await;
    let replies = waiting.ask_raw(b"", 2).await;
    assert_eq!(format!("{replies:?}"), "[*[$q, $a], +OK]");
}

/// Who is cut because its token has expired waits for nothing any more.
#[tokio::test]
async fn whose_token_has_expired_takes_nothing() {
    let (emulator, server) = (start(Emulator::builder().token_lifetime(3 * SECOND)).await, Server::start());
    let (mut stores, _servers) = crowds(&emulator, &server, "2", 1).await;
    let mut waiting = stores.remove(0).unwrap();
    waiting.stream.write_all(&packed(&words_of("BLPOP q 0"))).await.unwrap();
    let mut rest = Vec::new();
    _ = within("it is cut", 10 * SECOND, waiting.stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    let (mut stores, _servers) = crowds(&emulator, &server, "2", 1).await;
    let mut other = stores.remove(0).unwrap();
    eventually("nobody waits", 10 * SECOND, async || (blocked(&mut other).await == 0).then_some(())).await;
    assert_eq!(format!("{:?}", other.ask_one("RPUSH q a").await), ":1");
    assert_eq!(format!("{:?}", other.ask_one("LLEN q").await), ":1");
}
