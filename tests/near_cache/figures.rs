//! The cache is part of the connection manager's figures.

use crate::cached;
use common::server::Server;
use entra_redis::{CacheOptions, Event};
use redis::AsyncCommands;

#[tokio::test]
async fn the_figures_of_all_caches_are_together_those_of_the_manager() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    assert_eq!(redis.manager().stats().cache, None);
    let mut events = redis.manager().events();
    let mut one = cached(&redis, CacheOptions::new()).await;
    let mut two = cached(&redis, CacheOptions::new()).await;
    for _ in 0..4 {
        let _: Option<String> = one.get("key").await.unwrap();
        let _: Option<String> = two.get("key").await.unwrap();
    }
    let (first, second) = (one.stats(), two.stats());
    assert_eq!((first.hits, first.misses, first.entries), (3, 1, 1));
    assert!((first.hit_ratio() - 0.75).abs() < 1e-9);
    let all = redis.manager().stats().cache.unwrap();
    assert_eq!((all.hits, all.misses, all.entries, all.bytes), (6, 2, 2, first.bytes + second.bytes));
    assert_eq!((all.max_bytes, all.tracking.len()), (2 * (64 << 20), 2));
    let told = loop {
        if let Event::CacheTracking { node, .. } = events.recv().await.unwrap() {
            break node;
        }
    };
    assert_eq!(*told, *first.tracking[0].node);
    // What has been counted stays counted.
    drop(two);
    let all = redis.manager().stats().cache.unwrap();
    assert_eq!((all.hits, all.misses, all.entries, all.tracking.len()), (6, 2, 1, 1));
}

#[tokio::test]
async fn nothing_that_is_kept_shows_in_what_is_printed() {
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    let _: () = cached.set("a-secret-key", "a-secret-value").await.unwrap();
    crate::settled(&mut cached, &common::cmd("GET a-secret-key")).await;
    let printed = format!("{cached:?} {:?}", redis.manager().stats());
    assert!(!printed.contains("a-secret"), "{printed}");
}

/// An `MGET` that the connections of the nodes answer is a command as any other one; one from memory is none.
#[cfg(feature = "metrics")]
#[tokio::test]
async fn an_mget_that_is_read_is_recorded() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().unwrap();
    let server = Server::start();
    let redis = server.up(server.config(), 2).await;
    let mut cached = cached(&redis, CacheOptions::new()).await;
    let recorded = || {
        let text = recorder.render();
        // Other tests of this program have their commands in the same recorder.
        let labels = ["\"MGET\"".to_owned(), format!("server_port=\"{}\"", server.port)];
        let is_it = |line: &&str| {
            line.starts_with("db_client_operation_duration_count{") && labels.iter().all(|label| line.contains(label))
        };
        let line = text.lines().find(is_it).unwrap_or("0").to_owned();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    for _ in 0..3 {
        let _: Vec<Option<String>> = cached.mget(&["a", "b"]).await.unwrap();
        assert_eq!(recorded(), 1);
    }
    let _: () = cached.lpush("list", 1).await.unwrap();
    // It goes on to the other connections, where it is recorded.
    let _: Vec<Option<String>> = cached.mget(&["a", "list"]).await.unwrap();
    assert_eq!(recorded(), 2);
}
