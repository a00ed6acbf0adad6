//! What is refused as Azure Managed Redis refuses it.

use crate::{FOO, client::Client, owner, start};
use entra_redis::emulator::Emulator;
use redis::Value;

#[tokio::test]
async fn a_strict_cluster_has_no_more_commands_than_azure() {
    let (emulator, cluster) = start(Emulator::builder().cluster(3).amr_strict()).await;
    let (slot, key) = FOO;
    let node = owner(&cluster, slot).await;
    for mut client in [Client::of_seed(&emulator).await, Client::of_node(&emulator, node).await] {
        for (line, refusal) in [
            ("READONLY", "ERR unknown command 'READONLY'"),
            ("READWRITE", "ERR unknown command 'READWRITE'"),
            ("ASKING", "ERR unknown command 'ASKING'"),
            ("CLUSTER MYID", "ERR unknown subcommand 'MYID'"),
            ("CLUSTER SHARDS", "ERR unknown subcommand 'SHARDS'"),
            ("CLUSTER FAILOVER", "ERR unknown subcommand 'FAILOVER'"),
            ("CLUSTER RESET", "ERR unknown subcommand 'RESET'"),
            ("CLIENT REPLY OFF", "ERR unknown subcommand 'REPLY'"),
            ("SELECT 1", "ERR DB index is out of range"),
        ] {
            assert_eq!(client.refusal(line).await, refusal);
        }
        assert_eq!(client.run::<Vec<Value>>("CLUSTER SLOTS").await.len(), 3);
        assert!(client.run::<String>("CLUSTER NODES").await.contains("myself"));
        assert!(client.run::<String>("CLUSTER INFO").await.contains("cluster_state:ok"));
        assert_eq!(client.run::<u16>(&format!("CLUSTER KEYSLOT {key}")).await, slot);
    }
    let mut client = Client::of_node(&emulator, node).await;
    client.run::<()>(&format!("SET {key} 1")).await;
    // What is refused while it is queued ends the transaction, as if Redis had refused it.
    client.run::<()>("MULTI").await;
    assert_eq!(client.run::<String>(&format!("INCR {key}")).await, "QUEUED");
    client.refusal("ASKING").await;
    assert!(client.refusal("EXEC").await.starts_with("EXECABORT"));
    assert_eq!(client.run::<u64>(&format!("GET {key}")).await, 1);
}

/// A migration goes on behind a strict front, which sends clients where they cannot say `ASKING`.
#[tokio::test]
async fn slots_move_behind_a_strict_front() {
    let (emulator, cluster) = start(Emulator::builder().cluster(2).amr_strict()).await;
    let (slot, key) = FOO;
    let from = owner(&cluster, slot).await;
    let mut source = Client::of_node(&emulator, from).await;
    source.run::<()>(&format!("SET {key} 1")).await;
    let migration = cluster.begin_migration(slot..=slot, 1 - from).await.unwrap();
    migration.move_keys(1).await.unwrap();
    let port = cluster.address(1 - from).unwrap().port();
    assert_eq!(source.redirection(&format!("GET {key}")).await, Some(("ASK".to_owned(), port)));
    let mut target = Client::of_node(&emulator, 1 - from).await;
    assert_eq!(target.refusal("ASKING").await, "ERR unknown command 'ASKING'");
    migration.finish().await.unwrap();
    assert_eq!(target.run::<u64>(&format!("GET {key}")).await, 1);
}

#[tokio::test]
async fn under_the_enterprise_policy_nothing_is_seen_of_a_cluster() {
    for builder in [Emulator::builder(), Emulator::builder().redis_server()] {
        let emulator = common::start(builder.enterprise_policy()).await;
        let mut client = Client::of_seed(&emulator).await;
        for line in ["CLUSTER SLOTS", "CLUSTER INFO", "CLUSTER NODES", "CLUSTER KEYSLOT foo", "CLUSTER MYID"] {
            assert_eq!(client.refusal(line).await, "ERR command is not allowed", "{line}");
        }
        assert_eq!(client.refusal("READONLY").await, "ERR unknown command 'READONLY'");
        client.run::<()>("SET foo 1").await;
        client.run::<()>("SELECT 0").await;
        assert_eq!(client.run::<Vec<u64>>("MGET foo foo").await, [1, 1]);
    }
}
