//! The emulator's clusters behave as Redis Cluster does behind Azure Managed Redis, seen from raw sockets.

mod client;
mod embedded;
mod forming;
mod membership;
mod migration;
#[cfg(target_os = "linux")]
mod orphans;
mod outages;
mod policies;
mod ports;

use common::owner;
use entra_redis::emulator::{Cluster, Emulator, EmulatorBuilder};

/// A slot, and a key in it.
const FOO: (u16, &str) = (12_182, "foo");

async fn start(builder: EmulatorBuilder) -> (common::Azure, Cluster) {
    let emulator = common::start(builder).await;
    let cluster = emulator.cluster().unwrap().clone();
    (emulator, cluster)
}

async fn three() -> (common::Azure, Cluster) {
    start(Emulator::builder().cluster(3)).await
}

/// Clusters of redis-servers and of embedded stores: clients must not be able to tell them apart.
fn both() -> [EmulatorBuilder; 2] {
    [Emulator::builder().cluster(3), Emulator::builder().embedded_cluster(3)]
}
