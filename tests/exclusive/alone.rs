//! Connections that one caller has alone: what their commands are about is their own connection, and what was sent over
//! them comes to be.

use super::{HOUR, blocked, start};
use common::{SECOND, cmd, eventually, server::Server, within};
use entra_redis::{Dedicated, EntraRedis, Error, ErrorKind, LinkPurpose, LinkStats};
use futures_util::FutureExt;
use redis::{AsyncCommands, RedisResult, Value};
use std::time::{Duration, Instant};

async fn run(con: &mut Dedicated, line: &str) -> RedisResult<Value> {
    cmd(line).query_async(con).await
}

/// A connection with this database.
async fn in_database(redis: &EntraRedis, db: u8) -> Dedicated {
    let mut con = redis.dedicated().await.unwrap();
    run(&mut con, &format!("SELECT {db}")).await.unwrap();
    con
}

/// `$` means the last entry in the reader's own database, which is not the one of the other connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_what_is_new_asks_for_the_last_entry_over_its_own_connection() {
    let (_azure, redis) = start(HOUR, |config| config).await;
    let (mut reader, mut writer) = (in_database(&redis, 3).await, in_database(&redis, 3).await);
    run(&mut writer, "XADD stream 1-1 f old").await.unwrap();
    let _: Value = cmd("XADD stream 5-1 f elsewhere").query_async(&mut redis.clone()).await.unwrap();
    let reading = tokio::spawn(async move { run(&mut reader, "XREAD BLOCK 5000 STREAMS stream $").await });
    blocked(&redis, 1).await;
    run(&mut writer, "XADD stream 2-1 f new").await.unwrap();
    let read = format!("{:?}", within("it reads", 10 * SECOND, reading).await.unwrap().unwrap());
    assert!(read.contains("2-1") && !read.contains("1-1"), "{read}");
}

/// `$` includes what the reader itself has sent just before, though it has not waited for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_what_is_new_comes_after_its_own_writes() {
    let (_azure, redis) = start(HOUR, |config| config).await;
    let mut con = redis.dedicated().await.unwrap();
    for turn in 1..30 {
        run(&mut con, "CLIENT REPLY SKIP").await.unwrap();
        run(&mut con, &format!("XADD stream {turn}-1 f own")).await.unwrap();
        assert_eq!(run(&mut con, "XREAD BLOCK 1 STREAMS stream $").await.unwrap(), Value::Nil);
    }
}

/// Without the right to ask for the last id, entries between two slices would be missed: it is told, and not passed
/// over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_what_is_new_that_may_not_ask_for_the_last_entry_is_told() {
    let server = Server::start();
    server.admin().await.run("ACL SETUSER tester -xrevrange").await;
    let redis = server.connect(server.config()).await;
    let mut con = redis.dedicated().await.unwrap();
    for line in ["XREAD BLOCK 50 STREAMS stream $", "XREAD BLOCK 50 STREAMS other stream 0 $"] {
        for error in [
            cmd(line).query_async::<Value>(&mut redis.clone()).await.unwrap_err(),
            run(&mut con, line).await.unwrap_err(),
        ] {
            assert_eq!(error.code(), Some("NOPERM"), "{error}");
            assert!(error.to_string().contains("XREVRANGE") && error.to_string().contains('$'), "{error}");
        }
    }
    // All others of its kind run.
    assert_eq!(run(&mut con, "XREAD BLOCK 50 STREAMS stream 0").await.unwrap(), Value::Nil);
    assert!(con.is_open());
}

/// Nobody waits for the replies, and the connection goes as soon as all is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_without_waiting_for_the_reply_comes_to_be() {
    let (azure, redis) = start(HOUR, |config| config).await;
    let count = async |expected: u64| {
        let mut con = redis.clone();
        eventually("all is written", 10 * SECOND, async || {
            (con.get::<_, Option<u64>>("count").await.unwrap_or(None) == Some(expected)).then_some(())
        })
        .await;
    };
    let big = vec![b'x'; 64 << 10];
    for turn in 1..=20 {
        let mut con = redis.dedicated().await.unwrap();
        run(&mut con, "CLIENT REPLY OFF").await.unwrap();
        for _ in 0..20 {
            let _: Value = con.set("big", &big).await.unwrap();
            run(&mut con, "INCR count").await.unwrap();
        }
        drop(con);
        count(turn * 20).await;
    }
    // The same of futures that were dropped as soon as they had been polled: the connection is closed for that, but not
    // before it is through.
    for turn in 1..=20 {
        let mut con = redis.dedicated().await.unwrap();
        let polled = con.incr::<_, _, u64>("count", 1).now_or_never();
        // On a machine that is busy elsewhere it may have been answered by then.
        if turn % 2 == 0 && polled.is_none() {
            // What comes after it is not sent.
            let error = run(&mut con, "INCR count").await.unwrap_err();
            assert!(error.to_string().contains("not sent"), "{error}");
        }
        drop(con);
        count(400 + turn).await;
    }
    // The server takes its time.
    let huge = vec![b'x'; 32 << 20];
    let mut con = redis.dedicated().await.unwrap();
    azure.redis_front().freeze();
    assert!(tokio::time::timeout(SECOND / 5, con.set::<_, _, ()>("huge", &huge)).await.is_err());
    drop(con);
    tokio::time::sleep(SECOND / 5).await;
    azure.redis_front().thaw();
    eventually("all is written", 10 * SECOND, async || {
        (redis.clone().strlen::<_, usize>("huge").await.ok()? == huge.len()).then_some(())
    })
    .await;
    assert_eq!(redis.manager().counters().links_lost, 0);
}

