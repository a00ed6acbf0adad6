//! Subscriptions that outlive tokens and connections, and say when something may have been missed: `cargo run --example
//! pubsub`.
//!
//! It runs on the emulator, in this process, with tokens of two seconds; or on a cache of yours, with `REDIS_HOST`,
//! `REDIS_PORT` if it is not 10000, `REDIS_CA_CERT` (a PEM file) if the system does not trust it, and the credential
//! from the `AZURE_*` variables.

use entra_redis::{Config, Delivery, EntraRedis, PubSubStream, Tls, emulator::Emulator};
use futures_util::StreamExt;
use redis::AsyncCommands;
use std::{env::var, error::Error, time::Duration};

/// The state that the messages are about: whoever has missed some reads it.
const LAST: &str = "example:pubsub:last";

const ORDERS: &str = "example:pubsub:orders";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // It plays Azure for as long as it lives.
    let emulator = if var("REDIS_HOST").is_ok() {
        None
    } else {
        Some(Emulator::builder().token_lifetime(Duration::from_secs(2)).start().await?)
    };
    let (host, port, config) = match &emulator {
        Some(emulator) => (emulator.host().to_owned(), emulator.port(), emulator.config()),
        None => on_azure()?,
    };
    let redis = EntraRedis::connect(&host, port, config).await?;

    // One part subscribes, for as long as the other one is read.
    let (mut subscriptions, deliveries) = redis.pubsub().await?.split();
    subscriptions.subscribe(ORDERS).await?;
    let consumer = tokio::spawn(consume(redis.clone(), deliveries));

    let mut con = redis.clone();
    for order in 1..=400_u64 {
        // The state first: a gap that is told after this finds it.
        let _: () = con.set_ex(LAST, order, 60).await?;
        let _: () = con.publish(ORDERS, order).await?;
        if order == 200
            && let Some(emulator) = &emulator
        {
            // All connections, those of commands too: a command on its way would fail, so none is.
            println!("cutting all connections");
            emulator.redis_front().cut_all();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (messages, gaps) = consumer.await??;
    println!("{messages} messages, {gaps} gaps, {} rotations", redis.manager().counters().rotations);
    redis.shutdown().await;
    Ok(())
}

/// Reads until the last order; how many messages and gaps there were.
async fn consume(mut redis: EntraRedis, mut deliveries: PubSubStream) -> redis::RedisResult<(u64, u64)> {
    let (mut messages, mut gaps) = (0, 0);
    while let Some(delivery) = deliveries.next().await {
        let order: u64 = match delivery {
            Delivery::Message(message) => {
                messages += 1;
                message.get_payload()?
            }
            Delivery::Gap { channels, from, until, reason, .. } => {
                gaps += 1;
                let names: Vec<_> = channels.iter().map(ToString::to_string).collect();
                let length = until.duration_since(from).unwrap_or_default();
                println!("{} may have missed messages for {length:.0?}: {reason:?}", names.join(", "));
                redis.get(LAST).await?
            }
            _ => continue,
        };
        if order == 400 {
            break;
        }
    }
    Ok((messages, gaps))
}

fn on_azure() -> Result<(String, u16, Config), Box<dyn Error>> {
    let mut config = Config::from_env()?;
    if let Ok(file) = var("REDIS_CA_CERT") {
        config = config.tls(Tls::new().ca_file(file));
    }
    let port = var("REDIS_PORT").map_or(Ok(10000), |port| port.parse())?;
    Ok((var("REDIS_HOST")?, port, config))
}
