//! `SCAN`, `HSCAN`, `SSCAN` and `ZSCAN` on a single endpoint that another server takes over: nothing is missed. What a
//! cursor means depends on a seed of the server's; one that goes on at another server misses a quarter.

use common::{SECOND, server::Server};
use entra_redis::EntraRedis;
use redis::{Cmd, ErrorKind, RedisResult, cmd, pipe};
use std::{
    collections::BTreeSet,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::SeqCst},
    },
};

const ELEMENTS: usize = 5_000;

/// The commands that iterate, with what is to be found: as many as there are elements.
const ITERATIONS: &[&str] = &["SCAN", "HSCAN hash", "SSCAN set", "ZSCAN zset"];

async fn fill(redis: &mut EntraRedis) {
    for first in (0..ELEMENTS).step_by(1_000) {
        let mut pipe = pipe();
        for number in first..first + 1_000 {
            let element = format!("element:{number}");
            pipe.cmd("HSET").arg("hash").arg(&element).arg("").ignore();
            pipe.cmd("SADD").arg("set").arg(&element).ignore();
            pipe.cmd("ZADD").arg("zset").arg(number).arg(&element).ignore();
            pipe.cmd("SET").arg(&element).arg("").ignore();
        }
        pipe.exec_async(redis).await.unwrap();
    }
}

fn step(line: &str, cursor: u64) -> Cmd {
    let mut words = line.split(' ');
    let mut step = cmd(words.next().unwrap());
    step.arg(words.next()).arg(cursor).arg("COUNT").arg(100);
    step
}

/// One step; what it found, and the next cursor.
async fn take(redis: &mut EntraRedis, line: &str, cursor: u64, found: &mut BTreeSet<String>) -> RedisResult<u64> {
    let (next, items): (u64, Vec<String>) = step(line, cursor).query_async(redis).await?;
    found.extend(items.into_iter().filter(|item| item.starts_with("element:")));
    Ok(next)
}

/// Up to the middle.
async fn half(redis: &mut EntraRedis, line: &str) -> (u64, BTreeSet<String>) {
    let (mut cursor, mut found) = (0, BTreeSet::new());
    while found.len() < ELEMENTS / 2 {
        cursor = take(redis, line, cursor, &mut found).await.unwrap();
        assert_ne!(cursor, 0, "{line}");
    }
    (cursor, found)
}

async fn rest(redis: &mut EntraRedis, line: &str, (mut cursor, mut found): (u64, BTreeSet<String>)) -> usize {
    while cursor != 0 {
        cursor = take(redis, line, cursor, &mut found).await.unwrap();
    }
    found.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_a_replica_takes_over() {
    let (mut old, new) = Server::twins();
    let mut at_new = new.admin().await;
    let port = Arc::new(AtomicU16::new(old.port));
    let config = old.config().command_timeout(20 * SECOND).retry_reads(true);
    let config = config.resolver({
        let port = Arc::clone(&port);
        move |_, _| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.load(SeqCst)));
            async move { io::Result::Ok(vec![address]) }
        }
    });
    let redis = old.connect(config).await;
    let mut con = redis.clone();
    fill(&mut con).await;
    new.follow(&old).await;
    let mut halves = Vec::new();
    for line in ITERATIONS {
        halves.push(half(&mut con, line).await);
    }
    at_new.run("REPLICAOF NO ONE").await;
    port.store(new.port, SeqCst);
    old.kill();
    for (line, half) in ITERATIONS.iter().zip(halves) {
        assert_eq!(rest(&mut con, line, half).await, ELEMENTS, "{line}");
    }
}

/// Whoever may not ask who answers iterates as the server does it.
#[tokio::test]
async fn without_info_cursors_are_the_servers_own() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let mut con = redis.clone();
    fill(&mut con).await;
    let (signed, _) = half(&mut con, "HSCAN hash").await;
    assert!(signed >= 1 << 62, "{signed}");
    server.admin().await.run("ACL SETUSER tester -info").await;
    let error = step("HSCAN hash", signed).query_async::<redis::Value>(&mut con).await.unwrap_err();
    assert!(error.to_string().contains("begin HSCAN again with the cursor 0"), "{error}");
    for line in ITERATIONS {
        let half = half(&mut con, line).await;
        assert!(half.0 < 1 << 40, "{}", half.0);
        assert_eq!(rest(&mut con, line, half).await, ELEMENTS, "{line}");
    }
}

/// The replies that are no step are passed on.
#[tokio::test]
async fn what_is_no_iteration_is_answered_as_it_is() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let mut con = redis.clone();
    fill(&mut con).await;
    let (cursor, _) = half(&mut con, "HSCAN hash").await;
    for (line, code) in [("HSCAN set", "WRONGTYPE"), ("SSCAN hash", "WRONGTYPE")] {
        for cursor in [0, cursor] {
            let error = step(line, cursor).query_async::<redis::Value>(&mut con).await.unwrap_err();
            assert_eq!(error.code(), Some(code), "{line}: {error}");
        }
    }
    let error = cmd("HSCAN").arg("hash").query_async::<redis::Value>(&mut con).await.unwrap_err();
    assert!(error.to_string().contains("wrong number of arguments"), "{error}");
    let error = cmd("HSCAN").arg(&["hash", "x"]).query_async::<redis::Value>(&mut con).await.unwrap_err();
    assert!(error.to_string().contains("invalid cursor"), "{error}");
    let (end, items): (u64, Vec<String>) = step("HSCAN none", cursor).query_async(&mut con).await.unwrap();
    assert_eq!((end, items.len()), (0, 0));
    // A process that answers is another one each time.
    let process = cursor >> 40 & ((1 << 19) - 1);
    let foreign = cursor ^ (1 << 40) | 7 << 59;
    assert_ne!(process, foreign >> 40 & ((1 << 19) - 1));
    let error = step("HSCAN hash", cursor).arg("BOGUS").query_async::<redis::Value>(&mut con).await.unwrap_err();
    assert!(error.to_string().contains("syntax error"), "{error}");
    let error = step("HSCAN hash", foreign).query_async::<redis::Value>(&mut con).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Client);
    assert!(error.to_string().contains("begin HSCAN again with the cursor 0"), "{error}");
}
