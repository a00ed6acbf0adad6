//! Streams at the limits of ids and of numbers.

use super::{
    compare::{Rule, same},
    peers, words_of,
};
use crate::start;
use common::server::Server;
use entra_redis::emulator::Emulator;

/// Ids as Redis reads them, which are in turn the first of a range, what a group begins behind, and a new one.
const IDS: &[&str] = &[
    "-",
    "+",
    "-\0",
    "+\0",
    "--",
    "++",
    "-1",
    "1-",
    "1--",
    "1-+",
    "1-*",
    "1--0",
    "1--00",
    "1--1",
    "1--01",
    "1--x",
    "1-+2",
    "1-+-2",
    "1--+2",
    "\t1-1",
    "1-\t2",
    "1-\t-2",
    "1-2\t",
    "\t",
    "1-\t",
    "+1",
    "01-02",
    "1-1\0-x",
    "1--9223372036854775807",
    "1--9223372036854775808",
    "1--9223372036854775809",
    "1--18446744073709551615",
    "1--18446744073709551616",
    "(1--00",
    "(-",
    "(+",
    "($",
    "$",
];

/// Numbers and ids at their limits: `{least}` and `{most}` are those of a number, and `{last}` that of an id's halves.
const LIMITS: &[&str] = &[
    "XADD s 1-1 a b",
    "XADD s 1-2 a b",
    "XADD s 1-3 a b",
    "XADD s 1-4 a b",
    "XGROUP CREATE s g 0",
    "XGROUP SETID s g -",
    "XINFO GROUPS s",
    "XGROUP SETID s g +",
    "XINFO GROUPS s",
    "XREADGROUP GROUP g c STREAMS s >",
    // What has been read is one more than can be counted.
    "XGROUP SETID s g 0 ENTRIESREAD {most}",
    "XINFO GROUPS s",
    "XREADGROUP GROUP g c COUNT 1 STREAMS s >",
    "XINFO GROUPS s",
    "XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >",
    "XINFO GROUPS s",
    "XGROUP SETID s g 1 ENTRIESREAD {least}",
    "XGROUP SETID s g 1-2 ENTRIESREAD -2",
    "XGROUP SETID s g 1-2 ENTRIESREAD -1",
    "XINFO GROUPS s",
    // So are deliveries.
    "XCLAIM s g c 0 1-1 RETRYCOUNT {most}",
    "XPENDING s g - + {most}",
    "XCLAIM s g c 0 1-1",
    "XPENDING s g - + 10",
    "XCLAIM s g c 0 1-1 RETRYCOUNT {most}",
    "XREADGROUP GROUP g c STREAMS s 0",
    "XPENDING s g - + 10",
    "XCLAIM s g c 0 1-1 RETRYCOUNT {most} JUSTID",
    "XAUTOCLAIM s g c 0 -",
    "XPENDING s g - + 10",
    "XCLAIM s g c 0 1-1 RETRYCOUNT {least}",
    // Times.
    "XCLAIM s g c {least} 1-1 IDLE {least}",
    "XCLAIM s g c {least} 1-1 IDLE {most}",
    "XCLAIM s g c {least} 1-1 TIME {least}",
    "XCLAIM s g c {least} 1-1 TIME {most}",
    "XCLAIM s g c {most} 1-1 TIME 0",
    "XPENDING s g IDLE {least} - + 10",
    "XPENDING s g IDLE {most} - + 10",
    "XPENDING s g - + {least}",
    "XAUTOCLAIM s g c {least} - COUNT {most}",
    "XAUTOCLAIM s g c {least} - COUNT 100000",
    "XAUTOCLAIM s g c {most} + COUNT 1",
    "XREAD COUNT {least} BLOCK 1000 STREAMS s 0",
    "XREAD COUNT {most} BLOCK 1 STREAMS s 0",
    "XREAD COUNT {least} STREAMS s 1-2",
    "XRANGE s - + COUNT {least}",
    "XRANGE s - + COUNT {most}",
    "XTRIM s MAXLEN {most}",
    "XTRIM s MAXLEN {least}",
    "XTRIM s MAXLEN ~ {most} LIMIT {most}",
    "XTRIM s MAXLEN ~ {most} LIMIT {least}",
    // The last of a millisecond, and the last of all. (For one more of the same millisecond, versions have their own
    // words.)
    "XADD s 5-{last} a b",
    "XADD s 6-* a b",
    "XADD s {last}-* a b",
    "XADD s {last}-{last} a b",
    "XADD s {last}-* a b",
    "XADD s * a b",
    "XREAD STREAMS s {last}-{last}",
    "XRANGE s ({last}-{last} +",
    "XRANGE s - (0-0",
    "XCLAIM s g c 0 1-1 LASTID {last}-{last}",
    "XREADGROUP GROUP g c STREAMS s >",
    "XINFO GROUPS s",
    "XDEL s {last}-{last}",
    "XINFO STREAM s",
    "XINFO GROUPS s",
];

#[tokio::test]
async fn ids_and_numbers_are_read_alike_up_to_their_limits() {
    let (emulator, server) = (start(Emulator::builder()).await, Server::start());
    let of_id = |id: &&str| {
        let begin = ["FLUSHALL", "XADD s 1-1 a b", "XADD s 1-2 a b", "XGROUP CREATE s g 0"].map(str::to_owned);
        let lines = [
            format!("XRANGE s {id} +"),
            format!("XREVRANGE s {id} -"),
            format!("XPENDING s g {id} + 1"),
            format!("XAUTOCLAIM s g c 0 {id}"),
            format!("XREAD STREAMS s {id}"),
            format!("XACK s g {id}"),
            format!("XCLAIM s g c 0 {id}"),
            format!("XCLAIM s g c 0 1-1 LASTID {id}"),
            format!("XGROUP CREATE s h {id}"),
            format!("XGROUP SETID s g {id}"),
            "XINFO GROUPS s".to_owned(),
            format!("XTRIM s MINID {id}"),
            format!("XADD s {id} a b"),
            format!("XDEL s {id}"),
            "XINFO STREAM s".to_owned(),
        ];
        begin.into_iter().chain(lines)
    };
    let limits = LIMITS.iter().map(|line| {
        let (least, most, last) = (i64::MIN.to_string(), i64::MAX.to_string(), u64::MAX.to_string());
        line.replace("{least}", &least).replace("{most}", &most).replace("{last}", &last)
    });
    let lines: Vec<_> = IDS.iter().flat_map(of_id).chain(["FLUSHALL".to_owned()]).chain(limits).collect();
    for protocol in ["2", "3"] {
        let (mut store, mut redis) = peers(&emulator, &server, protocol).await;
        for (at, line) in lines.iter().enumerate() {
            let (ours, theirs) = (store.ask_one(line).await, redis.ask_one(line).await);
            let rule = Rule::of(&words_of(line), &mut Vec::new(), &theirs);
            let before = &lines[at.saturating_sub(20)..at];
            assert!(same(&rule, &ours, &theirs), "{before:#?}\n{line:?}\nthe store: {ours:?}\n    Redis: {theirs:?}");
        }
    }
}
