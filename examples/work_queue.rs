//! A queue of work that loses nothing when a worker dies: `cargo run --example work_queue`.
//!
//! `BLMOVE` takes a job from the queue and puts it into the worker's own list in one step; the worker removes it from
//! there when it is done. What a dead worker has left in its list goes back to the queue.
//!
//! It runs on the emulator, in this process and with nothing installed, whose tokens live so short that they are
//! renewed each second; or, with `REDIS_HOST` set, on a cache of yours, by the variables of `EntraRedis::from_env`.

use entra_redis::{EntraRedis, emulator::Emulator};
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
        Err(_) => Some(Emulator::builder().token_lifetime(Duration::from_secs(20)).start().await?),
    };
    let redis = match &emulator {
        // Here client and server share one machine, which may be busy with other things.
        Some(emulator) => EntraRedis::open(emulator.config().command_timeout(Duration::from_secs(30))).await?,
        None => EntraRedis::from_env().await?,
    };
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
