//! What one handle sends takes effect in the order in which it was sent, across nodes too.

use super::*;
use common::{SECOND, within};
use futures_util::poll;
use redis::{AsyncCommands, Cmd, Pipeline, RedisResult, Value, aio::ConnectionLike, cmd};
use std::time::Instant;

async fn quietly(redis: &mut EntraRedis, mut cmd: Cmd) {
    cmd.set_no_response(true).exec_async(redis).await.unwrap();
}

/// Two keys of different nodes.
async fn two_keys(cluster: &Cluster, redis: &mut EntraRedis) -> (String, usize, String, usize) {
    let other = (owner(cluster, FOO).await + 1) % 3;
    for number in 0.. {
        let key = format!("key {number}");
        let slot: u16 = cmd("CLUSTER").arg("KEYSLOT").arg(&key).query_async(redis).await.unwrap();
        if owner(cluster, slot).await == other {
            return ("foo".to_owned(), owner(cluster, FOO).await, key, other);
        }
    }
    unreachable!()
}

/// A large value to one node, and what comes after it to another one: whoever sees the second has the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_to_another_node_comes_after_what_nobody_waits_for() {
    let (_emulator, cluster, mut redis) = three().await;
    let (first, _, second, _) = two_keys(&cluster, &mut redis).await;
    let mut reader = redis.clone();
    let large = vec![b'x'; 2 << 20];
    for round in 1..20_usize {
        let mut value = large.clone();
        value.truncate(large.len() - round);
        quietly(&mut redis, cmd("SET").arg(&first).arg(value).clone()).await;
        quietly(&mut redis, cmd("SET").arg(&second).arg(round).clone()).await;
        common::eventually("the second is there", 10 * SECOND, async || {
            (reader.get::<_, Option<usize>>(&second).await.unwrap() == Some(round)).then_some(())
        })
        .await;
        assert_eq!(reader.strlen::<_, usize>(&first).await.unwrap(), large.len() - round);
    }
    idle(&redis).await;
}

/// A frozen node holds up what is to come after its command, until that can be taken for dead; other handles go on.
#[tokio::test]
async fn a_frozen_node_holds_up_its_handle_within_the_deadline() {
    let set = |config: Config| config.command_timeout(Duration::from_millis(800));
    let (_emulator, cluster, mut redis) = three_of(HOUR, set).await;
    let (first, node, second, _) = two_keys(&cluster, &mut redis).await;
    let mut other = redis.clone();
    cluster.front(node).unwrap().freeze();
    {
        let mut given_up = Box::pin(redis.set::<_, _, ()>(&first, 1));
        assert!(poll!(&mut given_up).is_pending());
    }
    let began = Instant::now();
    let error = redis.set::<_, _, ()>(&second, 1).await.unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("may not overtake"), "{error}");
    assert!(began.elapsed() < 3 * SECOND);
    let _: () = other.set(&second, 2).await.unwrap();
    // A node that has been silent for a second is waited for no more.
    within("the order is free again", 2 * SECOND, async { while redis.set::<_, _, ()>(&second, 3).await.is_err() {} })
        .await;
    cluster.front(node).unwrap().thaw();
    assert_eq!(redis.get::<_, i64>(&second).await.unwrap(), 3);
    idle(&redis).await;
}

/// Parts that are given up half-way are not overtaken either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_in_parts_that_are_given_up_keep_their_order() {
    let (_emulator, _cluster, mut redis) = three().await;
    let keys: Vec<_> = (0..30).map(|number| format!("key {number}")).collect();
    for round in 0..200 {
        let pairs: Vec<_> = keys.iter().map(|key| (key, format!("old {round}"))).collect();
        {
            let mut given_up = Box::pin(redis.mset::<_, _, ()>(&pairs));
            _ = poll!(&mut given_up);
        }
        let newest: Vec<_> = keys.iter().map(|key| (key, format!("new {round}"))).collect();
        let _: () = redis.mset(&newest).await.unwrap();
        let values: Vec<String> = redis.mget(&keys).await.unwrap();
        assert!(values.iter().all(|value| *value == format!("new {round}")), "{values:?}");
    }
    idle(&redis).await;
}

