//! A cluster whose topology names IPv6 addresses.

use super::{traffic::keys_of, *};
use common::{SECOND, eventually};
use redis::AsyncCommands;
use std::net::{Ipv4Addr, Ipv6Addr};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Passes on what comes to a port by IPv6 to the same port by IPv4.
async fn bridge(port: u16, running: &mut JoinSet<()>) {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await.unwrap();
    running.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            connections.spawn(async move {
                if let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                    // Whichever side breaks it off, the other one sees it end.
                    _ = copy_bidirectional(&mut near, &mut far).await;
                }
            });
            while connections.try_join_next().is_some() {}
        }
    });
}

/// Lets all nodes announce `::1`, to clients and to each other.
async fn announce(cluster: &Cluster, running: &mut JoinSet<()>) {
    let mut nodes = Vec::new();
    for node in 0..3 {
        let tls: (String, u16) = behind(cluster, node, "CONFIG GET tls-port").await;
        let bus: (String, u16) = behind(cluster, node, "CONFIG GET cluster-announce-bus-port").await;
        for port in [cluster.address(node).unwrap().port(), tls.1, bus.1] {
            bridge(port, running).await;
        }
        nodes.push(node);
    }
    for node in &nodes {
        behind::<()>(cluster, *node, "CONFIG SET cluster-announce-ip ::1").await;
    }
    for node in nodes {
        eventually("all nodes go by IPv6 addresses", 20 * SECOND, async || {
            let text: String = behind(cluster, node, "CLUSTER NODES").await;
            let is_up = |line: &str| line.contains(" ::1:") && line.contains(" connected ");
            (text.lines().count() == 3 && text.lines().all(is_up)).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_dialled_and_followed_by_ipv6_addresses() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_err() {
        eprintln!("this machine has no IPv6: nothing is tested");
        return;
    }
    let emulator = clusters::three(HOUR).await;
    let (cluster, mut bridges) = (emulator.cluster().unwrap().clone(), JoinSet::new());
    announce(&cluster, &mut bridges).await;
    let mut redis = connect(&emulator, |config| config).await;
    nodes_up(&redis, 3).await;
    let stats = redis.manager().stats();
    let mut named: Vec<_> = stats.nodes.iter().map(|node| node.address.clone()).collect();
    let mut expected: Vec<_> = (0..3).map(|node| format!("[::1]:{}", cluster.address(node).unwrap().port())).collect();
    named.sort();
    expected.sort();
    assert_eq!(named, expected);
    let pairs: Vec<_> = (0..100).map(|number| (format!("key:{number}"), number)).collect();
    let keys: Vec<_> = pairs.iter().map(|(key, _)| key).collect();
    let _: () = redis.mset(&pairs).await.unwrap();
    assert_eq!(redis.mget::<_, Vec<i64>>(&keys).await.unwrap(), (0..100).collect::<Vec<_>>());

    // `ASK` and `MOVED` name them without brackets, the address and the port parted by the last colon.
    let key = keys_of(&cluster, 0, 1).await.remove(0);
    let slot = traffic::slot_of(&key);
    let _: () = redis.set(&key, 1).await.unwrap();
    let migration = cluster.begin_migration(slot..=slot, 1).await.unwrap();
    let fresh = format!("{{{key}}}:fresh");
    let _: () = redis.set(&fresh, 2).await.unwrap();
    migration.finish().await.unwrap();
    assert_eq!(redis.get::<_, i64>(&key).await.unwrap(), 1);
    assert_eq!(redis.get::<_, i64>(&fresh).await.unwrap(), 2);

    // One that cannot be reached is named so that its address can be told from its port.
    let address = format!("[::1]:{}", cluster.address(2).unwrap().port());
    cluster.kill(2).await.unwrap();
    eventually("health names the node", 10 * SECOND, async || {
        redis.manager().health().to_string().contains(&address).then_some(())
    })
    .await;
}
