//! What becomes of commands and pipelines of which one node's part fails; how many of them may be under way.

use super::*;
use common::SECOND;
use entra_redis::{Error, ErrorKind, Overload};
use redis::{AsyncCommands, Value, cmd, pipe};
use tokio::task::JoinSet;

/// Keys of all nodes, and which node has which.
async fn keys(cluster: &Cluster, redis: &mut EntraRedis) -> Vec<(String, usize)> {
    let mut keys = Vec::new();
    for number in 0..9 {
        let key = format!("key {number}");
        let slot: u16 = cmd("CLUSTER").arg("KEYSLOT").arg(&key).query_async(redis).await.unwrap();
        keys.push((key, owner(cluster, slot).await));
    }
    keys
}

fn set(config: Config) -> Config {
    config.command_timeout(SECOND)
}

#[tokio::test]
async fn a_write_that_fails_in_part_says_which_keys_are_done() {
    let (_emulator, cluster, mut redis) = three_of(HOUR, set).await;
    let keys = keys(&cluster, &mut redis).await;
    let (frozen, mut other) = (keys[0].1, redis.clone());
    // The keys of MSET are its arguments 1, 3, 5 …
    let numbers = |of_frozen: bool, step: usize| {
        let of = keys.iter().enumerate().filter(|(_, (_, node))| (*node == frozen) == of_frozen);
        of.map(|(index, _)| index * step + 1).collect::<Vec<_>>()
    };
    let list = |numbers: &[usize]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let pairs: Vec<_> = keys.iter().map(|(key, _)| (key, 1)).collect();
    cluster.front(frozen).unwrap().freeze();
    let error = redis.mset::<_, _, ()>(&pairs).await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_timeout(), "{error}");
    let done = format!("it was done for the keys at arguments {}", list(&numbers(false, 2)));
    let open = format!("it may have been done for the keys at arguments {}", list(&numbers(true, 2)));
    assert!(text.contains(&done) && text.contains(&open) && !text.contains("key 0"), "{text}\n{done}\n{open}");
    for (key, node) in &keys {
        if *node != frozen {
            assert_eq!(other.get::<_, i64>(key).await.unwrap(), 1);
        }
    }
    cluster.front(frozen).unwrap().thaw();
    idle(&redis).await;
}

#[tokio::test]
async fn a_pipeline_of_which_a_part_is_lost_says_so() {
    let (_emulator, cluster, mut redis) = three_of(HOUR, set).await;
    let keys = keys(&cluster, &mut redis).await;
    let frozen = keys[0].1;
    cluster.front(frozen).unwrap().freeze();
    let mut pipeline = pipe();
    for (key, _) in &keys {
        pipeline.incr(key, 1);
    }
    let error = pipeline.query_async::<Value>(&mut redis).await.unwrap_err();
    let text = error.to_string();
    assert!(
        error.is_timeout() && text.contains("answered: commands") && text.contains("may have run: command"),
        "{text}"
    );
    cluster.front(frozen).unwrap().thaw();
    idle(&redis).await;
}

/// What comes while the node is known to be away is certainly not done.
#[tokio::test]
async fn keys_of_a_dead_node_are_certainly_not_written() {
    let (_emulator, cluster, mut redis) = three_of(HOUR, set).await;
    let keys = keys(&cluster, &mut redis).await;
    let dead = keys[0].1;
    let address = cluster.address(dead).unwrap().to_string();
    cluster.kill(dead).await.unwrap();
    common::eventually("its links are gone", 10 * SECOND, async || {
        let stats = redis.manager().stats();
        let node = stats.nodes.iter().find(|node| node.address == address);
        node.is_none_or(|node| node.open_links == 0).then_some(())
    })
    .await;
    let pairs: Vec<_> = keys.iter().map(|(key, _)| (key, 1)).collect();
    let text = redis.mset::<_, _, ()>(&pairs).await.unwrap_err().to_string();
    assert!(text.contains("it was not done for the key") && !text.contains("may have been"), "{text}");
    idle(&redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_parts_have_their_permits_before_any_is_sent() {
    let set = |config: Config| config.max_in_flight(4);
    let (_emulator, cluster, redis) = three_of(HOUR, set).await;
    let mut one = redis.clone();
    let pairs = |count: usize| (0..count).map(|number| (format!("{{{number}}}"), number)).collect::<Vec<_>>();
    // A hundred slots of three nodes are three parts: those of one node travel together.
    let _: () = one.mset(&pairs(100)).await.unwrap();
    let node = owner(&cluster, FOO).await;
    cluster.front(node).unwrap().freeze();
    let mut waiting = JoinSet::new();
    for _ in 0..2 {
        let mut redis = redis.clone();
        waiting.spawn(async move { redis.get::<_, Option<i64>>("foo").await });
    }
    common::eventually("they are under way", SECOND, async || {
        (redis.manager().stats().commands.in_flight == 2).then_some(())
    })
    .await;
    let error = one.mset::<_, _, ()>(&[("{1}", 7), ("b", 7), ("foo", 7)]).await.unwrap_err();
    assert_eq!(Error::kind_of(&error), Some(ErrorKind::Overloaded), "{error}");
    cluster.front(node).unwrap().thaw();
    while let Some(ended) = waiting.join_next().await {
        ended.unwrap().unwrap();
    }
    assert_eq!(one.mget::<_, [Option<i64>; 3]>(&["{1}", "b", "foo"]).await.unwrap(), [Some(1), None, None]);
    idle(&redis).await;
}

/// Small and large ones together: each gets its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_in_parts_wait_their_turn_for_room() {
    let set = |config: Config| config.max_in_flight(3).overload(Overload::Wait).command_timeout(20 * SECOND);
    let (_emulator, _cluster, redis) = three_of(HOUR, set).await;
    let mut running = JoinSet::new();
    for task in 0..20 {
        let mut redis = redis.clone();
        running.spawn(async move {
            let keys: Vec<_> = (0..20).map(|number| format!("{task}:{number}")).collect();
            for turn in 0..20 {
                if task % 2 == 0 {
                    let _: () = redis.set(&keys[0], turn).await.unwrap();
                } else {
                    let pairs: Vec<_> = keys.iter().map(|key| (key, turn)).collect();
                    let _: () = redis.mset(&pairs).await.unwrap();
                    assert_eq!(redis.mget::<_, Vec<i32>>(&keys).await.unwrap(), [turn; 20]);
                }
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    idle(&redis).await;
    let set = |config: Config| config.max_in_flight(2).overload(Overload::Wait);
    let (_emulator, _cluster, mut redis) = three_of(HOUR, set).await;
    let error = cmd("DBSIZE").query_async::<i64>(&mut redis).await.unwrap_err();
    assert_eq!(Error::kind_of(&error), Some(ErrorKind::Overloaded), "{error}");
}
