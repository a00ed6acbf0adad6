//! Consumers of a stream in a group, who take over what a dead one has left, and stop gracefully: `cargo run --example
//! stream_consumer`.
//!
//! It runs on the emulator, in this process and with nothing installed, whose tokens live so short that they are
//! renewed each second; or, with `REDIS_HOST` set, on a cache of yours, by the variables of `EntraRedis::from_env`.

use entra_redis::{EntraRedis, emulator::Emulator};
use redis::{RedisResult, cmd};
use std::{collections::HashMap, env::var, error::Error, time::Duration};
use tokio::{sync::watch, task::JoinSet};

const CONSUMERS: usize = 3;
const ENTRIES: usize = 60;
const STREAM: &str = "example:stream";
const GROUP: &str = "workers";

/// An id, and the fields and values.
type Entry = (String, Vec<String>);

/// How many entries are not acknowledged, from which id to which, and how many of them each consumer has.
type Pending = (usize, Option<String>, Option<String>, Option<Vec<(String, usize)>>);

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
    cmd("DEL").arg(STREAM).exec_async(&mut con).await?;
    cmd("XGROUP").arg(&["CREATE", STREAM, GROUP, "$", "MKSTREAM"]).exec_async(&mut con).await?;

    // One that has read an entry, and died before it was done with it.
    cmd("XADD").arg(&[STREAM, "*", "entry", "left behind"]).exec_async(&mut con).await?;
    let read = ["GROUP", GROUP, "dead", "COUNT", "1", "STREAMS", STREAM, ">"];
    cmd("XREADGROUP").arg(&read).exec_async(&mut con).await?;

    let (stop, stopping) = watch::channel(false);
    let mut consumers: JoinSet<RedisResult<usize>> = JoinSet::new();
    for number in 0..CONSUMERS {
        consumers.spawn(consume(redis.clone(), format!("consumer-{number}"), stopping.clone()));
    }
    for number in 0..ENTRIES {
        cmd("XADD").arg(&[STREAM, "*", "entry"]).arg(number).exec_async(&mut con).await?;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    // Ctrl-C in a service. Each ends what it is doing, and acknowledges it.
    stop.send(true)?;
    let mut done = 0;
    while let Some(ended) = consumers.join_next().await {
        done += ended??;
    }
    let (pending, ..): Pending = cmd("XPENDING").arg(&[STREAM, GROUP]).query_async(&mut con).await?;
    let rotations = redis.manager().counters().rotations;
    println!("{done} of {} entries were done, {pending} are left, through {rotations} token rotations.", ENTRIES + 1);
    redis.shutdown().await;
    if pending == 0 && done == ENTRIES + 1 { Ok(()) } else { Err("entries were left".into()) }
}

/// Reads and acknowledges until it is to stop and nothing is left; how many entries it has done.
async fn consume(mut redis: EntraRedis, name: String, stopping: watch::Receiver<bool>) -> RedisResult<usize> {
    let mut done = 0;
    loop {
        // What another one has had for a second without acknowledging it is this one's now.
        let claim = [STREAM, GROUP, &name, "1000", "0", "COUNT", "10"];
        let (_, claimed, _): (String, Vec<Entry>, Vec<String>) =
            cmd("XAUTOCLAIM").arg(&claim).query_async(&mut redis).await?;
        done += finish(&mut redis, &name, claimed).await?;
        // A second at most, so that it looks for what others have left, and whether it is to stop. What it has read
        // when it is given up stays pending, and is claimed: no entry is lost.
        let read = ["GROUP", GROUP, &name, "COUNT", "10", "BLOCK", "1000", "STREAMS", STREAM, ">"];
        let new: Option<HashMap<String, Vec<Entry>>> = cmd("XREADGROUP").arg(&read).query_async(&mut redis).await?;
        let new: Vec<Entry> = new.into_iter().flat_map(HashMap::into_values).flatten().collect();
        if new.is_empty() && *stopping.borrow() {
            return Ok(done);
        }
        done += finish(&mut redis, &name, new).await?;
    }
}

/// Does what the entries are about, and acknowledges them; how many of them it was the first to acknowledge. One that
/// took longer than a second may have been claimed and done by another consumer, too: what is done must bear that.
async fn finish(redis: &mut EntraRedis, name: &str, entries: Vec<Entry>) -> RedisResult<usize> {
    let mut done = 0;
    for (id, fields) in &entries {
        println!("{name}: {id} {fields:?}");
        done += cmd("XACK").arg(&[STREAM, GROUP, id]).query_async::<usize>(redis).await?;
    }
    Ok(done)
}
