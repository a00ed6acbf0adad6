//! Nodes that are added, removed and replaced.

use crate::{FOO, both, client::Client, owner, start, three};
use std::time::Duration;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_node_is_added_gets_slots_and_is_removed() {
    let (emulator, cluster) = three().await;
    let (slot, key) = FOO;
    let from = owner(&cluster, slot).await;
    Client::of_node(&emulator, from).await.run::<()>(&format!("SET {key} kept")).await;
    let new = cluster.add_node().await.unwrap();
    assert_eq!(new, 3);
    assert_eq!(cluster.nodes().await.unwrap()[new].slots, []);
    cluster.move_slots(slot - 5..=slot, new).await.unwrap();
    let mut client = Client::of_node(&emulator, new).await;
    assert_eq!(client.run::<String>(&format!("GET {key}")).await, "kept");

    let (address, pid) = (cluster.address(new).unwrap(), cluster.pid(new).unwrap().unwrap());
    cluster.remove_node(new).await.unwrap();
    client.closed().await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(!std::path::Path::new(&format!("/proc/{pid}/stat")).exists());
    assert!(cluster.address(new).is_err());
    let heir = owner(&cluster, slot).await;
    let mut client = Client::of_node(&emulator, heir).await;
    assert_eq!(client.run::<String>(&format!("GET {key}")).await, "kept");
    assert!(!client.run::<String>("CLUSTER NODES").await.contains(&address.to_string()));
}

#[tokio::test]
async fn every_node_is_replaced_one_after_the_other() {
    let node_timeout = Duration::from_millis(500);
    for builder in both().map(|builder| builder.node_timeout(node_timeout)) {
        let (emulator, cluster) = start(builder).await;
        let (slot, key) = FOO;
        let from = owner(&cluster, slot).await;
        Client::of_node(&emulator, from).await.run::<()>(&format!("SET {key} kept")).await;
        let before = cluster.nodes().await.unwrap();
        for node in 0..3 {
            assert_eq!(cluster.replace_node(node).await.unwrap(), node + 3);
        }
        let nodes = cluster.nodes().await.unwrap();
        assert_eq!(nodes.iter().map(|node| node.index).collect::<Vec<_>>(), [3, 4, 5]);
        for (old, new) in before.iter().zip(&nodes) {
            assert_eq!(old.slots, new.slots);
            assert_ne!(old.address, new.address);
        }
        let mut client = Client::of_seed(&emulator).await;
        client.run::<redis::Value>("CLUSTER SLOTS").await;
        let mut client = Client::of_node(&emulator, owner(&cluster, slot).await).await;
        assert_eq!(client.run::<String>(&format!("GET {key}")).await, "kept");
    }
}

#[tokio::test]
async fn replicas_are_added_and_follow_the_heir_of_a_node_that_is_removed() {
    let (_emulator, cluster) = three().await;
    let replica = cluster.add_replica(0).await.unwrap();
    let role = |nodes: &[entra_redis::emulator::ClusterNode], index| {
        nodes.iter().find(|node| node.index == index).unwrap().role.replica_of()
    };
    assert_eq!(role(&cluster.nodes().await.unwrap(), replica), Some(0));
    cluster.remove_node(0).await.unwrap();
    assert_eq!(role(&cluster.nodes().await.unwrap(), replica), Some(1));
    cluster.replace_node(replica).await.unwrap();
    assert_eq!(role(&cluster.nodes().await.unwrap(), replica + 1), Some(1));
}
