//! What is read from memory, and that it is what the server would answer.

use crate::{cached, settled};
use common::{SECOND, cmd, server::Server};
use entra_redis::CacheOptions;
use futures_util::future::join_all;
use redis::{AsyncCommands, Value};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

#[tokio::test]
async fn every_command_that_is_kept_answers_as_the_server_does() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    let mut plain = redis.clone();
    for line in ["SET s value", "HSET h f 1 g 2", "RPUSH l a b c", "SADD set a", "ZADD z 1 a 2 b", "SETBIT bits 7 1"] {
        cmd(line).exec_async(&mut plain).await.unwrap();
    }
    for line in [
        "GET s",
        "GET none",
        "STRLEN s",
        "GETRANGE s 1 2",
        "GETBIT bits 7",
        "BITCOUNT bits",
        "EXISTS s",
        "EXISTS none",
        "HGET h f",
        "HGET h none",
        "HGETALL h",
        "HGETALL none",
        "HMGET h f none",
        "HEXISTS h g",
        "HLEN h",
        "HKEYS h",
        "HVALS h",
        "LLEN l",
        "LRANGE l 0 -1",
        "LINDEX l 1",
        "SCARD set",
        "SMEMBERS set",
        "SISMEMBER set a",
        "SMISMEMBER set a b",
        "ZCARD z",
        "ZSCORE z b",
        "ZRANGE z 0 -1 WITHSCORES",
        "TYPE h",
        "TYPE none",
    ] {
        let expected: Value = cmd(line).query_async(&mut plain).await.unwrap();
        let before = cached.stats();
        let first: Value = cmd(line).query_async(&mut cached).await.unwrap();
        let second: Value = cmd(line).query_async(&mut cached).await.unwrap();
        assert_eq!((&first, &second), (&expected, &expected), "{line}");
        let after = cached.stats();
        assert_eq!((after.hits - before.hits, after.misses - before.misses), (1, 1), "{line}");
    }
}

#[tokio::test]
async fn errors_and_what_depends_on_more_than_a_key_are_not_kept() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    let _: () = cached.lpush("list", "a").await.unwrap();
    for _ in 0..3 {
        let error = cached.get::<_, String>("list").await.unwrap_err();
        assert_eq!(error.code(), Some("WRONGTYPE"));
    }
    for line in ["TTL list", "OBJECT ENCODING list", "EXISTS list list", "PING", "SRANDMEMBER none", "DBSIZE"] {
        for _ in 0..2 {
            let _: Value = cmd(line).query_async(&mut cached).await.unwrap();
        }
    }
    assert_eq!((cached.stats().hits, cached.stats().entries), (0, 0));
}

#[tokio::test]
async fn an_mget_is_read_key_by_key() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    let _: () = cached.mset(&[("a", 1), ("b", 2), ("c", 3)]).await.unwrap();
    let _: () = cached.lpush("list", "no string").await.unwrap();
    assert_eq!(cached.get::<_, i64>("a").await.unwrap(), 1);
    let keys = ["a", "none", "b", "list", "c", "a"];
    let expected = [Some(1), None, Some(2), None, Some(3), Some(1)];
    assert_eq!(cached.mget::<_, Vec<Option<i64>>>(&keys).await.unwrap(), expected);
    // `a` twice; the others were missing.
    assert_eq!((cached.stats().hits, cached.stats().misses), (2, 1 + 4));
    assert_eq!(cached.mget::<_, Vec<Option<i64>>>(&keys).await.unwrap(), expected);
    // A list is no string, which is an error of GET's, and so not kept.
    assert_eq!((cached.stats().hits, cached.stats().misses), (2 + 5, 5 + 1));
    assert_eq!(cached.get::<_, i64>("c").await.unwrap(), 3);
    assert_eq!(cached.stats().hits, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_that_miss_the_same_key_ask_once() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    let _: () = cached.set("key", "value").await.unwrap();
    admin.run("CONFIG RESETSTAT").await;
    // All of them are on their way before the first is answered.
    admin.run("CLIENT PAUSE 2000 ALL").await;
    let reads = join_all((0..100).map(|_| {
        let mut cached = cached.clone();
        async move { cached.get::<_, String>("key").await.unwrap() }
    }));
    assert!(reads.await.iter().all(|value| value == "value"));
    assert_eq!((cached.stats().hits, cached.stats().misses), (0, 100));
    let calls: String = admin.ask("INFO commandstats").await;
    assert!(calls.contains("cmdstat_get:calls=1,"), "{calls}");
}

