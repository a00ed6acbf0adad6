//! Clusters of embedded stores: as Redis's, as far as they go, and many nodes at once.

use crate::{FOO, client::Client, owner, start};
use common::{SECOND, eventually, within};
use entra_redis::emulator::Emulator;
use redis::Value;
use std::{collections::HashMap, time::Instant};

#[tokio::test]
async fn keys_of_different_slots_do_not_go_together() {
    // The same from redis-server.
    for builder in [Emulator::builder().cluster(1), Emulator::builder().embedded_cluster(1)] {
        let (emulator, _cluster) = start(builder).await;
        let mut client = Client::of_node(&emulator, 0).await;
        let crossslot = "CROSSSLOT Keys in request don't hash to the same slot";
        for line in [
            "MSET a 1 b 2",
            "MGET a b",
            "RENAME a b",
            "DEL {x}a {y}a",
            "SINTER a b",
            "LMOVE a b LEFT LEFT",
            "WATCH a b",
            "BLPOP a b 0",
            "BLMOVE a b LEFT LEFT 0",
            "BRPOPLPUSH a b 0",
            "LMPOP 2 a b LEFT",
            "BLMPOP 0 2 a b LEFT",
            "XREAD BLOCK 0 STREAMS a b 0 0",
            "XREADGROUP GROUP g c STREAMS a b > >",
        ] {
            assert_eq!(client.refusal(line).await, crossslot, "{line}");
        }
        client.run::<()>("MSET {x}a 1 {x}b 2").await;
        assert_eq!(client.run::<Vec<u64>>("MGET {x}a {x}b").await, [1, 2]);
        assert_eq!(client.run::<u64>("DBSIZE").await, 2);
        client.run::<()>("MULTI").await;
        assert_eq!(client.refusal("MGET a b").await, crossslot);
        assert!(client.refusal("EXEC").await.starts_with("EXECABORT"));
        client.run::<()>("SET c 1").await;
        let slot: u16 = client.run("CLUSTER KEYSLOT c").await;
        assert_eq!(client.run::<u64>(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).await, 1);
        assert_eq!(client.run::<Vec<String>>(&format!("CLUSTER GETKEYSINSLOT {slot} 10")).await, ["c"]);
        for (line, refusal) in [
            ("CLUSTER COUNTKEYSINSLOT 16384", "ERR Invalid slot"),
            ("CLUSTER COUNTKEYSINSLOT x", "ERR value is not an integer or out of range"),
            ("CLUSTER GETKEYSINSLOT 16384 1", "ERR Invalid slot or number of keys"),
            ("CLUSTER GETKEYSINSLOT 1 -1", "ERR Invalid slot or number of keys"),
            ("CLUSTER GETKEYSINSLOT 1 x", "ERR value is not an integer or out of range"),
        ] {
            assert_eq!(client.refusal(line).await, refusal, "{line}");
        }
        assert!(client.run::<String>("INFO cluster").await.contains("cluster_enabled:1"));
        client.run::<()>("READONLY").await;
    }
}

#[tokio::test]
async fn transactions_follow_their_slot() {
    for builder in [Emulator::builder().cluster(2), Emulator::builder().embedded_cluster(2)] {
        let (emulator, cluster) = start(builder).await;
        let (slot, key) = FOO;
        let from = owner(&cluster, slot).await;
        let mut source = Client::of_node(&emulator, from).await;
        let mut target = Client::of_node(&emulator, 1 - from).await;
        let migration = cluster.begin_migration(slot..=slot, 1 - from).await.unwrap();
        let incr = format!("INCR {key}");
        source.run::<()>("MULTI").await;
        let port = cluster.address(1 - from).unwrap().port();
        assert_eq!(source.redirection(&incr).await, Some(("ASK".to_owned(), port)));
        assert!(source.refusal("EXEC").await.starts_with("EXECABORT"));
        // One ASKING is for the whole transaction.
        target.run::<()>("ASKING").await;
        target.run::<()>("MULTI").await;
        for _ in 0..2 {
            assert_eq!(target.run::<String>(&incr).await, "QUEUED");
        }
        assert_eq!(target.run::<Vec<u64>>("EXEC").await, [1, 2]);
        let back = cluster.address(from).unwrap().port();
        assert_eq!(target.redirection(&incr).await, Some(("MOVED".to_owned(), back)), "it is for no more than that");

        // What was queued before the slot went is not run after that.
        target.run::<()>("ASKING").await;
        target.run::<()>("MULTI").await;
        target.run::<()>(&incr).await;
        migration.finish().await.unwrap();
        cluster.move_slots(slot..=slot, from).await.unwrap();
        assert_eq!(target.redirection("EXEC").await, Some(("MOVED".to_owned(), back)));
        assert_eq!(source.run::<u64>(&format!("GET {key}")).await, 2);
    }
}

