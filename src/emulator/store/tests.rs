//! The store as a client sees it, in both protocols.

use super::Store;
use proptest::{collection::vec, prelude::*, sample::select};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

fn client(store: &Store) -> DuplexStream {
    let (ours, theirs) = duplex(1 << 20);
    tokio::spawn(store.clone().serve(theirs));
    ours
}

/// Sends inline commands, a line each, and compares what comes back; `|` stands for the end of a line.
async fn talk(stream: &mut DuplexStream, dialogue: &[(&str, &str)]) {
    for (said, expected) in dialogue {
        stream.write_all(format!("{said}\r\n").as_bytes()).await.unwrap();
        let expected = expected.replace('|', "\r\n");
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{said}");
    }
}

#[tokio::test]
async fn strings_counters_and_expiry() {
    let mut con = client(&Store::default());
    talk(
        &mut con,
        &[
            ("SET k v", "+OK|"),
            ("GET k", "$1|v|"),
            ("GET none", "$-1|"),
            ("SET k w NX", "$-1|"),
            ("SET k w XX GET", "$1|v|"),
            ("SET k w EX 100", "+OK|"),
            ("TTL k", ":100|"),
            ("PERSIST k", ":1|"),
            ("TTL k", ":-1|"),
            ("TTL none", ":-2|"),
            ("SET k v EX 0", "-ERR invalid expire time in 'set' command|"),
            ("SET k v EX", "-ERR syntax error|"),
            ("PEXPIRE k 0", ":1|"),
            ("GET k", "$-1|"),
            ("DBSIZE", ":0|"),
            ("INCR n", ":1|"),
            ("INCRBY n 41", ":42|"),
            ("DECR n", ":41|"),
            ("INCRBYFLOAT n 0.5", "$4|41.5|"),
            ("INCR n", "-ERR value is not an integer or out of range|"),
            ("SET max 9223372036854775807", "+OK|"),
            ("INCR max", "-ERR increment or decrement would overflow|"),
            ("DECRBY none -9223372036854775808", "-ERR decrement would overflow|"),
            ("EXISTS none", ":0|"),
            ("APPEND s abc", ":3|"),
            ("GETRANGE s -2 -1", "$2|bc|"),
            ("GETRANGE s 5 9", "$0||"),
            ("SETRANGE s 5 x", ":6|"),
            ("SETRANGE s 999999999999 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|"),
            ("MSET a 1 b 2", "+OK|"),
            ("MGET a b none", "*3|$1|1|$1|2|$-1|"),
            ("GETDEL a", "$1|1|"),
            ("EXISTS a b b", ":2|"),
            ("TYPE b", "+string|"),
            ("DEL a b", ":1|"),
            ("FLUSHALL", "+OK|"),
            ("DBSIZE", ":0|"),
        ],
    )
    .await;
}

#[tokio::test]
async fn collections() {
    let mut con = client(&Store::default());
    talk(
        &mut con,
        &[
            ("HSET h a 1 b 2", ":2|"),
            ("HSET h a 3", ":0|"),
            ("HGET h a", "$1|3|"),
            ("HGETALL h", "*4|$1|a|$1|3|$1|b|$1|2|"),
            ("HINCRBY h a 4", ":7|"),
            ("HMGET h b none", "*2|$1|2|$-1|"),
            ("HDEL h a b", ":2|"),
            ("EXISTS h", ":0|"),
            ("HSET h a", "-ERR wrong number of arguments for 'hset' command|"),
            ("RPUSH l a b c", ":3|"),
            ("LPUSH l z", ":4|"),
            ("LRANGE l 0 -1", "*4|$1|z|$1|a|$1|b|$1|c|"),
            ("LINDEX l -1", "$1|c|"),
            ("LPOP l", "$1|z|"),
            ("RPOP l 2", "*2|$1|c|$1|b|"),
            ("LPOP none 2", "*-1|"),
            ("LMOVE l m LEFT RIGHT", "$1|a|"),
            ("EXISTS l", ":0|"),
            ("LREM m 0 a", ":1|"),
            ("LPUSHX none x", ":0|"),
            ("LSET none 0 x", "-ERR no such key|"),
            ("SADD s a b c", ":3|"),
            ("SADD s a", ":0|"),
            ("SISMEMBER s b", ":1|"),
            ("SADD t b c d", ":3|"),
            ("SINTER s t", "*2|$1|b|$1|c|"),
            ("SDIFF s t", "*1|$1|a|"),
            ("SCARD s", ":3|"),
            ("SREM s a b c", ":3|"),
            ("SPOP s", "$-1|"),
            ("GET t", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
            ("LPUSH t x", "-WRONGTYPE Operation against a key holding the wrong kind of value|"),
            ("SCAN 0 MATCH t* TYPE set", "*2|$1|0|*1|$1|t|"),
            ("KEYS [st]", "*1|$1|t|"),
            ("RENAME t u", "+OK|"),
            ("TYPE u", "+set|"),
        ],
    )
    .await;
}

#[tokio::test]
async fn the_two_protocols_and_what_is_unknown() {
    let mut con = client(&Store::default());
    talk(
        &mut con,
        &[("HSET h a 1", ":1|"), ("SADD s a", ":1|"), ("HELLO 4", "-NOPROTO unsupported protocol version|")],
    )
    .await;
    con.write_all(b"HELLO 3\r\n").await.unwrap();
    let mut map = [0; 4];
    con.read_exact(&mut map).await.unwrap();
    assert_eq!(&map, b"%7\r\n");
    let mut rest = vec![0; 1024];
    let read = con.read(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest[..read]).contains("$5\r\nproto\r\n:3\r\n"));
    talk(&mut con, &[("HGETALL h", "%1|$1|a|$1|1|"), ("SMEMBERS s", "~1|$1|a|"), ("GET none", "_|")]).await;
    talk(&mut con, &[("OBJECT ENCODING h", "-ERR unknown command 'OBJECT'"), ("", ":")]).await;
}

