//! What one handle sends takes effect in the order in which it was sent, across nodes too.

use super::*;
use common::{SECOND, within};
use futures_util::poll;
use redis::{AsyncCommands, Cmd, cmd};
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
