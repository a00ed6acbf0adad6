//! The smallest useful program on a cache with the OSS cluster policy, which is Azure's default: `cargo run --example
//! cluster`. Nothing in it but the keys in braces is there because of the cluster.
//!
//! It runs on the emulator's cluster of three nodes, in this process; or on a cache of yours, with `REDIS_HOST`,
//! `REDIS_PORT` if it is not 10000, `REDIS_CA_CERT` (a PEM file) if the system does not trust it, and the credential
//! from the `AZURE_*` variables.

use entra_redis::{Config, EntraRedis, Tls, emulator::Emulator};
use redis::{AsyncCommands, pipe};
use std::{
    env::var,
    error::Error,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    // It plays Azure for as long as it lives.
    let emulator =
        if var("REDIS_HOST").is_ok() { None } else { Some(Emulator::builder().embedded_cluster(3).start().await?) };
    let (host, port, config) = match &emulator {
        Some(emulator) => (emulator.host().to_owned(), emulator.port(), emulator.config()),
        None => on_azure()?,
    };

    let redis = EntraRedis::connect(&host, port, config).await?;
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

fn on_azure() -> Result<(String, u16, Config), Box<dyn Error>> {
    let mut config = Config::from_env()?;
    if let Ok(file) = var("REDIS_CA_CERT") {
        config = config.tls(Tls::new().ca_file(file));
    }
    Ok((required("REDIS_HOST")?, port()?, config))
}

/// The variable's value, or an error that names it.
fn required(name: &str) -> Result<String, String> {
    var(name).map_err(|_| format!("the environment variable {name} is not set"))
}

fn port() -> Result<u16, String> {
    let Ok(port) = var("REDIS_PORT") else {
        return Ok(10000);
    };
    port.parse().map_err(|_| format!("the environment variable REDIS_PORT is no port: {port}"))
}
