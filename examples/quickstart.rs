//! The smallest program, with nothing installed: `cargo run --example quickstart`.
//!
//! The emulator plays Microsoft Entra ID and Azure Managed Redis in this process. `cargo run --features cli -- demo`
//! shows tokens that rotate under load.

use entra_redis::{EntraRedis, emulator::Emulator};
use redis::AsyncCommands;
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // It plays Azure for as long as it lives. Against Azure itself: `EntraRedis::connect(host, 10000, config).await?`.
    let emulator = Emulator::builder().start().await?;
    let redis = EntraRedis::open(emulator.config()).await?;

    let mut con = redis.clone(); // cheap; one per task
    let _: () = con.set("greeting", "hello").await?;
    let greeting: String = con.get("greeting").await?;
    println!("Redis says: {greeting}");

    if let Some(token) = redis.manager().stats().token {
        println!("It knows me as {}, and my token is renewed in {:.0?}.", token.username, token.refresh_in);
    }
    redis.shutdown().await;
    Ok(())
}
