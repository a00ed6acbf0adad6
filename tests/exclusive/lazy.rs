//! Commands that block, and nothing to block on: with a lazy start, and while all connections are down, they wait as
//! long as they say.

use super::{HOUR, blocked};
use common::{SECOND, cmd, eventually, within};
use entra_redis::{
    EntraRedis, Startup,
    emulator::{Emulator, EmulatorBuilder},
};
use redis::{AsyncCommands, RedisResult, Value};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The emulator, which refuses connections, and a handle whose commands wait this long.
async fn refused(builder: EmulatorBuilder, limit: Duration) -> (common::Azure, EntraRedis) {
    let azure = common::start(builder).await;
    azure.redis_front().refuse_connections(true);
    let config = azure.config().startup(Startup::Lazy).command_timeout(limit).max_in_flight(3);
    let redis = azure.connect(config).await;
    (azure, redis)
}

/// The commands, each in a task.
fn spawned(redis: &EntraRedis, lines: &[&str]) -> Vec<JoinHandle<RedisResult<Value>>> {
    let spawned = |line: &&str| {
        let (mut redis, cmd) = (redis.clone(), cmd(line));
        tokio::spawn(async move { cmd.query_async(&mut redis).await })
    };
    lines.iter().map(spawned).collect()
}

async fn waiting(redis: &EntraRedis, count: usize) {
    let all_wait = async || (redis.manager().stats().commands.waiting == count).then_some(());
    eventually("all wait", 5 * SECOND, all_wait).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_wait_for_the_first_connection_as_long_as_they_say() {
    const LIMIT: Duration = Duration::from_millis(400);
    for builder in [common::emulator(HOUR), Emulator::builder().token_lifetime(HOUR).cluster(3)] {
        let (azure, redis) = refused(builder, LIMIT).await;
        // More than may be in flight: they have no share in that.
        let lines = ["BLPOP a 30", "BLPOP b 0", "BRPOP c 30", "XREAD BLOCK 0 STREAMS stream $"];
        let tasks = spawned(&redis, &lines);
        waiting(&redis, lines.len()).await;
        let fails = async || redis.clone().get::<_, Value>("key").await.unwrap_err().to_string();
        eventually("an attempt has failed", 10 * SECOND, async || {
            fails().await.contains("the last attempt").then_some(())
        })
        .await;
        let since = Instant::now();
        while since.elapsed() < 4 * LIMIT {
            let error = fails().await;
            assert!(error.contains("the last attempt"), "{error}");
            assert!(!error.contains("max_in_flight"), "{error}");
        }
        assert!(tasks.iter().all(|task| !task.is_finished()), "{tasks:?}");
        azure.redis_front().refuse_connections(false);
        eventually("it serves", 30 * SECOND, async || redis.clone().get::<_, Value>("key").await.ok()).await;
        let mut con = azure.connect(azure.config()).await;
        for key in ["a", "b", "c"] {
            let _: () = con.rpush(key, "x").await.unwrap();
        }
        blocked(&redis, 1).await;
        let _: Value = cmd("XADD stream 1-1 f v").query_async(&mut con).await.unwrap();
        for (line, task) in lines.iter().zip(tasks) {
            let reply = within(line, 10 * SECOND, task).await.unwrap();
            assert!(!matches!(reply, Err(_) | Ok(Value::Nil)), "{line}: {reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_connection_they_fail_at_their_own_deadline_and_say_why() {
    const LIMIT: Duration = Duration::from_millis(500);
    let (_azure, redis) = refused(common::emulator(HOUR), LIMIT).await;
    for line in ["BLPOP a 1", "XREAD BLOCK 1000 STREAMS stream $", "WAIT 1 1000"] {
        let began = Instant::now();
        let error = within(line, 10 * SECOND, cmd(line).query_async::<Value>(&mut redis.clone())).await.unwrap_err();
        let took = began.elapsed();
        assert!(took >= SECOND + LIMIT && took < 8 * SECOND, "{line}: {took:?}");
        assert!(error.is_timeout(), "{line}: {error}");
        let shown = error.to_string();
        assert!(shown.contains("was not sent") && shown.contains("the last attempt"), "{line}: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_has_to_ask_for_ids_first_waits_for_a_connection_as_the_others_do() {
    const LIMIT: Duration = Duration::from_millis(400);
    let azure = common::start(common::emulator(HOUR)).await;
    let redis = azure.up(azure.config().command_timeout(LIMIT), 2).await;
    azure.redis_front().refuse_connections(true);
    azure.redis_front().cut_all();
    let is_down = async || (!redis.manager().ready()).then_some(());
    eventually("all connections are down", 5 * SECOND, is_down).await;
    let lines = ["BLPOP a 0", "XREAD BLOCK 0 STREAMS stream $"];
    let tasks = spawned(&redis, &lines);
    tokio::time::sleep(3 * LIMIT).await;
    assert!(tasks.iter().all(|task| !task.is_finished()), "{tasks:?}");
    let timed = within("it ends", 10 * SECOND, spawned(&redis, &["XREAD BLOCK 200 STREAMS stream $"]).remove(0)).await;
    let shown = timed.unwrap().unwrap_err().to_string();
    assert!(shown.contains("was not sent") && shown.contains("the last attempt"), "{shown}");
    azure.redis_front().refuse_connections(false);
    eventually("it serves", 30 * SECOND, async || redis.clone().get::<_, Value>("key").await.ok()).await;
    blocked(&redis, 2).await;
    let mut con = azure.connect(azure.config()).await;
    let _: () = con.rpush("a", "x").await.unwrap();
    let _: Value = cmd("XADD stream 1-1 f v").query_async(&mut con).await.unwrap();
    for (line, task) in lines.iter().zip(tasks) {
        let reply = within(line, 10 * SECOND, task).await.unwrap();
        assert!(!matches!(reply, Err(_) | Ok(Value::Nil)), "{line}: {reply:?}");
    }
}
