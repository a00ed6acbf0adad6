//! `WAIT`: whether what a handle has written, over whichever of its connections, is on a replica.

use common::{SECOND, cmd, eventually, server::Server};
use redis::{AsyncCommands, Value};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_counts_the_replicas_that_have_all_that_was_written_before() {
    let (primary, replica) = Server::twins();
    let (mut at_primary, mut at_replica) = (primary.admin().await, replica.admin().await);
    replica.follow(&primary).await;
    let redis = primary.up(primary.config(), 4).await;
    let mut con = redis.clone();
    for turn in 0..20 {
        let _: () = con.set("key", turn).await.unwrap();
        assert_eq!(cmd("WAIT 1 5000").query_async::<u64>(&mut con).await.unwrap(), 1);
        assert_eq!(at_replica.ask::<i32>("GET key").await, turn);
    }
    // Nothing of how it is found out is left.
    assert_eq!(cmd("DBSIZE").query_async::<u64>(&mut con).await.unwrap(), 1);

    // It has said that it has all that there was.
    eventually("the replica has said so", 20 * SECOND, async || {
        let replication: String = at_primary.ask("INFO replication").await;
        let told = replication.split("offset=").nth(1)?.split(',').next()?.to_owned();
        replication.contains(&format!("master_repl_offset:{told}\r\n")).then_some(())
    })
    .await;
    // One that takes nothing any more is not counted, and the time is waited for.
    replica.freeze();
    let _: () = con.set("key", "unseen").await.unwrap();
    let began = Instant::now();
    assert_eq!(cmd("WAIT 1 500").query_async::<u64>(&mut con).await.unwrap(), 0);
    assert!(began.elapsed() >= SECOND / 2, "{:?}", began.elapsed());
    // Without a time it waits until the replica has it.
    let mut waits = redis.clone();
    let waiting = tokio::spawn(async move { cmd("WAIT 1 0").query_async::<u64>(&mut waits).await });
    super::blocked(&redis, 1).await;
    replica.thaw();
    assert_eq!(common::within("the replica has it", 20 * SECOND, waiting).await.unwrap().unwrap(), 1);
    let error = cmd("WAIT 1 -1").query_async::<Value>(&mut con).await.unwrap_err();
    assert!(error.to_string().contains("timeout is negative"), "{error}");
}

/// A write of each node's has come to its replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_the_least_of_all_nodes_counts() {
    let (_azure, cluster, redis) = super::cluster::with_replicas(super::HOUR).await;
    let mut con = redis.clone();
    for key in ["a", "b", "c", "d", "e", "f"] {
        let _: () = con.set(key, "x").await.unwrap();
    }
    assert_eq!(cmd("WAIT 1 5000").query_async::<u64>(&mut con).await.unwrap(), 1);
    // The replica of the second primary.
    cluster.freeze(4).await.unwrap();
    assert_eq!(cmd("WAIT 1 300").query_async::<u64>(&mut con).await.unwrap(), 0);
    cluster.thaw(4).await.unwrap();
    assert_eq!(cmd("WAIT 1 10000").query_async::<u64>(&mut con).await.unwrap(), 1);
    assert_eq!(cmd("DBSIZE").query_async::<u64>(&mut con).await.unwrap(), 6);
}
