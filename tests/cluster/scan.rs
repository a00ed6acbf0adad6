//! `SCAN` with one cursor over all nodes.

use super::*;
use redis::{AsyncCommands, cmd};
use std::collections::HashSet;

/// All that a scan returns, with these options; it is repeated until its cursor is 0.
async fn scan(redis: &mut EntraRedis, options: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor = 0_u64;
    for _ in 0..100_000 {
        let (next, keys): (u64, Vec<String>) = cmd("SCAN").arg(cursor).arg(options).query_async(redis).await.unwrap();
        all.extend(keys);
        if next == 0 {
            return all;
        }
        cursor = next;
    }
    panic!("the scan does not end");
}

async fn filled(redis: &mut EntraRedis, keys: usize) -> HashSet<String> {
    let pairs: Vec<_> = (0..keys).map(|number| (format!("key:{number}"), number)).collect();
    let tagged: Vec<_> = (0..keys).map(|number| (format!("{{foo}}:{number}"), number)).collect();
    let _: () = redis.mset(&pairs).await.unwrap();
    let _: () = redis.mset(&tagged).await.unwrap();
    pairs.into_iter().chain(tagged).map(|(key, _)| key).collect()
}

#[tokio::test]
async fn every_key_is_returned_once_with_any_options() {
    let (_emulator, _cluster, mut redis) = three().await;
    let keys = filled(&mut redis, 500).await;
    let _: () = redis.lpush("list", 1).await.unwrap();
    for options in [&["TYPE", "string"][..], &["TYPE", "string", "COUNT", "7"], &["COUNT", "1000", "TYPE", "string"]] {
        let scanned = scan(&mut redis, options).await;
        assert_eq!(scanned.len(), keys.len(), "{options:?}");
        assert_eq!(scanned.into_iter().collect::<HashSet<_>>(), keys, "{options:?}");
    }
    assert_eq!(scan(&mut redis, &["MATCH", "{foo}:*"]).await.len(), 500);
    assert_eq!(scan(&mut redis, &["MATCH", "none"]).await.len(), 0);
    assert_eq!(scan(&mut redis, &["TYPE", "list"]).await, ["list"]);
    let error = cmd("SCAN").arg("no number").query_async::<redis::Value>(&mut redis).await.unwrap_err();
    assert!(error.to_string().contains("invalid cursor"), "{error}");
}

/// Keys go from nodes whose turn is yet to come to one whose turn is over, and nobody tells: the client sends nothing
/// but its scan.
#[tokio::test]
async fn no_key_is_missed_whose_slot_moves_to_a_node_that_is_done() {
    let (_emulator, cluster, mut redis) = three().await;
    let keys = filled(&mut redis, 1000).await;
    let first = owner(&cluster, 0).await;
    let mut scanned = HashSet::new();
    let (mut cursor, mut steps) = (0_u64, 0);
    loop {
        let (next, some): (u64, Vec<String>) =
            cmd("SCAN").arg(cursor).arg("COUNT").arg(200).query_async(&mut redis).await.unwrap();
        scanned.extend(some);
        if next == 0 {
            break;
        }
        cursor = next;
        steps += 1;
        // The first node has about 300 keys, the second one as many more: before, between and in their turns.
        if steps == 3 {
            cluster.move_slots(5461..=5500, first).await.unwrap();
        }
        if steps == 5 {
            cluster.move_slots(FOO..=FOO, first).await.unwrap();
        }
    }
    assert!(steps > 5, "{steps}");
    assert_eq!(keys.difference(&scanned).count(), 0, "of {} keys, in {steps} steps", keys.len());
}
