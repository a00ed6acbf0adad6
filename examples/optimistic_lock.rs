//! Many buyers of the same few things, none of which is sold twice: `cargo run --example optimistic_lock`.
//!
//! A transaction reads the stock, decides, and writes; if somebody else has changed it meanwhile, it decides again.
//!
//! It runs on the emulator, in this process and with nothing installed, whose tokens live so short that they are
//! renewed each second; or, with `REDIS_HOST` set, on a cache of yours, by the variables of `EntraRedis::from_env`.

use entra_redis::{EntraRedis, emulator::Emulator};
use redis::{AsyncCommands, RedisResult};
use std::{env::var, error::Error, time::Duration};
use tokio::task::JoinSet;

const BUYERS: usize = 6;
const THINGS: usize = 100;

// On a cluster, the braces keep both on one node, as a transaction wants them.
const STOCK: &str = "{shop}:stock";
const SOLD: &str = "{shop}:sold";

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
    let _: () = redis::pipe().atomic().set(STOCK, THINGS).del(SOLD).query_async(&mut con).await?;

    let mut buyers: JoinSet<RedisResult<usize>> = JoinSet::new();
    for buyer in 0..BUYERS {
        let redis = redis.clone();
        buyers.spawn(async move {
            let mut bought = 0;
            while buy(&redis, buyer).await? {
                bought += 1;
                tokio::time::sleep(Duration::from_millis(80)).await;
            }
            Ok(bought)
        });
    }
    let mut bought = 0;
    while let Some(ended) = buyers.join_next().await {
        bought += ended??;
    }
    let (left, sold): (usize, usize) = redis::pipe().get(STOCK).llen(SOLD).query_async(&mut con).await?;
    let rotations = redis.manager().counters().rotations;
    println!("{bought} bought, {sold} sold, {left} left, through {rotations} token rotations.");
    redis.shutdown().await;
    if (bought, sold, left) == (THINGS, THINGS, 0) { Ok(()) } else { Err("the count is wrong".into()) }
}

/// Buys one thing, if there is one.
async fn buy(redis: &EntraRedis, buyer: usize) -> RedisResult<bool> {
    // `async move`: the transaction has what it uses for itself, so that it may run in a task.
    redis
        .transaction(&[STOCK], async move |con, pipe| {
            let stock: usize = con.get(STOCK).await?;
            if stock == 0 {
                return Ok(Some(false));
            }
            pipe.decr(STOCK, 1).rpush(SOLD, buyer);
            // None if somebody has changed the stock since: then it is called again.
            let done: Option<(usize, usize)> = pipe.query_async(con).await?;
            Ok(done.map(|_| true))
        })
        .await
}
