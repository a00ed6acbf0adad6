//! Nodes that die, stop, come back, and take each other's place.

use crate::{FOO, client::Client, owner, start};
use common::{SECOND, within};
use entra_redis::emulator::{Cluster, Emulator};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

async fn with_replicas() -> (common::Azure, Cluster) {
    start(Emulator::builder().cluster(3).replicas(1).node_timeout(Duration::from_millis(500))).await
}

#[tokio::test]
async fn a_replica_takes_over_from_a_primary_that_is_killed() {
    let (emulator, cluster) = with_replicas().await;
    let (slot, key) = FOO;
    let primary = owner(&cluster, slot).await;
    let mut client = Client::of_node(&emulator, primary).await;
    client.run::<()>(&format!("SET {key} kept")).await;
    assert_eq!(client.run::<u64>("WAIT 1 5000").await, 1);

    let began = Instant::now();
    cluster.kill(primary).await.unwrap();
    client.closed().await;
    let refused = TcpStream::connect(cluster.address(primary).unwrap()).await;
    assert!(refused.is_err(), "the port of a dead node is open");
    let heir = cluster.promoted(primary).await.unwrap();
    assert_eq!(heir, primary + 3);
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
    assert_eq!(owner(&cluster, slot).await, heir);
    let mut client = Client::of_node(&emulator, heir).await;
    assert_eq!(client.run::<String>(&format!("GET {key}")).await, "kept");
    assert!(!cluster.nodes().await.unwrap()[primary].is_live);

    cluster.restart(primary).await.unwrap();
    let nodes = cluster.nodes().await.unwrap();
    assert_eq!((nodes[primary].role.replica_of(), nodes[primary].is_live), (Some(heir), true));
    assert!(cluster.restart(primary).await.unwrap_err().to_string().contains("runs"));
}

#[tokio::test]
async fn a_planned_failover_swaps_primary_and_replica_and_back() {
    let (emulator, cluster) = with_replicas().await;
    let (slot, key) = FOO;
    let primary = owner(&cluster, slot).await;
    let mut client = Client::of_node(&emulator, primary).await;
    client.run::<()>(&format!("SET {key} kept")).await;
    let heir = cluster.fail_over(primary).await.unwrap();
    assert_eq!((heir, owner(&cluster, slot).await), (primary + 3, heir));
    // The connection to the old primary lives on.
    let port = cluster.address(heir).unwrap().port();
    assert_eq!(client.redirection(&format!("GET {key}")).await, Some(("MOVED".to_owned(), port)));
    let mut client = Client::of_node(&emulator, heir).await;
    assert_eq!(client.run::<String>(&format!("GET {key}")).await, "kept");
    assert_eq!(cluster.fail_over(heir).await.unwrap(), primary);
}

#[tokio::test]
async fn a_frozen_node_is_silent_and_another_one_takes_over() {
    let (emulator, cluster) = with_replicas().await;
    let mut client = Client::of_node(&emulator, 1).await;
    cluster.freeze(1).await.unwrap();
    let late = tokio::spawn(async move { client.run::<String>("PING").await });
    let tls = Client::dial(&emulator, cluster.address(1).unwrap(), "localhost");
    assert!(tokio::time::timeout(SECOND / 5, tls).await.is_err(), "a frozen node set up TLS");
    let heir = cluster.promoted(1).await.unwrap();
    assert_eq!(heir, 4);
    assert!(!late.is_finished());
    cluster.thaw(1).await.unwrap();
    assert_eq!(within("the reply comes", 5 * SECOND, late).await.unwrap(), "PONG");
    assert_eq!(cluster.nodes().await.unwrap()[1].role.replica_of(), Some(4));
}

/// Without replicas, the others serve their slots on.
#[tokio::test]
async fn a_dead_primary_without_a_replica_takes_its_own_slots_with_it() {
    let (emulator, cluster) = start(Emulator::builder().cluster(3).node_timeout(Duration::from_millis(500))).await;
    let (slot, key) = FOO;
    let primary = owner(&cluster, slot).await;
    let dead = (primary + 1) % 3;
    cluster.kill(dead).await.unwrap();
    let mut client = Client::of_node(&emulator, primary).await;
    client.run::<()>(&format!("SET {key} 1")).await;
    let seed = emulator.redis_front();
    let mut by_seed = Client::of_seed(&emulator).await;
    by_seed.run::<redis::Value>("CLUSTER SLOTS").await;
    assert_eq!(seed.connection_count(), 1);
    cluster.restart(dead).await.unwrap();
    assert_eq!(client.run::<String>(&format!("GET {key}")).await, "1");
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let (_emulator, cluster) = start(Emulator::builder().cluster(1)).await;
    assert_eq!(cluster.kill(7).await.unwrap_err().to_string(), "the cluster has no node 7");
    assert!(cluster.fail_over(0).await.unwrap_err().to_string().contains("has no replica"));
    assert!(cluster.remove_node(0).await.unwrap_err().to_string().contains("last primary"));
    assert!(cluster.promoted(0).await.unwrap_err().to_string().contains("neither killed nor frozen"));
    let plain = common::start(Emulator::builder()).await;
    assert!(plain.cluster().unwrap_err().to_string().contains("not started a cluster"));
    let none = Emulator::builder().cluster(0).start().await.unwrap_err();
    assert!(none.to_string().contains("1 to 16384 primaries"), "{none}");
}
