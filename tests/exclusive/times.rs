//! How long a command over a connection of one's own may take: as long as is said for any, and its own time besides.

use super::{HOUR, start};
use common::{SECOND, cmd, eventually, scripted::Scripted, within};
use entra_redis::Dedicated;
use redis::{RedisError, RedisResult, Value};
use std::time::{Duration, Instant};

async fn run(con: &mut Dedicated, line: &str) -> RedisResult<Value> {
    cmd(line).query_async(con).await
}

/// The error of a command that fails because of its time, and how long it took.
async fn late(line: &str, result: impl Future<Output = RedisResult<Value>>) -> (RedisError, Duration) {
    let began = Instant::now();
    let error = within(line, 20 * SECOND, result).await.unwrap_err();
    assert!(error.is_timeout(), "{line}: {error}");
    (error, began.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_blocks_has_the_time_that_its_user_has_set_besides_its_own() {
    let (azure, redis) = start(HOUR, |config| config.command_timeout(8 * SECOND)).await;
    let mut con = redis.dedicated().await.unwrap();
    con.set_command_timeout(SECOND / 2);
    azure.redis_front().freeze();
    let (error, took) = late("BLPOP", run(&mut con, "BLPOP k 1")).await;
    assert!(took >= SECOND * 14 / 10 && took < 5 * SECOND, "{took:?}");
    assert!(error.to_string().contains("within 500ms after the time that it may block for"), "{error}");
    azure.redis_front().thaw();

    let redis = azure.up(azure.config().command_timeout(SECOND / 2), 2).await;
    let mut con = redis.dedicated().await.unwrap();
    con.set_command_timeout(20 * SECOND);
    azure.redis_front().freeze();
    let thaw = async {
        // Longer than any silence is let pass that nobody has announced.
        tokio::time::sleep(4 * SECOND).await;
        azure.redis_front().thaw();
    };
    let (popped, ()) = tokio::join!(run(&mut con, "BLPOP k 0.5"), thaw);
    assert_eq!(popped.unwrap(), Value::Nil);
}

/// A new token comes before it, whose `AUTH` takes longer than the command may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_token_first_waits_no_longer_than_its_user_has_set() {
    let (azure, redis) = start(30 * SECOND, |config| config.command_timeout(8 * SECOND)).await;
    let mut con = redis.dedicated().await.unwrap();
    let generation = || redis.manager().stats().token.map(|token| token.generation);
    let before = generation();
    azure.redis_front().auth_delay(4 * SECOND);
    redis.manager().refresh_token();
    eventually("there is a new token", 10 * SECOND, async || (generation() > before).then_some(())).await;
    con.set_command_timeout(SECOND / 2);
    let (error, took) = late("WATCH", run(&mut con, "WATCH k")).await;
    assert!(took < 3 * SECOND, "{took:?}");
    assert!(error.to_string().contains("was not sent"), "{error}");
    assert!(con.is_open());
    azure.redis_front().auth_delay(Duration::ZERO);
    con.set_command_timeout(20 * SECOND);
    run(&mut con, "WATCH k").await.unwrap();
}

/// It is sent as it is, and as a whole: nobody can ask it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_series_read_that_blocks_may_take_its_own_time() {
    let server = Scripted::start(|_, words| async move {
        if words[0] == "TS.READ" {
            tokio::time::sleep(4 * SECOND).await;
            return Some(b"*0\r\n".to_vec());
        }
        Some(b"+PONG\r\n".to_vec())
    })
    .await;
    let redis = server.up(server.config().command_timeout(SECOND / 2), 1).await;
    let mut con = redis.dedicated().await.unwrap();
    assert_eq!(run(&mut con, "TS.READ k 0 MAX_COUNT 5 BLOCK 60000 1").await.unwrap(), Value::Array(vec![]));
    assert_eq!(run(&mut con, "TS.READ k $ BLOCK 0 1").await.unwrap(), Value::Array(vec![]));
    // Redis refuses these at once, if it answers.
    let mut pipe = redis::pipe();
    pipe.add_command(cmd("TS.READ k $ BLOCK soon 1"));
    let (_, took) = late("in a pipeline", pipe.query_async(&mut con)).await;
    assert!(took < 3 * SECOND, "{took:?}");
    let mut con = redis.dedicated().await.unwrap();
    let (_, took) = late("alone", run(&mut con, "TS.READ k $ BLOCK soon 1")).await;
    assert!(took < 3 * SECOND, "{took:?}");
}

/// The ids that `$` means are asked for first, one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_what_is_new_in_many_streams_keeps_its_time() {
    const LINE: &str = "XREAD BLOCK 300 STREAMS a b c d e f g h $ $ $ $ $ $ $ $";
    let server = Scripted::start(|_, words| async move {
        match words[0].as_str() {
            "XREVRANGE" => {
                tokio::time::sleep(SECOND).await;
                Some(b"*0\r\n".to_vec())
            }
            "XREAD" => Some(b"_\r\n".to_vec()),
            _ => Some(b"+PONG\r\n".to_vec()),
        }
    })
    .await;
    // Each of the eight questions has an answer well within this time.
    let redis = server.up(server.config().command_timeout(3 * SECOND), 1).await;
    let is_kept = |took: Duration| took >= SECOND * 32 / 10 && took < 6 * SECOND;
    let (error, took) = late("shared", cmd(LINE).query_async(&mut redis.clone())).await;
    assert!(is_kept(took), "{took:?}");
    assert!(error.to_string().contains("was not sent"), "{error}");
    let mut con = redis.dedicated().await.unwrap();
    let (_, took) = late("alone", run(&mut con, LINE)).await;
    assert!(is_kept(took), "{took:?}");
    // With time enough it is answered.
    let mut con = redis.dedicated().await.unwrap();
    con.set_command_timeout(20 * SECOND);
    assert_eq!(run(&mut con, "XREAD BLOCK 300 STREAMS a b $ $").await.unwrap(), Value::Nil);
}
