//! How the cluster is when it has started, and that nothing is left of it.

use crate::{FOO, both, client::Client, owner, start, three};
use common::{SECOND, eventually, within};
use entra_redis::emulator::{Emulator, NodeRole};
use redis::Value;
use std::path::Path;
use tokio::net::TcpStream;

/// A node in `CLUSTER SLOTS`: address, port, id, and what else there is.
type Named = (String, u16, String, Value);

#[tokio::test]
async fn three_primaries_share_the_slots_and_name_their_fronts() {
    for builder in both() {
        let (emulator, cluster) = start(builder).await;
        let nodes = cluster.nodes().await.unwrap();
        assert_eq!(nodes.len(), 3);
        assert!(nodes.iter().all(|node| node.role == NodeRole::Primary && node.is_live));
        let slots: Vec<_> = nodes.iter().flat_map(|node| node.slots.clone()).flatten().collect();
        assert_eq!(slots, (0..16_384).collect::<Vec<_>>());

        for node in &nodes {
            let mut client = Client::of_node(&emulator, node.index).await;
            let info: String = client.run("CLUSTER INFO").await;
            assert!(info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384"), "{info}");
            let topology: Vec<(u16, u16, Named)> = client.run("CLUSTER SLOTS").await;
            let mut named: Vec<_> = topology.iter().map(|(first, last, node)| (*first..=*last, node.1)).collect();
            named.sort_unstable_by_key(|(range, _)| *range.start());
            let told: Vec<_> = nodes.iter().map(|node| (node.slots[0].clone(), node.address.port())).collect();
            assert_eq!(named, told, "CLUSTER SLOTS of {}", node.index);
            assert!(topology.iter().all(|(.., node)| node.0 == "127.0.0.1"));
        }
    }
}

#[tokio::test]
async fn a_wrong_node_names_the_front_of_the_right_one() {
    for builder in both() {
        let (emulator, cluster) = start(builder).await;
        let (slot, key) = FOO;
        let right = owner(&cluster, slot).await;
        for wrong in [0, 1, 2] {
            let mut client = Client::of_node(&emulator, wrong).await;
            if wrong == right {
                client.run::<()>(&format!("SET {key} 1")).await;
            } else {
                let port = cluster.address(right).unwrap().port();
                assert_eq!(client.redirection(&format!("GET {key}")).await, Some(("MOVED".to_owned(), port)));
            }
        }
        let mut seed = Client::of_seed(&emulator).await;
        let topology: Vec<Value> = seed.run("CLUSTER SLOTS").await;
        assert_eq!(topology.len(), 3);
    }
}

#[tokio::test]
async fn the_certificate_is_for_the_name_and_not_for_the_addresses() {
    for builder in both() {
        let (emulator, cluster) = start(builder).await;
        for node in 0..3 {
            let address = cluster.address(node).unwrap();
            let by_address =
                Client::dial(&emulator, address, "127.0.0.1").await.err().expect("the certificate names no IP");
            assert!(by_address.to_string().contains("certificate"), "{by_address}");
            assert!(Client::dial(&emulator, address, "localhost").await.is_ok());
        }
    }
}

#[tokio::test]
async fn each_node_counts_and_disturbs_its_own_connections() {
    for builder in both() {
        let (emulator, cluster) = start(builder).await;
        let mut first = Client::of_node(&emulator, 0).await;
        let mut second = Client::of_node(&emulator, 1).await;
        first.run::<Value>("CLUSTER INFO").await;
        let counts = |node: usize| {
            let front = cluster.front(node).unwrap();
            (front.connection_count(), front.stats().authentications)
        };
        assert_eq!([0, 1, 2].map(counts), [(1, 1), (1, 1), (0, 0)]);
        assert_eq!(emulator.redis_front().connection_count(), 0);

        let front = cluster.front(0).unwrap();
        front.freeze();
        let late = tokio::spawn(async move { first.run::<String>("PING").await });
        let dialled = Client::dial(&emulator, cluster.address(0).unwrap(), "localhost");
        assert!(tokio::time::timeout(SECOND / 5, dialled).await.is_err(), "a frozen front set up TLS");
        assert_eq!(second.run::<String>("PING").await, "PONG");
        assert!(!late.is_finished());
        front.thaw();
        assert_eq!(within("the reply comes", 5 * SECOND, late).await.unwrap(), "PONG");
        cluster.front(1).unwrap().cut_all();
        second.closed().await;
    }
}

#[tokio::test]
async fn replicas_follow_their_primaries_and_send_clients_there() {
    let (emulator, cluster) = start(Emulator::builder().cluster(2).replicas(1)).await;
    let nodes = cluster.nodes().await.unwrap();
    let roles: Vec<_> = nodes.iter().map(|node| node.role.replica_of()).collect();
    assert_eq!(roles, [None, None, Some(0), Some(1)]);
    let (slot, key) = FOO;
    let primary = owner(&cluster, slot).await;
    let mut client = Client::of_node(&emulator, primary).await;
    client.run::<()>(&format!("SET {key} 1")).await;
    assert_eq!(client.run::<u64>("WAIT 1 5000").await, 1);
    let mut client = Client::of_node(&emulator, primary + 2).await;
    let port = cluster.address(primary).unwrap().port();
    assert_eq!(client.redirection(&format!("GET {key}")).await, Some(("MOVED".to_owned(), port)));
}

#[tokio::test]
async fn nothing_is_left_of_a_cluster_that_is_dropped() {
    let (emulator, cluster) = three().await;
    let client = Client::of_node(&emulator, 0).await;
    let pids: Vec<_> = (0..3).map(|node| cluster.pid(node).unwrap().unwrap()).collect();
    let addresses: Vec<_> = (0..3).map(|node| cluster.address(node).unwrap()).collect();
    drop((emulator, cluster));
    client.closed().await;
    for address in addresses {
        eventually("a port is closed", 5 * SECOND, async || TcpStream::connect(address).await.err()).await;
    }
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}/stat")).exists(), "the redis-server {pid} runs on");
    }
}
