//! Nodes are dialled by address, and verified by name.

use super::*;
use common::{
    SECOND, eventually,
    server::{Certificates, Server},
};
use entra_redis::NodeEndpoint;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

fn config(emulator: &Emulator) -> Config {
    emulator.config().connect_timeout(SECOND)
}

#[tokio::test]
async fn the_certificate_of_another_name_is_refused_on_node_links_too() {
    let emulator = clusters::three(HOUR).await;
    let cluster = emulator.cluster().unwrap().clone();
    let stranger = Server::start_as(&Certificates::for_name("other.example"));
    let (node, port) = (cluster.address(1).unwrap(), stranger.port);
    let tls = entra_redis::Tls::new().ca_pem(format!("{}{}", emulator.ca_pem(), stranger.ca_pem));
    let redis =
        emulator
            .connect(config(&emulator).tls(tls).node_address(move |host, asked| {
                NodeEndpoint::new(host, if asked == node.port() { port } else { asked })
            }))
            .await;
    let stats = redis.manager().stats();
    let refused = stats.nodes.iter().find(|listed| listed.address == node.to_string()).unwrap();
    assert_eq!(refused.open_links, 0);
    let error = refused.last_connect_error.as_ref().unwrap().to_string();
    assert!(error.contains("TLS"), "{error}");
}

#[tokio::test]
async fn a_node_may_have_a_name_of_its_own() {
    let emulator = clusters::three(HOUR).await;
    let wrong = emulator
        .try_connect(
            config(&emulator).node_address(|host, port| NodeEndpoint::new(host, port).server_name("other.example")),
        )
        .await
        .expect_err("no node has that name");
    assert!(wrong.to_string().contains("TLS"), "{wrong}");
    let called = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&called);
    let right = emulator
        .connect(config(&emulator).node_address(move |_, port| {
            noted.store(true, SeqCst);
            NodeEndpoint::new("localhost", port).server_name("localhost")
        }))
        .await;
    nodes_up(&right, 3).await;
    assert!(called.load(SeqCst));
}

/// Another name in its place would be one that the user has not asked for.
#[tokio::test]
async fn a_name_that_is_none_is_an_error_and_so_is_a_map_that_panics() {
    let emulator = clusters::three(HOUR).await;
    let bad_name = |host: &str, port| NodeEndpoint::new(host, port).server_name("node 1");
    let panics = |_: &str, _: u16| -> NodeEndpoint { panic!("a test") };
    for config in [config(&emulator).node_address(bad_name), config(&emulator).node_address(panics)] {
        let error = emulator.try_connect(config).await.expect_err("no node may be dialled");
        assert!(error.to_string().contains("`node_address`"), "{error}");
    }
}

/// The configured name is dialled by the watch, too: with a resolver that panics it goes on.
#[tokio::test]
async fn a_resolver_that_panics_while_a_node_is_dead_closes_nothing() {
    let emulator = clusters::three(HOUR).await;
    let cluster = emulator.cluster().unwrap().clone();
    let panics = Arc::new(AtomicBool::new(false));
    let asked_for_seed = Arc::new(AtomicBool::new(false));
    let (panic, asked, seed) = (Arc::clone(&panics), Arc::clone(&asked_for_seed), emulator.port());
    let resolver = move |_, port| {
        if port == seed && panic.load(SeqCst) {
            asked.store(true, SeqCst);
            panic!("a test");
        }
        std::future::ready(Ok(vec![([127, 0, 0, 1], port).into()]))
    };
    let mut redis = emulator.connect(config(&emulator).resolver(resolver)).await;
    panics.store(true, SeqCst);
    cluster.kill(1).await.unwrap();
    let down = async || redis.manager().stats().nodes.iter().any(|node| node.open_links == 0).then_some(());
    eventually("a node is without links", 5 * SECOND, down).await;
    // After two seconds of that the name is asked.
    let until = tokio::time::Instant::now() + 4 * SECOND;
    while tokio::time::Instant::now() < until {
        let here: String = redis::cmd("ECHO").arg("here").query_async(&mut redis).await.unwrap();
        assert_eq!(here, "here");
        tokio::time::sleep(SECOND / 20).await;
    }
    assert!(asked_for_seed.load(SeqCst), "the name was not asked: the test proves nothing");
    assert!(redis.manager().health().is_alive());
}

#[tokio::test]
async fn sessions_are_resumed_with_each_node() {
    let (_emulator, cluster, redis) = three().await;
    nodes_up(&redis, 3).await;
    for node in 0..3 {
        let front = cluster.front(node).unwrap();
        let before = front.stats();
        front.cut_all();
        eventually("both links are back", 10 * SECOND, async || {
            (front.stats().accepted >= before.accepted + 2).then_some(())
        })
        .await;
        nodes_up(&redis, 3).await;
        assert_eq!(front.stats().resumed - before.resumed, front.stats().accepted - before.accepted, "node {node}");
    }
}
