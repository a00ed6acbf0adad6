//! See a token rotate under load, with nothing installed: `cargo run --example quickstart`.
//!
//! The emulator plays Microsoft Entra ID and Azure Managed Redis on loopback ports, with tokens that live three
//! seconds.

use entra_redis::{EntraRedis, Event, TokenManagerConfig, emulator::Emulator};
use redis::AsyncCommands;
use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const TASKS: u64 = 8;
const ROTATIONS: u64 = 3;

#[derive(Default)]
struct Tally {
    commands: AtomicU64,
    failed: AtomicU64,
    slowest_us: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::builder().token_lifetime(Duration::from_secs(3)).start().await?;
    println!(
        "The emulator is up: Entra ID on {}, Redis over TLS on port {}.",
        emulator.authority_host(),
        emulator.port()
    );
    println!("Its tokens live 3 seconds, and it cuts every connection whose token has expired.\n");

    // Against Azure, this is `Config::new(Credential::…)`, your cache's host name and port 10000.
    let tokens = TokenManagerConfig::new().lower_refresh_bound(Duration::from_millis(500));
    let config = emulator.config().token_manager(tokens);
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), config).await?;

    let began = Instant::now();
    let mut events = redis.manager().events();
    let mut con = redis.clone();
    let _: () = con.set("greeting", "hello").await?;
    println!("{}connected, and Redis says {:?}", at(began), con.get::<_, String>("greeting").await?);
    println!("{}{TASKS} tasks start counting to Redis through one shared handle", at(began));

    let tally = Arc::new(Tally::default());
    let workers: Vec<_> = (0..TASKS).map(|task| tokio::spawn(work(redis.clone(), task, Arc::clone(&tally)))).collect();
    let mut rotations = 0;
    let mut reauthenticated = 0;
    let mut links = redis.manager().stats().links.len();
    while rotations < ROTATIONS || reauthenticated < links {
        match events.recv().await? {
            Event::TokenRefreshed { generation, next_refresh, .. } => {
                rotations += 1;
                reauthenticated = 0;
                links = redis.manager().stats().links.len();
                println!(
                    "{}token {generation} is here; the next is due in {:.1} s",
                    at(began),
                    next_refresh.as_secs_f32()
                );
            }
            Event::Reauthenticated { link, .. } => {
                reauthenticated += 1;
                let so_far = tally.commands.load(Relaxed);
                println!(
                    "{}  link {link} re-authenticated; {so_far} commands so far, {} failed",
                    at(began),
                    tally.failed.load(Relaxed)
                );
            }
            Event::LinkDown { link, reason, .. } => println!("{}  link {link} went down: {reason}", at(began)),
            _ => {}
        }
    }
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    redis.shutdown().await;

    let (commands, failed) = (tally.commands.load(Relaxed), tally.failed.load(Relaxed));
    println!("\n{commands} commands by {TASKS} tasks through {rotations} rotations: {failed} failed,");
    println!("the slowest took {:.1} ms. Nobody noticed a thing.", tally.slowest_us.load(Relaxed) as f64 / 1000.0);
    if failed > 0 { Err("commands failed".into()) } else { Ok(()) }
}

async fn work(mut redis: EntraRedis, task: u64, tally: Arc<Tally>) {
    loop {
        let sent = Instant::now();
        let result = redis.incr::<_, _, u64>(format!("counter:{task}"), 1).await;
        let took = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        tally.slowest_us.fetch_max(took, Relaxed);
        tally.commands.fetch_add(1, Relaxed);
        if let Err(error) = result {
            tally.failed.fetch_add(1, Relaxed);
            println!("a command failed: {error}");
        }
        // A demonstration, not a benchmark.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn at(began: Instant) -> String {
    format!("{:5.1} s  ", began.elapsed().as_secs_f32())
}
