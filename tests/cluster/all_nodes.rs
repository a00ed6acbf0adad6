//! Commands for all nodes, when one of them cannot be reached: what the others say is not all.

use super::*;
use common::{SECOND, eventually};
use redis::{AsyncCommands, Value};

#[tokio::test]
async fn a_node_that_is_dead_is_not_counted_as_another_one() {
    let (_emulator, cluster, mut redis) =
        start(Emulator::builder().embedded_cluster(3), |config| config.command_timeout(SECOND)).await;
    for number in 0..100 {
        let _: () = redis.set(format!("key:{number}"), number).await.unwrap();
    }
    let dead = cluster.address(1).unwrap().to_string();
    cluster.kill(1).await.unwrap();
    eventually("it is known to be dead", 5 * SECOND, async || {
        let nodes = redis.manager().stats().nodes;
        nodes.iter().any(|node| node.address == dead && node.last_connect_error.is_some()).then_some(())
    })
    .await;
    for line in ["DBSIZE", "KEYS *", "FLUSHALL", "INFO server"] {
        let error = common::cmd(line).query_async::<Value>(&mut redis).await.unwrap_err();
        assert!(error.is_timeout() && error.to_string().contains(&dead), "{line}: {error}");
    }
    // Not a byte of its part has left.
    let pairs: Vec<_> = (0..9).map(|number| (format!("key:{number}"), number)).collect();
    let error = redis.mset::<_, _, ()>(&pairs).await.unwrap_err().to_string();
    assert!(error.contains("it was done for") && error.contains("it was not done for"), "{error}");
    assert!(!error.contains("may have been done"), "{error}");
}
