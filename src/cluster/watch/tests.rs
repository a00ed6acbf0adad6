use super::*;
use crate::{
    admission::Admission,
    cluster::{endpoint::NodeMap, node::Node, nodes::Nodes},
    link::Access,
    pool::{
        Pool,
        fixture::{HOUR, setup},
    },
};
use futures_util::FutureExt;
use std::pin::pin;
use tokio::io::duplex;
use tokio_util::task::TaskTracker;

const SECOND: Duration = Duration::from_secs(1);

/// Whether the topology is asked for because the link of the one node says nothing: to an `AUTH`, or to a command.
async fn asks(auth: bool) -> bool {
    let (setup, shared) = setup(8);
    let (near, _server) = duplex(1 << 16);
    let link = Arc::new(Link::over(1, near, Admission::new(8), HOUR));
    let (pool, roster) = Pool::new(1, Arc::clone(&shared.availability), Arc::clone(&shared.leases));
    roster.publish(vec![Arc::clone(&link)], 1);
    let name = NodeAddress::new("node", 1);
    let node = Node::without_keeper(name.clone(), pool);
    let nodes = Nodes::new(setup.clone(), shared.clone(), TaskTracker::new(), 1, NodeMap::default());
    let cluster = Arc::new(Cluster::still(nodes, &[(0..=16_383, node)]));
    let current = shared.tokens.clone().current().await.unwrap();
    let mut watch = Watch::new(cluster, Seed { setup, name }, shared, HOUR);
    watch.look_around(Instant::now());
    assert!(!watch.pace.start(Instant::now()), "all is well");
    let mut validated = pin!(link.reauthenticate(&current, HOUR));
    let _command = if auth {
        assert!(validated.as_mut().now_or_never().is_none());
        None
    } else {
        link.command(Access::Open, &redis::cmd("PING"), None, false)
    };
    sleep(5 * SECOND).await;
    assert!(link.is_silent());
    watch.look_around(Instant::now());
    watch.pace.start(Instant::now())
}

/// Each rotation would have all clients of a cluster ask otherwise, every second while their tokens are validated.
#[tokio::test(start_paused = true)]
async fn a_node_that_validates_a_token_is_well() {
    assert!(asks(false).await);
    assert!(!asks(true).await);
}
