//! The emulator's clusters behave as Redis Cluster does behind Azure Managed Redis, seen from raw sockets.

mod client;
#[path = "../common/mod.rs"]
mod common;
mod forming;
mod membership;
mod migration;
mod outages;
mod policies;
mod ports;

use common::logs;
use entra_redis::emulator::{Cluster, Emulator, EmulatorBuilder};

/// A slot, and a key in it.
const FOO: (u16, &str) = (12_182, "foo");

async fn start(builder: EmulatorBuilder) -> (Emulator, Cluster) {
    let _logs = logs::watch();
    let emulator = common::start(builder).await;
    let cluster = emulator.cluster().unwrap().clone();
    (emulator, cluster)
}

async fn three() -> (Emulator, Cluster) {
    start(Emulator::builder().cluster(3)).await
}

/// Who serves the slot, as the cluster sees it.
async fn owner(cluster: &Cluster, slot: u16) -> usize {
    let nodes = cluster.nodes().await.unwrap();
    let serves = |ranges: &[std::ops::RangeInclusive<u16>]| ranges.iter().any(|range| range.contains(&slot));
    nodes.iter().find(|node| serves(&node.slots)).expect("somebody serves the slot").index
}
