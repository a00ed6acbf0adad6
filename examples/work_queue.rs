//! A queue of work that loses nothing when a worker dies: `cargo run --example work_queue`.
//!
//! `BLMOVE` takes a job from the queue and puts it into the worker's own list in one step; the worker removes it from
//! there when it is done. What a dead worker has left in its list goes back to the queue.
//!
//! It runs on the emulator, in this process and with nothing installed, whose tokens live two seconds; or on a cache of
//! yours, with `REDIS_HOST`, `REDIS_PORT` if it is not 10000, `REDIS_CA_CERT` (a PEM file) if the system does not trust
//! it, and the credential from the `AZURE_*` variables.

use entra_redis::{Config, EntraRedis, Tls, TokenManagerConfig, emulator::Emulator};
use redis::{AsyncCommands, Direction::Left, Direction::Right, RedisResult};
use std::{env::var, error::Error, time::Duration};
use tokio::task::JoinSet;

const WORKERS: usize = 4;
const JOBS: usize = 40;

// On a cluster, the braces keep the keys of one queue on one node, as `BLMOVE` wants them.
const QUEUE: &str = "{jobs}:queue";
const DONE: &str = "{jobs}:done";

fn list_of(worker: usize) -> String {
    format!("{{jobs}}:worker:{worker}")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // It plays Azure for as long as it lives.
    let emulator = match var("REDIS_HOST") {
        Ok(_) => None,
        Err(_) => Some(Emulator::builder().token_lifetime(Duration::from_secs(2)).start().await?),
    };
    let (host, port, config) = match &emulator {
        Some(emulator) => {
            let tokens = TokenManagerConfig::new().lower_refresh_bound(Duration::from_millis(500));
            (emulator.host().to_owned(), emulator.port(), emulator.config().token_manager(tokens))
        }
        None => on_azure()?,
    };
    let redis = EntraRedis::connect(&host, port, config).await?;
    let mut con = redis.clone();
    let _: () = con.del(&[QUEUE, DONE]).await?;
    for worker in 0..WORKERS {
        recover(&mut con, worker).await?;
    }

    let mut workers: JoinSet<RedisResult<()>> = JoinSet::new();
    for worker in 0..WORKERS {
        workers.spawn(work(redis.clone(), worker));
    }
    for job in 0..JOBS {
        let _: () = con.rpush(QUEUE, format!("job {job}")).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while con.llen::<_, usize>(DONE).await? < JOBS {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Each ends at its next look; what it is doing is done first.
    let _: () = con.rpush(QUEUE, vec!["stop"; WORKERS]).await?;
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    let counters = redis.manager().counters();
    println!("{JOBS} jobs were done once each, through {} token rotations.", counters.rotations);
    redis.shutdown().await;
    Ok(())
}

/// Takes jobs until it is told to stop.
async fn work(mut redis: EntraRedis, worker: usize) -> RedisResult<()> {
    let mine = list_of(worker);
    loop {
        // A zero waits for ever. It holds up nobody else who uses the handle.
        let job: String = redis.blmove(QUEUE, &mine, Left, Right, 0.0).await?;
        if job == "stop" {
            return redis.lrem(&mine, 1, job).await;
        }
        println!("worker {worker}: {job}");
        // Noted as done and removed together, so that it is never done and lost, or done and still there.
        let _: () = redis::pipe().atomic().rpush(DONE, &job).lrem(&mine, 1, &job).query_async(&mut redis).await?;
    }
}

/// Puts back what a worker that has died had taken.
async fn recover(redis: &mut EntraRedis, worker: usize) -> RedisResult<()> {
    while redis.lmove::<_, _, Option<String>>(list_of(worker), QUEUE, Right, Left).await?.is_some() {}
    Ok(())
}

fn on_azure() -> Result<(String, u16, Config), Box<dyn Error>> {
    let mut config = Config::from_env()?;
    if let Ok(file) = var("REDIS_CA_CERT") {
        config = config.tls(Tls::new().ca_file(file));
    }
    let port = var("REDIS_PORT").map_or(Ok(10000), |port| port.parse())?;
    Ok((var("REDIS_HOST")?, port, config))
}
