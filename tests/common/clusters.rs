//! Clusters that are there when a test asks for one.
//!
//! A primary of a Redis Cluster takes no writes for two seconds after its start, whatever it knows by then
//! (`CLUSTER_WRITABLE_DELAY`). So a program with several tests on clusters has the next ones started while the tests
//! before them run, on threads of their own. Those that nobody asks for end with the program.

use super::{Azure, fixture::NEEDED};
use entra_redis::emulator::{ClusterNode, Emulator, EmulatorBuilder, NodeRole};
use std::{
    collections::VecDeque,
    io,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::{self, Runtime},
    task::JoinHandle,
};

/// Those that a busy machine spoils are made anew, so many times.
const ATTEMPTS: usize = 3;

/// It goes on from one test to the next, which have runtimes of their own.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// As many as tests that run at once, so that each of them finds one.
static OF_THREE: Stock = Stock::new(3, || Emulator::builder().cluster(3));
/// Six servers each, which watch each other closely.
static WITH_REPLICAS: Stock =
    Stock::new(1, || Emulator::builder().cluster(3).replicas(1).node_timeout(Duration::from_millis(500)));

/// Three primaries, and tokens of this lifetime.
pub async fn three(token_lifetime: Duration) -> Azure {
    OF_THREE.take(token_lifetime).await
}

/// The same, each with a replica, which takes its place half a second after its end.
pub async fn with_replicas(token_lifetime: Duration) -> Azure {
    WITH_REPLICAS.take(token_lifetime).await
}

struct Stock {
    kind: fn() -> EmulatorBuilder,
    /// How many are started ahead.
    ahead: usize,
    shelf: Mutex<Shelf>,
}

struct Shelf {
    starting: VecDeque<JoinHandle<io::Result<Emulator>>>,
    asked: usize,
}

impl Stock {
    const fn new(ahead: usize, kind: fn() -> EmulatorBuilder) -> Self {
        Self { kind, ahead, shelf: Mutex::new(Shelf { starting: VecDeque::new(), asked: 0 }) }
    }

    async fn take(&self, token_lifetime: Duration) -> Azure {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match as_started(self.next().await.unwrap()).await {
                Ok(emulator) => {
                    emulator.identity().set_token_lifetime(token_lifetime);
                    return Azure::of(emulator);
                }
                Err(error) => last = Some(error),
            }
        }
        panic!("{NEEDED}: {last:?}");
    }

    fn next(&self) -> JoinHandle<io::Result<Emulator>> {
        let start = || RUNTIME.spawn((self.kind)().start());
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let next = shelf.starting.pop_front().unwrap_or_else(start);
        shelf.asked += 1;
        // A test that runs alone needs no other one.
        let ahead = if shelf.asked > 1 { self.ahead } else { 0 };
        while shelf.starting.len() < ahead {
            shelf.starting.push_back(start());
        }
        next
    }
}

/// On a machine that is busy enough a replica has taken the place of a primary that only was late.
async fn as_started(emulator: io::Result<Emulator>) -> io::Result<Emulator> {
    let emulator = emulator?;
    let nodes = emulator.nodes().await?;
    let is_as_started = |node: &ClusterNode| (node.role == NodeRole::Primary) == (node.index < 3);
    if nodes.iter().all(is_as_started) { Ok(emulator) } else { Err(io::Error::other(format!("{nodes:?}"))) }
}
