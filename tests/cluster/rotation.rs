//! New tokens reach every link of every node, and nobody notices.

use super::{traffic::*, *};
use common::{SECOND, all_current, by_ratio, eventually, load::Load, rotations, twice_a_second};
use entra_redis::emulator::AuthFault;
use redis::{AsyncCommands, ProtocolVersion};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rotations_reach_every_link_of_every_node() {
    let (emulator, cluster, redis) = three_of(2 * SECOND, |config| config.token_manager(twice_a_second())).await;
    nodes_up(&redis, 3).await;
    let load = Load::full(&redis, 64);
    rotations(&redis, 10, 40 * SECOND).await;
    all_current(&redis).await;
    load.stop().await.assert_unharmed();
    let counters = redis.manager().counters();
    assert_eq!((counters.reconnects, counters.reauth_failures), (0, 0));
    // One for each rotation, and not for each node.
    assert!(emulator.identity().requests() <= counters.tokens_fetched + 1, "{}", emulator.identity().requests());
    for node in 0..3 {
        let front = cluster.front(node).unwrap();
        assert_eq!((front.stats().expired, front.stats().rejected), (0, 0));
        let connections = front.connections();
        assert_eq!(connections.len(), 2, "node {node}");
        for connection in connections {
            let seen = connection.authentications();
            assert!(seen + 1 >= counters.tokens_fetched, "{node}: {seen} of {} tokens", counters.tokens_fetched);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_appear_in_a_rotation_have_its_token() {
    let (_emulator, cluster, redis) = three_of(3 * SECOND, |config| config).await;
    nodes_up(&redis, 3).await;
    let load = Load::start(&redis, 16);
    for added in 0..2 {
        rotations(&redis, 1, 10 * SECOND).await;
        let node = cluster.add_node().await.unwrap();
        cluster.move_slots(added * 100..=added * 100 + 99, node).await.unwrap();
        touch(&redis, &cluster, node).await;
        eventually("it has links", 10 * SECOND, async || {
            let stats = redis.manager().stats();
            (stats.nodes.len() == 4 + usize::from(added) && stats.nodes.iter().all(|node| node.open_links == 2))
                .then_some(())
        })
        .await;
        all_current(&redis).await;
    }
    rotations(&redis, 2, 20 * SECOND).await;
    all_current(&redis).await;
    load.stop().await.assert_unharmed();
    for node in 0..5 {
        let stats = cluster.front(node).unwrap().stats();
        assert_eq!((stats.expired, stats.rejected), (0, 0), "node {node}");
        assert!(stats.reauths >= 4, "node {node}: {}", stats.reauths);
    }
}

/// The service may take seconds to validate a token, on one node or on all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_validates_slowly_holds_up_nobody() {
    let (_emulator, cluster, redis) = three_of(12 * SECOND, |config| config.token_manager(by_ratio(0.25))).await;
    nodes_up(&redis, 3).await;
    let slow = cluster.front(1).unwrap();
    slow.auth_delay(3 * SECOND);
    let load = Load::start(&redis, 32);
    rotations(&redis, 2, 30 * SECOND).await;
    eventually("the slow node has validated", 20 * SECOND, async || (slow.stats().reauths >= 3).then_some(())).await;
    let report = load.stop().await;
    report.assert_unharmed();
    assert!(report.slowest < SECOND, "a command took {:?}", report.slowest);
    assert_eq!(slow.stats().expired, 0);
    assert_eq!(redis.manager().counters().reconnects, 0);
}

/// As long as Azure may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_validates_for_ten_seconds_holds_up_nobody() {
    const VALIDATION: Duration = Duration::from_secs(10);
    let set = |config: Config| config.token_manager(by_ratio(0.05)).command_timeout(2 * SECOND);
    let (_emulator, cluster, redis) = three_of(60 * SECOND, set).await;
    nodes_up(&redis, 3).await;
    let slow = cluster.front(1).unwrap();
    slow.auth_delay(VALIDATION);
    let theirs = Traffic::on_node(&redis, &cluster, 1, 8).await;
    let others = Traffic::on_node(&redis, &cluster, 0, 8).await;
    let began = Instant::now();
    eventually("its links are on a new token", 40 * SECOND, async || (slow.stats().reauths >= 2).then_some(())).await;
    assert!(began.elapsed() > VALIDATION, "it was validated at once: the test proves nothing");
    let rotated = cluster.front(0).unwrap().stats().reauths;
    assert!(rotated >= 4, "the other nodes have waited: {rotated} re-AUTHs");
    let (theirs, others) = (theirs.stop().await, others.stop().await);
    for (done, limit) in [(&theirs, 2 * SECOND), (&others, SECOND)] {
        assert_unharmed(done);
        assert!(slowest(done) < limit, "a command took {:?}", slowest(done));
    }
    assert_eq!(slow.stats().expired, 0);
    assert_eq!(redis.manager().counters().reconnects, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_waits_for_slow_validation_on_all_nodes() {
    let emulator = clusters::three(HOUR).await;
    let cluster = emulator.cluster().unwrap().clone();
    for node in 0..3 {
        cluster.front(node).unwrap().auth_delay(2 * SECOND);
    }
    let mut redis = connect(&emulator, |config| config.connect_timeout(SECOND)).await;
    let _: () = redis.set("key", 1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_its_node_has_forgotten_is_replaced() {
    let (_emulator, cluster, redis) = three().await;
    nodes_up(&redis, 3).await;
    let traffic = Traffic::on_node(&redis, &cluster, 1, 8).await;
    traffic.progress().await;
    let front = cluster.front(1).unwrap();
    front.connections()[0].deauthenticate();
    eventually("it is replaced", 10 * SECOND, async || (front.stats().accepted >= 3).then_some(())).await;
    nodes_up(&redis, 3).await;
    traffic.progress().await;
    assert_unharmed(&traffic.stop().await);
    for node in [0, 2] {
        assert_eq!(cluster.front(node).unwrap().stats().accepted, 2, "the links to node {node} were well");
    }
}

/// One node refuses a token, the others take it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_refuses_a_token_gets_the_next_one() {
    let (_emulator, cluster, redis) = three_of(4 * SECOND, |config| config).await;
    nodes_up(&redis, 3).await;
    let load = Load::start(&redis, 16);
    cluster.front(2).unwrap().script_auth([AuthFault::WrongPass, AuthFault::WrongPass]);
    rotations(&redis, 3, 20 * SECOND).await;
    all_current(&redis).await;
    load.stop().await.assert_unharmed();
    assert_eq!(cluster.front(2).unwrap().stats().rejected, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_protocol_works_on_a_cluster() {
    let (_emulator, cluster, mut redis) = three_of(2 * SECOND, |config| config.protocol(ProtocolVersion::RESP2)).await;
    nodes_up(&redis, 3).await;
    let load = Load::start(&redis, 8);
    rotations(&redis, 2, 20 * SECOND).await;
    let began = Instant::now();
    let pairs: Vec<_> = (0..50).map(|number| (format!("key:{number}"), number)).collect();
    let _: () = redis.mset(&pairs).await.unwrap();
    let node = cluster.add_node().await.unwrap();
    cluster.move_slots(0..=50, node).await.unwrap();
    let values: Vec<i64> = redis.mget(pairs.iter().map(|(key, _)| key).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(values, (0..50).collect::<Vec<_>>(), "after {:?}", began.elapsed());
    load.stop().await.assert_unharmed();
}
