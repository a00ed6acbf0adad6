//! What one handle sends to a node takes effect in the order in which it was sent.

use super::*;
use common::{SECOND, within};
use futures_util::poll;
use redis::{AsyncCommands, Cmd, cmd};

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

/// A frozen node holds up what is to come after its own command; commands of the handle to other nodes go on.
#[tokio::test]
async fn a_frozen_node_holds_up_its_own_keys_alone() {
    let set = |config: Config| config.command_timeout(Duration::from_millis(800));
    let (_emulator, cluster, mut redis) = start(Emulator::builder().token_lifetime(HOUR).cluster(3), set).await;
    let (first, node, second, _) = two_keys(&cluster, &mut redis).await;
    cluster.front(node).unwrap().freeze();
    {
        let mut given_up = Box::pin(redis.set::<_, _, ()>(&first, 1));
        assert!(poll!(&mut given_up).is_pending());
    }
    let _: () = redis.set(&second, 1).await.unwrap();
    let error = redis.set::<_, _, ()>(&first, 2).await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    cluster.front(node).unwrap().thaw();
    within("the node is back", 10 * SECOND, async { while redis.set::<_, _, ()>(&first, 3).await.is_err() {} }).await;
    assert_eq!(redis.get::<_, i64>(&first).await.unwrap(), 3);
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
    quietly(&mut redis, cmd("DEL").arg(&keys).clone()).await;
    assert_eq!(redis.exists::<_, usize>(&keys).await.unwrap(), 0);
}