#[tokio::test]
async fn transactions_run_whole_or_not_at_all() {
    let mut con = client(&Store::default());
    talk(
        &mut con,
        &[
            ("MULTI", "+OK|"),
            ("INCR n", "+QUEUED|"),
            ("LPUSH n x", "+QUEUED|"),
            ("GET n", "+QUEUED|"),
            ("EXEC", "*3|:1|-WRONGTYPE Operation against a key holding the wrong kind of value|$1|1|"),
            ("MULTI", "+OK|"),
            ("INCR n", "+QUEUED|"),
            ("GET", "-ERR wrong number of arguments for 'get' command|"),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors.|"),
            ("GET n", "$1|1|"),
            ("MULTI", "+OK|"),
            ("DISCARD", "+OK|"),
            ("EXEC", "-ERR EXEC without MULTI|"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_is_watched_and_has_expired_or_changed_stops_a_transaction() {
    let store = Store::default();
    let (mut con, mut other) = (client(&store), client(&store));
    talk(&mut con, &[("SET k v PX 20", "+OK|"), ("WATCH k none", "+OK|")]).await;
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        // Nobody meets the key meanwhile.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        talk(&mut con, &[("MULTI", "+OK|"), ("PING", "+QUEUED|"), ("EXEC", "*-1|")]).await;
    })
    .await
    .unwrap();
    talk(&mut con, &[("WATCH k", "+OK|")]).await;
    talk(&mut other, &[("LPUSHX k v", ":0|"), ("PERSIST k", ":0|"), ("GETEX k", "$-1|"), ("DEL k", ":0|")]).await;
    talk(&mut con, &[("MULTI", "+OK|"), ("PING", "+QUEUED|"), ("EXEC", "*1|+PONG|")]).await;
    for write in
        ["SET k v", "SETRANGE k 0 v", "EXPIRE k 100", "PERSIST k", "GETEX k EX 100", "RENAME k l", "RENAME l k"]
    {
        talk(&mut con, &[("WATCH k", "+OK|"), ("WATCH other", "+OK|")]).await;
        other.write_all(format!("{write}\r\n").as_bytes()).await.unwrap();
        talk(&mut other, &[("", "")]).await;
        let mut answer = vec![0; 64];
        assert!(other.read(&mut answer).await.unwrap() > 0);
        talk(&mut con, &[("MULTI", "+OK|"), ("PING", "+QUEUED|"), ("EXEC", "*-1|")]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_answered_when_its_time_is_up_and_not_before() {
    let store = Store::default();
    let mut con = client(&store);
    for (line, reply, seconds) in [("BLPOP q 3600", "*-1|", 3600), ("WAIT 2 5000", ":0|", 5)] {
        let began = tokio::time::Instant::now();
        talk(&mut con, &[(line, reply)]).await;
        assert_eq!(began.elapsed().as_secs(), seconds, "{line}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_whoever_has_gone() {
    let store = Store::default();
    let mut con = client(&store);
    con.write_all(b"WATCH a b\r\nBLPOP q r 0\r\n").await.unwrap();
    let waiting = |store: &Store| crate::lock::lock(&store.data).waiting.count();
    while waiting(&store) == 0 {
        tokio::task::yield_now().await;
    }
    drop(con);
    while waiting(&store) > 0 {
        tokio::task::yield_now().await;
    }
    let mut other = client(&store);
    talk(&mut other, &[("RPUSH q v", ":1|"), ("LLEN q", ":1|"), ("SET a v", "+OK|")]).await;
}

#[tokio::test]
async fn messages_reach_channels_and_patterns() {
    let store = Store::default();
    let (mut subscriber, mut publisher) = (client(&store), client(&store));
    talk(
        &mut subscriber,
        &[("SUBSCRIBE news", "*3|$9|subscribe|$4|news|:1|"), ("PSUBSCRIBE n*", "*3|$10|psubscribe|$2|n*|:2|")],
    )
    .await;
    talk(&mut publisher, &[("PUBLISH news hello", ":2|"), ("PUBLISH other hello", ":0|")]).await;
    talk(
        &mut subscriber,
        &[
            ("", "*3|$7|message|$4|news|$5|hello|*4|$8|pmessage|$2|n*|$4|news|$5|hello|"),
            ("UNSUBSCRIBE", "*3|$11|unsubscribe|$4|news|:1|"),
            ("PUNSUBSCRIBE n*", "*3|$12|punsubscribe|$2|n*|:0|"),
            ("UNSUBSCRIBE", "*3|$11|unsubscribe|$-1|:0|"),
        ],
    )
    .await;
    talk(&mut publisher, &[("PUBLISH news hello", ":0|")]).await;
    drop(subscriber);
}

proptest! {
    /// Whatever a client says, it is answered, and the store serves the next one.
    #[test]
    fn no_request_is_a_reason_to_panic(
        requests in vec((select(COMMANDS), vec(argument(), 0..6)), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut con = client(&Store::default());
            let mut said = Vec::new();
            for (name, arguments) in &requests {
                let mut cmd = redis::cmd(name);
                for argument in arguments {
                    cmd.arg(argument.as_slice());
                }
                cmd.write_packed_command(&mut said);
            }
            said.extend_from_slice(b"RESET\r\nECHO still-there\r\n");
            con.write_all(&said).await.unwrap();
            let (mut heard, mut piece) = (Vec::new(), vec![0; 64 << 10]);
            while !heard.ends_with(b"still-there\r\n") {
                let len = con.read(&mut piece).await.unwrap();
                assert!(len > 0, "it hung up on {requests:?}");
                heard.extend_from_slice(&piece[..len]);
            }
        });
    }
}

/// What the store knows, and what it does not.
const COMMANDS: &[&str] = &[
    "SET",
    "GET",
    "GETEX",
    "GETRANGE",
    "SETRANGE",
    "APPEND",
    "INCR",
    "INCRBY",
    "DECRBY",
    "INCRBYFLOAT",
    "MSET",
    "MGET",
    "EXPIRE",
    "PEXPIRE",
    "EXPIREAT",
    "TTL",
    "PERSIST",
    "DEL",
    "EXISTS",
    "TYPE",
    "RENAME",
    "KEYS",
    "SCAN",
    "HSET",
    "HGET",
    "HDEL",
    "HINCRBY",
    "HGETALL",
    "HSCAN",
    "LPUSH",
    "RPUSH",
    "LPOP",
    "RPOP",
    "LRANGE",
    "LINDEX",
    "LSET",
    "LTRIM",
    "LREM",
    "SADD",
    "SREM",
    "SMEMBERS",
    "SPOP",
    "SRANDMEMBER",
    "SINTER",
    "SUNION",
    "SDIFF",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH",
    "SUBSCRIBE",
    "PSUBSCRIBE",
    "UNSUBSCRIBE",
    "PUBLISH",
    "HELLO",
    "CLIENT",
    "CONFIG",
    "COMMAND",
    "INFO",
    "DBSIZE",
    "FLUSHALL",
    "ECHO",
    "PING",
    "SELECT",
    "AUTH",
    "EVAL",
    "UNWATCH",
    "LMPOP",
    "XADD",
    "XTRIM",
    "XDEL",
    "XRANGE",
    "XREVRANGE",
    "XREAD",
    "XREADGROUP",
    "XGROUP",
    "XINFO",
    "XACK",
    "XPENDING",
    "XCLAIM",
    "XAUTOCLAIM",
    "",
];

/// A few keys that commands share, numbers at their limits, options, and anything.
fn argument() -> impl Strategy<Value = Vec<u8>> {
    let known = select(vec![
        "k",
        "l",
        "*",
        "[",
        "\\",
        "0",
        "1",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "1e308",
        "nan",
        "3",
        "EX",
        "PX",
        "NX",
        "XX",
        "GET",
        "COUNT",
        "MATCH",
        "SETNAME",
        "AUTH",
        "LEFT",
        "MAXLEN",
        "STREAMS",
        "GROUP",
        "CREATE",
        "MKSTREAM",
        "*",
        "$",
        ">",
        "-",
        "+",
        "(1-1",
        "18446744073709551615-18446744073709551615",
        "",
    ]);
    prop_oneof![
        4 => known.prop_map(|known| known.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..20),
    ]
}