/// What waits for its reply only, and not in the server, does not keep its place for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_dropped_while_the_server_is_silent_frees_its_place_in_the_end() {
    let (azure, redis) = start(HOUR, |config| config.max_leased(1).command_timeout(SECOND)).await;
    let mut con = redis.dedicated().await.unwrap();
    azure.redis_front().freeze();
    assert!(tokio::time::timeout(SECOND / 10, run(&mut con, "INCR count")).await.is_err());
    drop(con);
    let is_leased = |link: &LinkStats| link.purpose == LinkPurpose::Leased;
    let gone = async || (!redis.manager().stats().links.iter().any(is_leased)).then_some(());
    eventually("its place is free", 10 * SECOND, gone).await;
    azure.redis_front().thaw();
    let mut con = eventually("there is another one", 10 * SECOND, async || redis.dedicated().await.ok()).await;
    run(&mut con, "PING").await.unwrap();
}

/// `DISCARD` has ended the transaction: what comes after it may have run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_the_end_of_a_transaction_in_a_pipeline_may_have_run() {
    let (azure, redis) = start(HOUR, |config| config).await;
    for (end, is_unknown) in [("DISCARD", true), ("EXEC", true), ("PING", false)] {
        let mut con = redis.dedicated().await.unwrap();
        run(&mut con, "MULTI").await.unwrap();
        let mut pipe = redis::pipe();
        pipe.cmd(end).cmd("SET").arg("a").arg(1);
        let connections = azure.redis_front().connections();
        azure.redis_front().freeze();
        let sent = async {
            let result = pipe.query_async::<Value>(&mut con).await;
            result.unwrap_err()
        };
        let cut = async {
            tokio::time::sleep(SECOND / 5).await;
            for connection in connections {
                connection.cut();
            }
        };
        let (error, ()) = tokio::join!(sent, cut);
        azure.redis_front().thaw();
        assert_eq!(error.to_string().contains("may have run"), is_unknown, "{end}: {error}");
        let is_interrupted = Error::kind_of(&error) == Some(ErrorKind::Interrupted);
        assert_eq!(is_interrupted, !is_unknown, "{end}: {error}");
        let next = run(&mut con, "SET b 1").await.unwrap_err();
        assert!(next.is_connection_dropped(), "{end}: {next}");
        let says_none = next.to_string().contains("nothing of it has been done");
        assert_eq!(says_none, !is_unknown, "{end}: {next}");
    }
}

/// The time that its commands ask for is added to the time that its user has set, however short that is: nobody doubts
/// the server meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_that_blocks_for_longer_than_a_doubt_takes_is_let() {
    let (_azure, redis) = start(HOUR, |config| config.command_timeout(SECOND)).await;
    let pings = async || {
        let stats: String = cmd("INFO commandstats").query_async(&mut redis.clone()).await.unwrap();
        let pings = stats.lines().find_map(|line| line.strip_prefix("cmdstat_ping:calls="));
        pings.map_or(0, |line| line.split(',').next().unwrap().parse::<u64>().unwrap())
    };
    let mut con = redis.dedicated().await.unwrap();
    con.set_command_timeout(SECOND / 2);
    let before = pings().await;
    let began = Instant::now();
    let mut pipe = redis::pipe();
    pipe.cmd("BLPOP").arg("a").arg(4).cmd("ECHO").arg("there");
    let (popped, there): (Value, String) = pipe.query_async(&mut con).await.unwrap();
    assert_eq!((popped, &*there), (Value::Nil, "there"));
    assert!(began.elapsed() >= Duration::from_millis(3_950), "{:?}", began.elapsed());
    assert_eq!(pings().await, before, "links were asked for a sign of life");
    assert!(con.is_open());
}

/// What is for the next command alone is for the one that its user sends next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_of_the_next_command_is_said_of_it_whole() {
    let (_azure, redis) = start(HOUR, |config| config.ping_interval(Duration::from_millis(100))).await;
    let mut con = redis.dedicated().await.unwrap();
    let mut pushes = con.pushes();
    run(&mut con, "CLIENT TRACKING ON OPTIN").await.unwrap();
    run(&mut con, "XADD stream 1-1 f old").await.unwrap();
    run(&mut con, "CLIENT CACHING YES").await.unwrap();
    let began = Instant::now();
    assert_eq!(run(&mut con, "XREAD BLOCK 400 STREAMS stream $").await.unwrap(), Value::Nil);
    assert!(began.elapsed() >= Duration::from_millis(398), "{:?}", began.elapsed());
    let _: Value = cmd("XADD stream 2-1 f new").query_async(&mut redis.clone()).await.unwrap();
    let push = within("the invalidation", 5 * SECOND, pushes.recv()).await.unwrap();
    assert_eq!(push.kind, redis::PushKind::Invalidate);
}
