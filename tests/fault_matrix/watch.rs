//! What must hold at every moment of every cell: bounds, and that nothing panics.

use super::ground::Ground;
use common::{SECOND, logs};
use entra_redis::EntraRedis;
use std::{
    any::Any,
    panic,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Four callers, and what they have given up on its links that are being let go.
const MOST_IN_FLIGHT: usize = 32;

/// Four callers, the keeper, the token actor, a few links and a request for a token.
const MOST_TASKS: usize = 32;

/// On a cluster, a keeper and links for each node, and the watch.
const MOST_TASKS_OF_A_CLUSTER: usize = 48;

/// A link that was replaced is let go when everything on it is answered, or after a second.
const LINGER: Duration = Duration::from_millis(1500);

/// Name of the thread that panicked, and what it said.
static PANICS: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Fails the cell when a bound is exceeded; never ends otherwise.
pub async fn bounds(ground: &Ground, redis: &EntraRedis) {
    let nodes = ground.cell.topology.nodes();
    let (pool, most_tasks) = (ground.cell.pool(), if nodes == 1 { MOST_TASKS } else { MOST_TASKS_OF_A_CLUSTER });
    let mut crowded: Option<Instant> = None;
    loop {
        let stats = redis.manager().stats();
        let in_flight = stats.commands.in_flight;
        assert!(in_flight <= MOST_IN_FLIGHT, "{in_flight} commands in flight");
        let tasks = Handle::current().metrics().num_alive_tasks();
        assert!(tasks <= most_tasks, "{tasks} tasks");
        // A link in each place, and one that is being replaced, or stood in for; those that are being opened count
        // already.
        let (links, dialing, connections) = (stats.links.len(), stats.dialing, ground.proxy().connections());
        let (most, crowd) = (nodes * (pool + 1), stats.nodes.iter().map(|node| node.links).max().unwrap_or_default());
        assert!(crowd <= pool + 1, "{crowd} links to a node in a pool of {pool}");
        assert!(links + dialing <= most, "{links} links and {dialing} to come, {nodes} nodes with a pool of {pool}");
        // What has left is closed once everything on it is answered; how far the proxy has got with that is its
        // business.
        assert!(connections <= 4 * pool, "{connections} connections for a pool of {pool}");
        if connections > pool + 1 {
            let since = *crowded.get_or_insert_with(Instant::now);
            assert!(since.elapsed() < LINGER, "{connections} connections for a pool of {pool}, for {LINGER:?}");
        } else {
            crowded = None;
        }
        let asleep = Instant::now();
        tokio::time::sleep(SECOND / 100).await;
        ground.note_lateness(asleep.elapsed().saturating_sub(SECOND / 100));
    }
}

/// Notes every panic of this process from now on, beside what happens to it anyway.
pub fn note_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let thread = std::thread::current();
        let said = info.to_string();
        logs::check(&said);
        let entry = (thread.name().unwrap_or_default().to_owned(), said);
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        usual(info);
    }));
}

/// What panicked on threads of this name.
pub fn panics_on(thread: &str) -> Vec<String> {
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    panics.iter().filter(|(name, _)| name == thread).map(|(_, said)| said.clone()).collect()
}

/// What a panic that was caught said.
pub fn text(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    said.unwrap_or("a panic without words").to_owned()
}
