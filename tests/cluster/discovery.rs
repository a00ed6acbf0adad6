//! What `connect` finds out, from whoever answers, or does not.

use super::*;
use common::{Azure, SECOND, ports::Refusing, scripted::Scripted, within};
use entra_redis::{Error, ErrorKind, NodeEndpoint, Topology};
use redis::{AsyncCommands, Value, pipe};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

fn config(emulator: &Emulator) -> Config {
    emulator.config().token_manager(common::by_ratio(0.5))
}

async fn refused(emulator: &Azure, config: Config) -> Error {
    within("connect ends", 20 * SECOND, emulator.try_connect(config)).await.expect_err("there is no such connection")
}

/// One node, four links.
async fn assert_single(redis: &EntraRedis) {
    common::links_up(redis, 4).await;
    let stats = redis.manager().stats();
    assert_eq!((stats.nodes.len(), stats.pool_size), (1, 4));
    assert!(stats.nodes[0].slots.is_empty());
    let _: () = redis.clone().set("key", 1).await.unwrap();
}

#[tokio::test]
async fn whoever_refuses_to_answer_is_a_single_endpoint() {
    for builder in [
        Emulator::builder(),
        Emulator::builder().redis_server(),
        Emulator::builder().enterprise_policy(),
        Emulator::builder().redis_server().enterprise_policy(),
    ] {
        let emulator = common::start(builder).await;
        let redis = emulator.connect(config(&emulator)).await;
        assert_single(&redis).await;
    }
}

#[tokio::test]
async fn a_user_who_may_not_ask_has_a_single_endpoint() {
    let emulator = common::start(Emulator::builder().cluster(1)).await;
    let cluster = emulator.cluster().unwrap().clone();
    behind::<()>(&cluster, 0, "ACL SETUSER default -cluster").await;
    let redis = emulator.connect(config(&emulator)).await;
    assert_single(&redis).await;
    let error = refused(&emulator, config(&emulator).topology(Topology::OssCluster)).await;
    assert!(error.to_string().contains("NOPERM"), "{error}");
}

#[tokio::test]
async fn a_cluster_that_is_none_is_an_error() {
    for builder in [Emulator::builder(), Emulator::builder().redis_server(), Emulator::builder().enterprise_policy()] {
        let emulator = common::start(builder).await;
        let error = refused(&emulator, config(&emulator).topology(Topology::OssCluster)).await;
        assert!(error.to_string().contains("OssCluster") && error.to_string().contains("Topology::Auto"), "{error}");
    }
    let emulator = clusters::three(HOUR).await;
    nodes_up(&emulator.connect(config(&emulator).topology(Topology::OssCluster)).await, 3).await;
}

