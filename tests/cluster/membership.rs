//! Nodes that come, go, and change their ports.

use super::{traffic::*, *};
use common::{SECOND, eventually, load::Load, tasks};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_are_added_and_removed_and_nothing_of_them_stays() {
    let (_emulator, cluster, redis) = three().await;
    nodes_up(&redis, 3).await;
    let load = Load::start(&redis, 32);
    let node = cluster.add_node().await.unwrap();
    cluster.move_slots(0..=200, node).await.unwrap();
    touch(&redis, &cluster, node).await;
    nodes_up(&redis, 4).await;
    let address = cluster.address(node).unwrap().to_string();
    eventually("it is listed by its address and its slots", 5 * SECOND, async || {
        let stats = redis.manager().stats();
        let added = stats.nodes.iter().find(|node| node.address == address)?;
        let links = stats.links.iter().filter(|link| link.node == address).count();
        (added.slots == [0..=200] && (added.links, links) == (2, 2)).then_some(())
    })
    .await;
    let front = cluster.front(node).unwrap();
    let alive = tasks();

    cluster.remove_node(node).await.unwrap();
    let removed = Instant::now();
    nodes_up(&redis, 3).await;
    eventually("its tasks have ended", 5 * SECOND, async || (tasks() < alive).then_some(())).await;
    eprintln!("forgotten {:?} after it was removed", removed.elapsed());
    assert!(removed.elapsed() < 4 * SECOND);
    let dials = (front.stats().accepted, redis.manager().counters().dial_failures);
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!((front.stats().accepted, redis.manager().counters().dial_failures), dials, "it is dialed yet");
    let report = load.stop().await;
    report.assert_unharmed();
    assert_eq!(redis.manager().health().to_string(), "healthy");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_are_replaced_one_after_the_other() {
    let (_emulator, cluster, redis) = three().await;
    nodes_up(&redis, 3).await;
    let load = Load::start(&redis, 16);
    for node in 0..3 {
        cluster.replace_node(node).await.unwrap();
    }
    load.stop().await.assert_unharmed();
    nodes_up(&redis, 3).await;
    let mut listed: Vec<_> = redis.manager().stats().nodes.into_iter().map(|node| node.address).collect();
    listed.sort();
    let mut expected: Vec<_> = cluster.nodes().await.unwrap().iter().map(|node| node.address.to_string()).collect();
    expected.sort();
    assert_eq!(listed, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_port_is_found() {
    let (_emulator, cluster, redis) = three().await;
    nodes_up(&redis, 3).await;
    let theirs = Traffic::on_node(&redis, &cluster, 1, 8).await;
    let others = Traffic::on_node(&redis, &cluster, 0, 8).await;
    theirs.progress().await;
    others.progress().await;
    cluster.change_port(1).await.unwrap();
    let changed = Instant::now();
    let recovered = theirs.success_since(changed, 10 * SECOND).await;
    eprintln!("one port changed: served again {:?} after all nodes agreed", recovered - changed);
    assert!(recovered - changed < 3 * SECOND);
    theirs.progress().await;
    nodes_up(&redis, 3).await;
    assert_unharmed(&others.stop().await);
    for done in theirs.stop().await {
        assert!(done.error.is_none_or(|error| error.is_connection_dropped()));
    }
}

/// As after patching: of all addresses that were known, only the configured name still leads anywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_ports_change_at_once_and_the_name_leads_to_the_new_ones() {
    let emulator = clusters::three(HOUR).await;
    let cluster = emulator.cluster().unwrap().clone();
    let (seed, asked) = (Arc::new(Mutex::new(cluster.address(0).unwrap())), Arc::new(AtomicUsize::new(0)));
    let redis = {
        let (seed, asked) = (Arc::clone(&seed), Arc::clone(&asked));
        connect(&emulator, |config| {
            config.resolver(move |host, _port| {
                assert_eq!(host, "localhost", "addresses are not looked up");
                asked.fetch_add(1, SeqCst);
                let address: SocketAddr = *seed.lock().unwrap();
                async move { Ok(vec![address]) }
            })
        })
        .await
    };
    nodes_up(&redis, 3).await;
    let before = asked.load(SeqCst);
    let traffic: Vec<_> = (0..64).map(|number| format!("key:{number}")).collect();
    let traffic = Traffic::on_keys(&redis, traffic);
    traffic.progress().await;
    // At one moment, so that no node is left that could tell of the others.
    let fronts: Vec<_> = (0..3).map(|node| cluster.front(node).unwrap()).collect();
    for front in &fronts {
        front.refuse_connections(true);
        front.cut_all();
    }
    cluster.change_all_ports().await.unwrap();
    for front in &fronts {
        front.refuse_connections(false);
    }
    *seed.lock().unwrap() = cluster.address(0).unwrap();
    let changed = Instant::now();
    nodes_up(&redis, 3).await;
    let up = changed.elapsed();
    let recovered = traffic.success_since(changed, 10 * SECOND).await;
    eprintln!("all ports changed: all nodes up after {up:?}, first command served after {:?}", recovered - changed);
    assert!(up < 5 * SECOND, "{up:?}");
    assert!(asked.load(SeqCst) > before, "the name was not resolved again");
    traffic.progress().await;
    for done in traffic.stop().await {
        assert!(done.error.is_none_or(|error| error.is_connection_dropped()));
    }
}

/// The cluster lists a dead node for as long as it likes; the name is asked about it, and not all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_is_asked_about_a_node_that_is_listed_and_dead() {
    let (emulator, cluster, redis) = three().await;
    nodes_up(&redis, 3).await;
    let asked = || emulator.redis_front().stats().accepted;
    let (before, others) = (asked(), Traffic::on_node(&redis, &cluster, 0, 4).await);
    cluster.kill(2).await.unwrap();
    let killed = Instant::now();
    eventually("the name is asked", 10 * SECOND, async || (asked() > before).then_some(())).await;
    let after = killed.elapsed();
    assert!(after > 3 * SECOND / 2 && after < 6 * SECOND, "asked {after:?} after its death");
    tokio::time::sleep(5 * SECOND).await;
    assert!(asked() - before <= 8, "asked {} times", asked() - before);
    assert_unharmed(&others.stop().await);
    let health = redis.manager().health();
    assert!(health.to_string().contains(&cluster.address(2).unwrap().to_string()), "{health}");
    cluster.restart(2).await.unwrap();
    nodes_up(&redis, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_sign_the_topology_is_asked_for_each_interval() {
    let (_emulator, cluster, redis) = three_of(HOUR, |config| config.topology_refresh_interval(SECOND)).await;
    nodes_up(&redis, 3).await;
    let commands = || (0..3).map(|node| cluster.front(node).unwrap().stats().commands).sum::<u64>();
    // Links say something first. Between two questions there is more time than this.
    let (mut before, mut since) = (commands(), Instant::now());
    let quiet = async || {
        let now = commands();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        (since.elapsed() > SECOND / 2).then_some(())
    };
    eventually("links have said what they say first", 10 * SECOND, quiet).await;
    tokio::time::sleep(10 * SECOND).await;
    let asked = commands() - before;
    assert!((7..=12).contains(&asked), "{asked} commands in 10 s");
}

/// The configured endpoint is needed to begin with, and when nobody else is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_endpoint_it_goes_on_by_the_nodes() {
    let (emulator, cluster, redis) = three_of(2 * SECOND, |config| config).await;
    nodes_up(&redis, 3).await;
    emulator.stop_listening();
    let load = Load::start(&redis, 8);
    let node = cluster.add_node().await.unwrap();
    cluster.move_slots(0..=100, node).await.unwrap();
    touch(&redis, &cluster, node).await;
    nodes_up(&redis, 4).await;
    cluster.front(1).unwrap().cut_all();
    nodes_up(&redis, 4).await;
    let report = load.stop().await;
    assert!(report.failures.iter().all(|failure| failure.error.is_connection_dropped()));
    common::rotations(&redis, 2, 10 * SECOND).await;
    common::all_current(&redis).await;
}
