//! Nodes whose ports change, and a seed that goes.

use crate::{FOO, both, client::Client, owner, start};
use entra_redis::emulator::Cluster;
use std::net::SocketAddr;
use tokio::net::TcpStream;

fn addresses(cluster: &Cluster) -> Vec<SocketAddr> {
    [0, 1, 2].map(|node| cluster.address(node).unwrap()).to_vec()
}

#[tokio::test]
async fn a_node_that_changes_its_port_is_announced_there_by_all() {
    for builder in both() {
        let (emulator, cluster) = start(builder).await;
        let (slot, key) = FOO;
        let right = owner(&cluster, slot).await;
        let before = addresses(&cluster);
        let connected = Client::of_node(&emulator, right).await;
        let mut others = Client::of_node(&emulator, (right + 1) % 3).await;
        cluster.change_port(right).await.unwrap();
        connected.closed().await;
        assert!(TcpStream::connect(before[right]).await.is_err(), "the old port is open");
        let now = addresses(&cluster);
        assert_eq!((0..3).filter(|node| now[*node] == before[*node]).count(), 2);
        let port = now[right].port();
        assert_eq!(others.redirection(&format!("GET {key}")).await, Some(("MOVED".to_owned(), port)));
        Client::of_node(&emulator, right).await.run::<()>(&format!("SET {key} 1")).await;
        // It is the same port after a crash.
        cluster.kill(right).await.unwrap();
        cluster.restart(right).await.unwrap();
        assert_eq!(others.redirection(&format!("GET {key}")).await, Some(("MOVED".to_owned(), port)));
    }
}

#[tokio::test]
async fn all_ports_change_at_once_and_the_seed_stays() {
    for builder in both() {
        let (emulator, cluster) = start(builder).await;
        let before = addresses(&cluster);
        let mut seed = Client::of_seed(&emulator).await;
        cluster.change_all_ports().await.unwrap();
        let now = addresses(&cluster);
        assert!(now.iter().all(|address| !before.contains(address)));
        let nodes: String = seed.run("CLUSTER NODES").await;
        for (old, new) in before.iter().zip(&now) {
            assert!(nodes.contains(&format!("{new}@")) && !nodes.contains(&format!("{old}@")), "{nodes}");
        }
    }
}

#[tokio::test]
async fn the_seed_goes_for_good_and_the_nodes_stay() {
    for builder in both() {
        let (emulator, _cluster) = start(builder).await;
        let seed = Client::of_seed(&emulator).await;
        let mut node = Client::of_node(&emulator, 0).await;
        emulator.stop_listening();
        seed.closed().await;
        assert!(TcpStream::connect(("127.0.0.1", emulator.port())).await.is_err());
        assert_eq!(node.run::<String>("PING").await, "PONG");
    }
}