#[tokio::test]
async fn who_waits_is_sent_after_a_slot_that_moves() {
    for builder in [Emulator::builder().cluster(2), Emulator::builder().embedded_cluster(2)] {
        let (emulator, cluster) = start(builder).await;
        let (slot, key) = FOO;
        for line in ["BLPOP foo 0", "XREAD BLOCK 0 STREAMS foo $", "BLMOVE foo {foo}1 LEFT LEFT 0"] {
            let to = 1 - owner(&cluster, slot).await;
            let mut source = Client::of_node(&emulator, 1 - to).await;
            let mut control = Client::of_node(&emulator, 1 - to).await;
            let moves = async {
                eventually("it waits", 10 * SECOND, async || {
                    let info: String = control.run("INFO clients").await;
                    info.contains("blocked_clients:1\r\n").then_some(())
                })
                .await;
                cluster.move_slots(slot..=slot, to).await.unwrap();
            };
            let (redirection, ()) = tokio::join!(source.redirection(line), moves);
            let port = cluster.address(to).unwrap().port();
            assert_eq!(redirection, Some(("MOVED".to_owned(), port)), "{line}");
        }
        // What is watched and has gone stops a transaction: with the slot, or before it.
        let owner = owner(&cluster, slot).await;
        let mut source = Client::of_node(&emulator, owner).await;
        source.run::<()>(&format!("SET {key} 1")).await;
        source.run::<()>(&format!("WATCH {key}")).await;
        cluster.move_slots(slot..=slot, 1 - owner).await.unwrap();
        source.run::<()>("MULTI").await;
        assert_eq!(source.run::<Value>("EXEC").await, Value::Nil);
    }
}

#[tokio::test]
async fn messages_reach_the_subscribers_of_all_nodes() {
    let (emulator, _cluster) = start(Emulator::builder().embedded_cluster(2)).await;
    let mut subscriber = Client::of_node(&emulator, 0).await;
    subscriber.run::<Value>("SUBSCRIBE news").await;
    let mut publisher = Client::of_node(&emulator, 1).await;
    publisher.run::<()>("PUBLISH news yes").await;
    let message = within("a message", 5 * SECOND, subscriber.next()).await.unwrap();
    assert_eq!(redis::from_redis_value::<Vec<String>>(message).unwrap(), ["message", "news", "yes"]);
}

#[tokio::test]
async fn nodes_die_and_come_back_empty() {
    let (emulator, cluster) = start(Emulator::builder().embedded_cluster(2)).await;
    let (slot, key) = FOO;
    let node = owner(&cluster, slot).await;
    let mut client = Client::of_node(&emulator, node).await;
    client.run::<()>(&format!("SET {key} 1")).await;
    cluster.kill(node).await.unwrap();
    client.closed().await;
    // Its port may be somebody else's by now.
    assert!(Client::dial(&emulator, cluster.address(node).unwrap(), "localhost").await.is_err());
    assert!(!cluster.nodes().await.unwrap()[node].is_live);
    let mut seed = Client::of_seed(&emulator).await;
    assert_eq!(seed.run::<Vec<Value>>("CLUSTER SLOTS").await.len(), 2);
    cluster.restart(node).await.unwrap();
    let mut client = Client::of_node(&emulator, node).await;
    assert_eq!(client.run::<Value>(&format!("GET {key}")).await, Value::Nil);
    cluster.freeze(node).await.unwrap();
    let silent = tokio::time::timeout(SECOND / 5, client.run::<Value>("PING")).await;
    assert!(silent.is_err(), "a frozen node answered");
    cluster.thaw(node).await.unwrap();
    for unsupported in [cluster.fail_over(0).await, cluster.promoted(0).await, cluster.add_replica(0).await] {
        assert!(unsupported.unwrap_err().to_string().contains("`.cluster(…)`"));
    }
    assert_eq!(cluster.pid(0).unwrap(), None);
    assert!(cluster.redis_address(0).is_err());
}

/// As redis-server has it without a port beside TLS: clients such as rustis ask for nothing else.
#[tokio::test]
async fn shards_are_told_as_redis_tells_them() {
    let (emulator, cluster) = start(Emulator::builder().embedded_cluster(3)).await;
    cluster.move_slots(100..=100, 1).await.unwrap();
    let mut seed = Client::of_seed(&emulator).await;
    let shards: Vec<HashMap<String, Value>> = seed.run("CLUSTER SHARDS").await;
    let nodes = cluster.nodes().await.unwrap();
    assert_eq!(shards.len(), nodes.len());
    for (shard, node) in shards.into_iter().zip(nodes) {
        let slots: Vec<u16> = redis::from_redis_value(shard["slots"].clone()).unwrap();
        let expected: Vec<u16> = node.slots.iter().flat_map(|range| [*range.start(), *range.end()]).collect();
        assert_eq!(slots, expected, "{}", node.index);
        let [told]: [HashMap<String, String>; 1] =
            redis::from_redis_value::<Vec<_>>(shard["nodes"].clone()).unwrap().try_into().unwrap();
        assert_eq!((&*told["ip"], &*told["tls-port"]), ("127.0.0.1", &*node.address.port().to_string()));
        assert_eq!((&*told["role"], &*told["health"], told.get("port")), ("master", "online", None));
    }
}

#[tokio::test]
async fn a_hundred_nodes_are_there_at_once() {
    let began = Instant::now();
    let (emulator, cluster) = start(Emulator::builder().embedded_cluster(100).amr_strict()).await;
    assert!(began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
    let mut seed = Client::of_seed(&emulator).await;
    let topology: Vec<Value> = seed.run("CLUSTER SLOTS").await;
    assert_eq!(topology.len(), 100);
    assert_eq!(seed.run::<String>("CLUSTER NODES").await.lines().count(), 100);
    let (slot, key) = FOO;
    let right = owner(&cluster, slot).await;
    let port = cluster.address(right).unwrap().port();
    for node in (0..100).step_by(7) {
        let mut client = Client::of_node(&emulator, node).await;
        if node != right {
            assert_eq!(client.redirection(&format!("GET {key}")).await, Some(("MOVED".to_owned(), port)));
        }
    }
    assert_eq!(emulator.redis_fronts().len(), 101);
    let replaced = cluster.replace_node(right).await.unwrap();
    assert_eq!((replaced, owner(&cluster, slot).await), (100, 100));
}