#[tokio::test]
async fn parts_that_nobody_waits_for_are_done() {
    let (_emulator, _cluster, mut redis) = three().await;
    let keys: Vec<_> = (0..30).map(|number| format!("key {number}")).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (key, 1)).collect();
    quietly(&mut redis, cmd("MSET").arg(&pairs).clone()).await;
    assert_eq!(redis.exists::<_, usize>(&keys).await.unwrap(), 30);
    // A node with one key, too: its part is no pipeline.
    for command in ["EXISTS", "TOUCH", "MGET"] {
        quietly(&mut redis, cmd(command).arg("a").arg("b").arg("c").clone()).await;
    }
    for command in ["DBSIZE", "RANDOMKEY"] {
        quietly(&mut redis, cmd(command)).await;
    }
    quietly(&mut redis, cmd("DEL").arg(&keys).clone()).await;
    assert_eq!(redis.exists::<_, usize>(&keys).await.unwrap(), 0);
}

/// The replies of a pipeline that is sent while the first key of a slot has moved and the second one has not. The slot
/// is whole again when the pipeline is through, or has been refused several times.
async fn while_a_slot_moves(pipeline: Pipeline) -> (Vec<Value>, EntraRedis, impl Sized) {
    let (emulator, cluster, redis, migration) = migration::half_way(common::clusters::three(HOUR).await).await;
    let before = redis.manager().stats().commands.retried;
    let mut sender = redis.clone();
    let sent: tokio::task::JoinHandle<RedisResult<_>> =
        tokio::spawn(async move { sender.req_packed_commands(&pipeline, 0, pipeline.len()).await });
    common::eventually("it is through, or has been tried several times", 10 * SECOND, async || {
        let tries = redis.manager().stats().commands.retried - before;
        (sent.is_finished() || tries > 3).then_some(())
    })
    .await;
    migration.finish().await.unwrap();
    (sent.await.unwrap().unwrap(), redis, (emulator, cluster))
}

/// What needs both keys is refused, and what comes behind it needs the one that is still there: that has run by then.
#[tokio::test]
async fn what_is_refused_in_a_pipeline_does_not_run_after_a_later_command_on_its_key() {
    let mut pipeline = redis::pipe();
    pipeline.mset(&[("{foo}a", 3), ("{foo}b", 3)]).set("{foo}b", 4).get("{foo}b").set("elsewhere", 5);
    let (replies, mut redis, _keep) = while_a_slot_moves(pipeline).await;
    let Value::ServerError(error) = &replies[0] else {
        panic!("it was not refused: {replies:?}");
    };
    assert_eq!(error.code(), "TRYAGAIN");
    assert!(error.details().unwrap().contains("it was not sent again: a later command of the pipeline"), "{error:?}");
    assert_eq!(replies[1..], [Value::Okay, Value::BulkString(b"4".to_vec()), Value::Okay]);
    assert_eq!(redis.mget::<_, [i64; 3]>(&["{foo}a", "{foo}b", "elsewhere"]).await.unwrap(), [1, 4, 5]);
    idle(&redis).await;
}

/// What comes behind it needs the key that has moved, and is sent there.
#[tokio::test]
async fn what_is_refused_in_a_pipeline_runs_before_later_commands_that_are_refused_too() {
    let mut pipeline = redis::pipe();
    pipeline.mset(&[("{foo}a", 3), ("{foo}b", 3)]).incr("{foo}a", 1).mget(&["{foo}b", "{foo}a"]).incr("{foo}a", 1);
    let (replies, mut redis, _keep) = while_a_slot_moves(pipeline).await;
    let both = Value::Array([b"3", b"4"].map(|number| Value::BulkString(number.to_vec())).to_vec());
    assert_eq!(replies, [Value::Okay, Value::Int(4), both, Value::Int(5)]);
    assert_eq!(redis.mget::<_, [i64; 2]>(&["{foo}a", "{foo}b"]).await.unwrap(), [5, 3]);
    idle(&redis).await;
}
