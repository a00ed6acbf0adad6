//! Each command goes to the node that has its keys.

use super::*;
use redis::{AsyncCommands, Value, cmd, pipe};
use std::collections::HashMap;

#[tokio::test]
async fn keys_of_all_slots_are_written_and_read() {
    let (_emulator, _cluster, mut redis) = three().await;
    for number in 0..1000 {
        let _: () = redis.set(format!("key:{number}"), number).await.unwrap();
    }
    for number in 0..1000 {
        assert_eq!(redis.get::<_, i64>(format!("key:{number}")).await.unwrap(), number);
    }
    let stats = redis.manager().stats();
    assert_eq!(stats.nodes.len(), 3, "{:?}", stats.nodes);
    assert_eq!(cmd("DBSIZE").query_async::<i64>(&mut redis).await.unwrap(), 1000);
}

#[tokio::test]
async fn commands_over_several_slots_are_put_together() {
    let (_emulator, _cluster, mut redis) = three().await;
    let pairs: Vec<_> = (0..100).map(|number| (format!("key:{number}"), number)).collect();
    let keys: Vec<_> = pairs.iter().map(|(key, _)| key.clone()).collect();
    let _: () = redis.mset(&pairs).await.unwrap();
    let values: Vec<i64> = redis.mget(&keys).await.unwrap();
    assert_eq!(values, (0..100).collect::<Vec<_>>());
    assert_eq!(redis.exists::<_, i64>(&keys).await.unwrap(), 100);
    let mut all: Vec<String> = redis.keys("key:*").await.unwrap();
    all.sort();
    let mut expected = keys.clone();
    expected.sort();
    assert_eq!(all, expected);
    let mut scanned = Vec::new();
    let mut scan = redis.scan_match::<_, String>("key:*").await.unwrap();
    while let Some(key) = scan.next_item().await {
        scanned.push(key.unwrap());
    }
    drop(scan);
    scanned.sort();
    scanned.dedup();
    assert_eq!(scanned, expected);
    assert_eq!(cmd("PING").query_async::<String>(&mut redis).await.unwrap(), "PONG");
    let info: HashMap<String, String> = cmd("INFO").arg("server").query_async(&mut redis).await.unwrap();
    assert_eq!(info.len(), 3);
    assert_eq!(redis.del::<_, i64>(&keys).await.unwrap(), 100);
}

#[tokio::test]
async fn pipelines_go_to_all_nodes_and_come_back_in_order() {
    let (_emulator, _cluster, mut redis) = three().await;
    let mut pipeline = pipe();
    for number in 0..200 {
        pipeline.set(format!("key:{number}"), number).ignore();
    }
    for number in 0..200 {
        pipeline.get(format!("key:{number}"));
    }
    let values: Vec<i64> = pipeline.query_async(&mut redis).await.unwrap();
    assert_eq!(values, (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn transactions_are_in_one_slot_or_refused() {
    let (_emulator, _cluster, mut redis) = three().await;
    let (a, b): (i64, i64) =
        pipe().atomic().incr("{user}:a", 1).incr("{user}:b", 2).query_async(&mut redis).await.unwrap();
    assert_eq!((a, b), (1, 2));
    let error = pipe().atomic().incr("a", 1).incr("b", 1).query_async::<Value>(&mut redis).await.unwrap_err();
    assert_eq!(error.code(), Some("CROSSSLOT"), "{error}");
    assert!(error.to_string().contains("15495") && error.to_string().contains("3300"), "{error}");
}
