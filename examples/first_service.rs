//! The smallest service on a cache of yours: `cargo run --example first_service`, with the variables of
//! `EntraRedis::from_env`, which `entra-redis emulator` prints for the emulator.

use entra_redis::EntraRedis;
use redis::AsyncCommands;
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The cache is that of `REDIS_HOST`, the credential that of the `AZURE_*` variables.
    let redis = EntraRedis::from_env().await?;

    let mut con = redis.clone(); // cheap; one per task
    let visits: u64 = con.incr("visits", 1).await?;
    println!("visit number {visits}");

    redis.shutdown().await;
    Ok(())
}
