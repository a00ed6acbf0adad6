//! Code written for the redis crate's multiplexed connection runs unchanged on the handle.

mod common;

use common::{logs, server::Server};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls};
use redis::{AsyncCommands, AsyncIter, RedisResult, Script, Value};
use std::time::Duration;

async fn connect(server: &Server) -> EntraRedis {
    EntraRedis::connect("localhost", server.port, config(server)).await.unwrap()
}

fn config(server: &Server) -> Config {
    let token = || async { AccessToken::opaque("any token", Duration::from_secs(3600), "tester") };
    Config::new(Credential::custom(token)).tls(Tls::new().ca_pem(&server.ca_pem))
}

#[tokio::test]
async fn async_commands_pipelines_scripts_and_scans() {
    let _logs = logs::watch();
    let server = Server::start();
    let redis = connect(&server).await;
    let mut con = redis.clone();

    let _: () = con.set("key", 41).await.unwrap();
    assert_eq!(con.incr::<_, _, i64>("key", 1).await.unwrap(), 42);

    let (a, b): (i64, String) =
        redis::pipe().incr("key", 1).set("s", "x").ignore().get("s").query_async(&mut con).await.unwrap();
    assert_eq!((a, b.as_str()), (43, "x"));
    let (n,): (i64,) =
        redis::pipe().atomic().set("key", 1).ignore().incr("key", 9).query_async(&mut con).await.unwrap();
    assert_eq!(n, 10);

    let doubled: i64 = Script::new("return tonumber(redis.call('GET', KEYS[1])) * ARGV[1]")
        .key("key")
        .arg(2)
        .invoke_async(&mut con)
        .await
        .unwrap();
    assert_eq!(doubled, 20);

    for i in 0..100 {
        let _: () = con.set(format!("scan:{i}"), i).await.unwrap();
    }
    let mut seen = 0;
    let mut keys: AsyncIter<'_, String> = con.scan_match("scan:*").await.unwrap();
    while let Some(key) = keys.next_item().await {
        key.unwrap();
        seen += 1;
    }
    drop(keys);
    assert_eq!(seen, 100);

    let mut fire_and_forget = redis::cmd("SET");
    fire_and_forget.arg("quiet").arg(1).set_no_response(true);
    let _: Value = fire_and_forget.query_async(&mut con).await.unwrap();
}

#[tokio::test]
async fn errors_are_those_of_the_server() {
    let _logs = logs::watch();
    let server = Server::start();
    let mut con = connect(&server).await;
    let _: () = con.set("s", "text").await.unwrap();
    let error = con.incr::<_, _, i64>("s", 1).await.unwrap_err();
    assert!(error.to_string().contains("not an integer"), "{error}");
    let result: RedisResult<(i64, String)> = redis::pipe().atomic().incr("s", 1).get("s").query_async(&mut con).await;
    assert!(result.is_err());
    // An error in one command leaves the connection in order.
    assert_eq!(con.get::<_, String>("s").await.unwrap(), "text");
}

#[tokio::test]
async fn what_a_shared_connection_cannot_carry_is_refused_before_it_is_sent() {
    let _logs = logs::watch();
    let server = Server::start();
    let mut con = connect(&server).await;
    for (name, args) in [("BLPOP", vec!["k", "0"]), ("SUBSCRIBE", vec!["c"]), ("SELECT", vec!["1"]), ("MULTI", vec![])]
    {
        let mut cmd = redis::cmd(name);
        cmd.arg(args);
        let error = cmd.query_async::<Value>(&mut con).await.unwrap_err();
        assert_eq!(error.kind(), redis::ErrorKind::Client, "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    let calls: String = redis::cmd("INFO").arg("commandstats").query_async(&mut con).await.unwrap();
    assert!(!calls.contains("blpop") && !calls.contains("subscribe"), "{calls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_belong_to_their_requests() {
    let _logs = logs::watch();
    let server = Server::start();
    let redis = connect(&server).await;
    let tasks = (0..64_u32).map(|task| {
        let mut con = redis.clone();
        tokio::spawn(async move {
            for i in 0..200_u32 {
                let text = format!("{task}:{i}:{}", "x".repeat((task * i % 3000) as usize));
                let echo: String = redis::cmd("ECHO").arg(&text).query_async(&mut con).await.unwrap();
                assert_eq!(echo, text);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_values_both_ways_do_not_deadlock() {
    let _logs = logs::watch();
    let server = Server::start();
    let redis = connect(&server).await;
    let value = vec![7_u8; 8 << 20];
    let tasks = (0..8).map(|task| {
        let (mut con, value) = (redis.clone(), value.clone());
        tokio::spawn(async move {
            let _: () = con.set(task, &value).await.unwrap();
            assert!(con.get::<_, Vec<u8>>(task).await.unwrap() == value);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}
