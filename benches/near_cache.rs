//! Reads from memory beside reads from the server, in one run.
//!
//! `cargo bench -p entra-redis-benches --bench near_cache` starts a `redis-server` over TLS, lets 16 tasks `GET` 64
//! bytes through a handle and through its near cache in turn, over several rounds, and prints medians and their ratio.
//! The keys are a thousand, all of them in memory after the first round, which warms up. Compare ratios of one run: on
//! 2 cores with nothing else to do they were 57, 62 and 74. Hits take nothing but the processor's time, and suffer more
//! than the others from whoever shares it.

use clap::Parser;
use common::server::Server;
use entra_redis::CacheOptions;
use redis::{AsyncCommands, aio::ConnectionLike};
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Options {
    /// Tasks, each with a clone of the handle.
    #[arg(long, default_value_t = 16)]
    tasks: usize,
    /// Rounds; each contender runs once in each.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that a contender runs in a round.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

const KEYS: usize = 1_000;

fn main() {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(compare(&options));
}

async fn compare(options: &Options) {
    let server = Server::start_unwatched();
    let redis = server.up(server.config(), 4).await;
    let cached = redis.cached(CacheOptions::new());
    while !cached.stats().is_tracking() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for key in keys() {
        let _: () = redis.clone().set(key, "x".repeat(64)).await.expect("SET");
    }
    let (mut plain, mut near) = (Vec::new(), Vec::new());
    for round in 0..=options.rounds {
        let results = (load(&redis, options).await, load(&cached, options).await);
        // The first round warms up.
        if round > 0 {
            plain.push(results.0);
            near.push(results.1);
        }
    }
    let [plain, near] = [plain, near].map(|mut runs| {
        runs.sort_by(f64::total_cmp);
        runs[runs.len() / 2]
    });
    println!("{} tasks, GET of 64 bytes over TLS, medians of {} rounds", options.tasks, options.rounds);
    println!("{:14} {plain:>12.0}/s", "from Redis");
    println!("{:14} {near:>12.0}/s, {:.1} % hits", "from memory", cached.stats().hit_ratio() * 100.0);
    println!("throughput, from memory / from Redis: {:.1}", near / plain);
}

fn keys() -> impl Iterator<Item = String> {
    (0..KEYS).map(|key| format!("key:{key}"))
}

/// Reads in a second.
async fn load<C: ConnectionLike + Clone + Send + Sync + 'static>(con: &C, options: &Options) -> f64 {
    let began = Instant::now();
    let end = began + Duration::from_secs(options.seconds);
    let tasks: Vec<_> = (0..options.tasks)
        .map(|task| {
            let mut con = con.clone();
            tokio::spawn(async move {
                // Made beforehand: what it costs to write a command down is not the question.
                let gets: Vec<_> = keys().map(|key| redis::cmd("GET").arg(key).clone()).collect();
                let mut reads = 0_u64;
                for get in gets.iter().cycle().skip(task * 61) {
                    if reads.is_multiple_of(64) && Instant::now() >= end {
                        break;
                    }
                    let value = con.req_packed_command(get).await.expect("GET");
                    assert!(matches!(value, redis::Value::BulkString(bytes) if bytes.len() == 64));
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    let mut reads = 0;
    for task in tasks {
        reads += task.await.expect("no task panics");
    }
    reads as f64 / began.elapsed().as_secs_f64()
}