#[tokio::test]
async fn the_one_who_asks_may_give_up_and_the_others_get_it() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    let _: () = cached.set("key", "value").await.unwrap();
    admin.run("CLIENT PAUSE 1000 ALL").await;
    let (mut first, mut second) = (cached.clone(), cached.clone());
    let asking = tokio::spawn(async move { first.get::<_, String>("key").await });
    let joining = tokio::spawn(async move { second.get::<_, String>("key").await });
    common::eventually("both have looked", 10 * SECOND, async || (cached.stats().misses == 2).then_some(())).await;
    asking.abort();
    assert_eq!(joining.await.unwrap().unwrap(), "value");
    // Nobody waits for this one; another one is asked for.
    admin.run("CLIENT PAUSE 1000 ALL").await;
    let mut third = cached.clone();
    let given_up = tokio::spawn(async move { third.get::<_, Option<String>>("other").await });
    common::eventually("it has looked", 10 * SECOND, async || (cached.stats().misses == 3).then_some(())).await;
    given_up.abort();
    assert_eq!(cached.get::<_, Option<String>>("other").await.unwrap(), None);
    settled(&mut cached, &cmd("GET other")).await;
}

#[tokio::test]
async fn a_handle_reads_what_it_has_written() {
    let server = Server::start();
    let redis = server.up(server.config(), 4).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    for turn in 0..500_u64 {
        let _: () = cached.set("key", turn).await.unwrap();
        assert_eq!(cached.get::<_, u64>("key").await.unwrap(), turn);
        assert_eq!(cached.get::<_, u64>("key").await.unwrap(), turn);
        let (piped, _): ((), u64) =
            redis::pipe().set("piped", turn).incr("n", 1).query_async(&mut cached).await.unwrap();
        assert_eq!(((), turn, turn + 1), (piped, cached.get("piped").await.unwrap(), cached.get("n").await.unwrap()));
        let script = redis::Script::new("return redis.call('SET', 'undeclared', ARGV[1])");
        let _: () = script.arg(turn).invoke_async(&mut cached).await.unwrap();
        assert_eq!(cached.get::<_, u64>("undeclared").await.unwrap(), turn);
        // Nobody waits for this one's reply.
        redis::cmd("SET").arg("silent").arg(turn).set_no_response(true).exec_async(&mut cached).await.unwrap();
        assert_eq!(cached.get::<_, u64>("silent").await.unwrap(), turn);
    }
    let _: () = redis::cmd("FLUSHALL").query_async(&mut cached).await.unwrap();
    assert_eq!(cached.get::<_, Option<u64>>("key").await.unwrap(), None);
    assert!(cached.stats().hits > 400, "{:?}", cached.stats());
}

/// On one thread: a task that only reads from memory would keep it for itself otherwise.
#[tokio::test]
async fn reads_from_memory_let_other_tasks_run() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    settled(&mut cached, &cmd("GET key")).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (over, mut reader) = (Arc::clone(&is_over), cached.clone());
    let reads = tokio::spawn(async move {
        while !over.load(SeqCst) {
            let _: Option<String> = reader.get("key").await.unwrap();
        }
    });
    let began = std::time::Instant::now();
    tokio::time::sleep(SECOND / 10).await;
    assert!(began.elapsed() < 2 * SECOND, "its turn came after {:?}", began.elapsed());
    is_over.store(true, SeqCst);
    reads.await.unwrap();
}

/// Keys that hold no string are not kept by an `MGET`, and are read by another one: one for all of them.
#[tokio::test]
async fn what_an_mget_cannot_keep_it_reads_all_at_once() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    let _: () = cached.set("string", "value").await.unwrap();
    let mut keys = vec!["string".to_owned()];
    for list in 0..50 {
        let _: () = cached.lpush(format!("list:{list}"), 1).await.unwrap();
        keys.insert(list % 2, format!("list:{list}"));
    }
    let values: Vec<Option<String>> = cached.mget(&keys).await.unwrap();
    let at = keys.iter().position(|key| key == "string").unwrap();
    assert_eq!(values.len(), 51);
    for (place, value) in values.iter().enumerate() {
        assert_eq!(value.as_deref(), (place == at).then_some("value"), "{place}");
    }
    let mut admin = server.admin().await;
    let stats: String = admin.ask("INFO commandstats").await;
    assert!(stats.contains("cmdstat_mget:calls=1,"), "{stats}");
}
