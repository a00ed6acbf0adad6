//! The fault matrix: topology × stage × behaviour × moment, every cell that can exist.
//!
//! In each one no command outlives its deadline, queues, tasks and links stay bounded, service is back soon after the
//! fault has ended, nothing panics, no secret is logged, and nothing is left after the last handle is dropped. On a
//! cluster the fault is at one of three nodes, and commands to another one neither fail nor take longer.
//!
//! `FAULT_CELL='reset/tls/rotation'` runs one cell alone, `FAULT_SEED=7` draws other moments, garbage and cuts (the
//! jitter within the client is its own), and `FAULT_LIST=1` shows all cells, with the reasons for those that are left
//! out.

mod cells;
mod ground;
mod scenario;
mod watch;

use cells::Cell;
use common::{SECOND, within};
use fastrand::Rng;
use ground::Ground;
use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

/// How many cells can exist, and how many cannot: a change to either is a change to the matrix.
const CELLS: (usize, usize) = (290, 270);

/// Cells wait most of the time.
const AT_ONCE: usize = 16;

/// No cell may take longer.
const CELL_LIMIT: Duration = Duration::from_secs(40);

/// Nor may all of them.
const LIMIT: Duration = Duration::from_secs(360);

const SERVERS: &str = "servers";

#[test]
fn every_fault_at_every_stage_and_moment() {
    watch::note_panics();
    let (cells, left_out) = cells::product();
    assert_eq!((cells.len(), left_out.len()), CELLS);
    if env::var_os("FAULT_LIST").is_some() {
        for cell in &cells {
            println!("{cell}");
        }
        for (cell, why) in &left_out {
            println!("left out: {cell}: {why}");
        }
    }
    let seed = env::var("FAULT_SEED").map_or(1, |seed| seed.parse().expect("FAULT_SEED is a number"));
    let wanted = env::var("FAULT_CELL").ok();
    let is_wanted = |cell: &Cell| wanted.as_ref().is_none_or(|name| *name == cell.to_string());
    let mut chosen: Vec<Cell> = cells.into_iter().filter(is_wanted).collect();
    assert!(!chosen.is_empty(), "there is no cell {wanted:?}: FAULT_LIST=1 shows them");
    Rng::with_seed(seed).shuffle(&mut chosen);

    let servers = runtime(SERVERS, 2);
    let began = Instant::now();
    let failures = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(chosen.len()) {
            scope.spawn(|| {
                while let Some(cell) = chosen.get(next.fetch_add(1, SeqCst)) {
                    if let Err(why) = run(*cell, seed, &servers) {
                        failures.lock().unwrap().push(format!(
                            "{cell}: {why}\n  again: FAULT_SEED={seed} FAULT_CELL='{cell}' cargo test --test fault_matrix"
                        ));
                    }
                }
            });
        }
    });
    let took = began.elapsed();
    println!("{} cells in {took:?}", chosen.len());
    let mut failures = failures.into_inner().unwrap();
    failures.extend(watch::panics_on(SERVERS).into_iter().map(|said| format!("the emulator or the proxy: {said}")));
    assert!(failures.is_empty(), "{} of {} cells failed:\n{}", failures.len(), chosen.len(), failures.join("\n"));
    assert!(took < LIMIT, "{took:?}");
}

/// Runs one cell, its client on a runtime of its own, so that its tasks can be counted.
fn run(cell: Cell, seed: u64, servers: &Runtime) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(cell.number()));
    let worker = format!("worker of {cell}");
    let client = runtime(&worker, 1);
    let played = catch_unwind(AssertUnwindSafe(|| {
        let ground = servers.block_on(Ground::start(cell, rng.u64(..)));
        client.block_on(within("the whole cell", CELL_LIMIT, async {
            Box::pin(scenario::play(&ground, &mut rng)).await;
            scenario::left_nothing(&ground).await;
        }));
    }));
    client.shutdown_timeout(SECOND);
    let mut problems: Vec<_> = played.err().map(|panic| watch::text(&*panic)).into_iter().collect();
    problems.extend(watch::panics_on(&worker).into_iter().map(|said| format!("a task of the client: {said}")));
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; ")) }
}

fn runtime(name: &str, workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).thread_name(name).enable_all().build().unwrap()
}
