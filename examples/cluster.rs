//! The smallest useful program on a cache with the OSS cluster policy, which is Azure's default: `cargo run --example
//! cluster`. Nothing in it but the keys in braces is there because of the cluster.
//!
//! It runs on the emulator's cluster of three nodes, in this process; or, with `REDIS_HOST` set, on a cache of yours,
//! by the variables of `EntraRedis::from_env`.

use entra_redis::{EntraRedis, emulator::Emulator};
use redis::{AsyncCommands, pipe};
use std::{
    env::var,
    error::Error,
    time::{SystemTime, UNIX_EPOCH},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // It plays Azure for as long as it lives.
    let emulator =
        if var("REDIS_HOST").is_ok() { None } else { Some(Emulator::builder().embedded_cluster(3).start().await?) };
    let redis = match &emulator {
        Some(emulator) => EntraRedis::open(emulator.config()).await?,
        None => EntraRedis::from_env().await?,
    };
    let mut con = redis.clone();
    // Keys of this run alone, of as many slots.
    let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let keys: Vec<_> = (0..12).map(|number| format!("example:{run}:{number}")).collect();

    for (number, key) in keys.iter().enumerate() {
        let _: () = con.set_ex(key, number, 60).await?;
    }
    // One command, keys on all nodes: each node gets its own, and the values come back in the order of the keys.
    let values: Vec<usize> = con.mget(&keys).await?;
    println!("MGET over several slots: {values:?}");

    // The same for a pipeline, which is no transaction.
    let mut pipeline = pipe();
    for key in &keys {
        pipeline.incr(key, 100);
    }
    let values: Vec<usize> = pipeline.query_async(&mut con).await?;
    println!("A pipeline over several slots: {values:?}");

    // A transaction runs on one node: what keys have in braces decides their slot.
    let (stock, sold) = (format!("{{example:{run}}}:stock"), format!("{{example:{run}}}:sold"));
    let (left, sold): (i64, i64) = pipe()
        .atomic()
        .set_ex(&stock, 10, 60)
        .ignore()
        .set_ex(&sold, 0, 60)
        .ignore()
        .decr(&stock, 1)
        .incr(&sold, 1)
        .query_async(&mut con)
        .await?;
    println!("A transaction in one slot: {left} left, {sold} sold");

    for node in redis.manager().stats().nodes {
        let slots: usize = node.slots.iter().map(|range| range.clone().count()).sum();
        println!("{}: {slots} slots, {} of {} connections are up", node.address, node.open_links, node.links);
    }
    redis.shutdown().await;
    Ok(())
}
