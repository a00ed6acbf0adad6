//! Subscriptions that outlive tokens and connections, and say when something may have been missed: `cargo run --example
//! pubsub`.
//!
//! It runs on the emulator, in this process, whose tokens live so short that they are renewed each second; or, with
//! `REDIS_HOST` set, on a cache of yours, by the variables of `EntraRedis::from_env`.

use entra_redis::{Delivery, EntraRedis, PubSubStream, emulator::Emulator};
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
        Some(Emulator::builder().token_lifetime(Duration::from_secs(20)).start().await?)
    };
    let redis = match &emulator {
        Some(emulator) => EntraRedis::open(emulator.config()).await?,
        None => EntraRedis::from_env().await?,
    };

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