#[tokio::test]
async fn a_cluster_that_is_taken_for_a_single_endpoint_says_what_to_set() {
    let emulator = clusters::three(HOUR).await;
    let mut redis = emulator.connect(config(&emulator).topology(Topology::SingleEndpoint)).await;
    // The emulator's endpoint leads to the node 0.
    let (here, elsewhere) = ("key:0", "key:1");
    let slots = [here, elsewhere].map(traffic::slot_of);
    assert!(slots[0] <= 5460 && slots[1] > 5460, "{slots:?}");
    let script = redis::cmd("EVAL").arg("return 1").arg(1).arg(elsewhere).clone();
    let errors = [
        script.query_async::<Value>(&mut redis).await.unwrap_err(),
        redis.set::<_, _, ()>(elsewhere, 1).await.unwrap_err(),
        pipe().set(here, 1).set(elsewhere, 1).query_async::<Value>(&mut redis).await.unwrap_err(),
        pipe().atomic().set(elsewhere, 1).query_async::<Value>(&mut redis).await.unwrap_err(),
        pipe().atomic().set(here, 1).set(elsewhere, 1).query_async::<Value>(&mut redis).await.unwrap_err(),
    ];
    for (number, error) in errors.into_iter().enumerate() {
        let text = error.to_string();
        assert!(text.contains("Topology::Auto"), "{number}: {text} ({error:?})");
    }
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_yet_is_asked_again() {
    let emulator = clusters::three(HOUR).await;
    let cluster = emulator.cluster().unwrap().clone();
    behind::<()>(&cluster, 0, "CLIENT PAUSE 3000 ALL").await;
    let began = Instant::now();
    let redis = emulator.connect(config(&emulator)).await;
    assert!(began.elapsed() > 2 * SECOND, "it was asked while it did not answer");
    nodes_up(&redis, 3).await;
}

/// A server that is just loading its data does not say yet what it is. Once it is known, whoever is loading changes
/// nothing.
#[tokio::test]
async fn a_server_that_is_loading_is_asked_again() {
    for topology in [Topology::Auto, Topology::OssCluster] {
        let (asked, own_port) = (Arc::new(AtomicUsize::new(0)), Arc::new(OnceLock::<u16>::new()));
        let (count, port) = (Arc::clone(&asked), Arc::clone(&own_port));
        let server = Scripted::start(move |_, words| {
            let line = match words[0].as_str() {
                "PING" => "+PONG".to_owned(),
                "CLUSTER" => match count.fetch_add(1, SeqCst) {
                    2 => {
                        let port = port.get().expect("nobody connects before");
                        format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:{port}")
                    }
                    _ => "-LOADING Redis is loading the dataset in memory".to_owned(),
                },
                _ => "+here".to_owned(),
            };
            async move { Some(format!("{line}\r\n").into_bytes()) }
        })
        .await;
        own_port.set(server.port()).unwrap();
        let config = server.config().topology(topology).topology_refresh_interval(SECOND);
        let mut redis = within("it is known what it is", 10 * SECOND, server.connect(config)).await;
        assert_eq!(asked.load(SeqCst), 3, "{topology:?}");
        let slots = |redis: &EntraRedis| redis.manager().stats().nodes[0].slots.clone();
        assert_eq!(slots(&redis), [0..=16383]);
        common::eventually("it is asked by and by", 10 * SECOND, async || (asked.load(SeqCst) > 6).then_some(())).await;
        assert_eq!(slots(&redis), [0..=16383]);
        assert_eq!(redis.get::<_, String>("key").await.unwrap(), "here");
    }
}

/// `CLUSTERDOWN` is what a cluster says, and only for a while; a cluster may have been formed, and have no slots yet.
#[tokio::test]
async fn a_cluster_that_is_not_ready_is_named_as_the_reason() {
    for (line, reason) in [
        ("-LOADING Redis is loading the dataset in memory", "LOADING"),
        ("-CLUSTERDOWN The cluster is down", "CLUSTERDOWN"),
        ("*0", "no node has any slots yet"),
    ] {
        let server = Scripted::start(move |_, words| {
            let line = if words[0] == "PING" { "+PONG" } else { line };
            async move { Some(format!("{line}\r\n").into_bytes()) }
        })
        .await;
        let config = server.config().startup_timeout(2 * SECOND);
        let connect = EntraRedis::connect("localhost", server.port(), config);
        let error = within("connect ends", 10 * SECOND, connect).await.expect_err("it is no single endpoint");
        assert!(matches!(error.kind(), ErrorKind::Timeout(_)), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn nodes_that_cannot_be_reached_are_an_error_in_time_with_a_hint() {
    let emulator = clusters::three(HOUR).await;
    let cluster = emulator.cluster().unwrap().clone();
    let nobody = Refusing::new();
    let closed = nobody.address.port();
    // Closed ports, and ports that say nothing.
    for frozen in [false, true] {
        let mut config = config(&emulator).connect_timeout(SECOND);
        if frozen {
            (0..3).for_each(|node| cluster.front(node).unwrap().freeze());
        } else {
            config = config.node_address(move |host, _| NodeEndpoint::new(host, closed));
        }
        let began = Instant::now();
        let error = refused(&emulator, config).await;
        assert!(began.elapsed() < 3 * SECOND, "{frozen}: {:?}", began.elapsed());
        let text = format!("{error}");
        assert_eq!(matches!(error.kind(), ErrorKind::Timeout(_)), frozen, "{error:?}");
        assert!(text.contains("8500") && text.contains("Enterprise"), "{text}");
        assert!(text.contains("127.0.0.1"), "{text}");
    }
}

#[tokio::test]
async fn with_one_node_missing_the_others_serve_and_it_is_named() {
    let emulator = clusters::three(HOUR).await;
    let cluster = emulator.cluster().unwrap().clone();
    let nobody = Refusing::new();
    let (missing, closed) = (cluster.address(1).unwrap(), nobody.address.port());
    let config = config(&emulator)
        .connect_timeout(SECOND)
        .node_address(move |host, port| NodeEndpoint::new(host, if port == missing.port() { closed } else { port }));
    let began = Instant::now();
    let mut redis = emulator.connect(config).await;
    assert!(began.elapsed() < 3 * SECOND, "{:?}", began.elapsed());
    let health = redis.manager().health();
    assert!(health.is_ready() && health.to_string().starts_with("degraded"), "{health}");
    assert!(health.to_string().contains(&missing.to_string()), "{health}");
    let key = traffic::keys_of(&cluster, 0, 1).await.remove(0);
    let _: () = redis.set(key, 1).await.unwrap();
    let listed = redis.manager().stats().nodes;
    let listed = listed.iter().find(|node| node.address == missing.to_string()).unwrap();
    assert_eq!(listed.open_links, 0);
    assert!(listed.last_connect_error.is_some());
}

#[tokio::test]
async fn each_node_has_so_many_links_as_are_wished() {
    let emulator = clusters::three(HOUR).await;
    let cluster = emulator.cluster().unwrap().clone();
    for links in [1, 3] {
        let redis = emulator.connect(config(&emulator).pool_size(links)).await;
        common::links_up(&redis, 3 * links).await;
        for node in 0..3 {
            assert_eq!(cluster.front(node).unwrap().connection_count(), links);
        }
        common::eventually("the first connection, which is not needed any more, has ended", 5 * SECOND, async || {
            (emulator.redis_front().connection_count() == 0).then_some(())
        })
        .await;
        redis.manager().shutdown().await;
    }
}
