//! `HSCAN`, `SSCAN` and `ZSCAN` of a key whose slot gets another owner meanwhile: nothing is missed.

use super::*;
use common::SECOND;
use redis::{AsyncCommands, cmd, pipe};
use std::collections::BTreeSet;

const ELEMENTS: usize = 12_000;

const SLOT_OF: &str = "{iterated}";

async fn fill(redis: &mut EntraRedis) {
    for first in (0..ELEMENTS).step_by(1_000) {
        let mut pipe = pipe();
        for number in first..first + 1_000 {
            let element = format!("element:{number}");
            pipe.cmd("HSET").arg("{iterated}:HSCAN").arg(&element).arg("").ignore();
            pipe.cmd("SADD").arg("{iterated}:SSCAN").arg(&element).ignore();
            pipe.cmd("ZADD").arg("{iterated}:ZSCAN").arg(number).arg(&element).ignore();
        }
        pipe.exec_async(redis).await.unwrap();
    }
}

/// Goes on for so many elements, or to the end.
async fn take(redis: &mut EntraRedis, name: &str, cursor: &mut u64, found: &mut BTreeSet<String>, until: usize) {
    while found.len() < until {
        let mut step = cmd(name);
        step.arg(format!("{SLOT_OF}:{name}")).arg(*cursor).arg("COUNT").arg(100);
        let (next, items): (u64, Vec<String>) = step.query_async(redis).await.unwrap();
        found.extend(items.into_iter().filter(|item| item.starts_with("element:")));
        *cursor = next;
        if next == 0 {
            return;
        }
    }
}

const NAMES: [&str; 3] = ["HSCAN", "SSCAN", "ZSCAN"];

type Half = (u64, BTreeSet<String>);

async fn halves(redis: &mut EntraRedis, until: usize) -> [Half; 3] {
    let mut halves = [const { (0, BTreeSet::new()) }; 3];
    for (name, (cursor, found)) in NAMES.into_iter().zip(&mut halves) {
        take(redis, name, cursor, found, until).await;
        assert_ne!(*cursor, 0, "{name}");
    }
    halves
}

async fn all_are_found(redis: &mut EntraRedis, halves: [Half; 3]) {
    for (name, (mut cursor, mut found)) in NAMES.into_iter().zip(halves) {
        take(redis, name, &mut cursor, &mut found, usize::MAX).await;
        assert_eq!((found.len(), cursor), (ELEMENTS, 0), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_the_slot_moves() {
    let set = |config: Config| config.command_timeout(20 * SECOND);
    let (_emulator, cluster, mut redis) = three_of(HOUR, set).await;
    fill(&mut redis).await;
    let slot: u16 = cmd("CLUSTER").arg("KEYSLOT").arg(SLOT_OF).query_async(&mut redis).await.unwrap();
    for part in [ELEMENTS / 4, ELEMENTS / 2] {
        let halves = halves(&mut redis, part).await;
        let to = (owner(&cluster, slot).await + 1) % 3;
        cluster.move_slots(slot..=slot, to).await.unwrap();
        all_are_found(&mut redis, halves).await;
    }
    // The key has gone before its slot: the step follows it.
    let halves = halves(&mut redis, ELEMENTS / 2).await;
    let to = (owner(&cluster, slot).await + 1) % 3;
    let migration = cluster.begin_migration(slot..=slot, to).await.unwrap();
    for name in NAMES {
        assert!(migration.move_key(format!("{SLOT_OF}:{name}")).await.unwrap());
    }
    all_are_found(&mut redis, halves).await;
    migration.finish().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_when_a_replica_takes_over() {
    let set = |config: Config| config.command_timeout(20 * SECOND);
    let builder = Emulator::builder().token_lifetime(HOUR).cluster(2).replicas(1);
    let (_emulator, cluster, mut redis) = start(builder, set).await;
    fill(&mut redis).await;
    let slot: u16 = cmd("CLUSTER").arg("KEYSLOT").arg(SLOT_OF).query_async(&mut redis).await.unwrap();
    let halves = halves(&mut redis, ELEMENTS / 2).await;
    cluster.fail_over(owner(&cluster, slot).await).await.unwrap();
    all_are_found(&mut redis, halves).await;
}

/// The iterators of the redis crate take these cursors as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn iterators_of_the_redis_crate_miss_nothing() {
    let set = |config: Config| config.command_timeout(20 * SECOND);
    let (_emulator, cluster, mut redis) = three_of(HOUR, set).await;
    fill(&mut redis).await;
    let slot: u16 = cmd("CLUSTER").arg("KEYSLOT").arg(SLOT_OF).query_async(&mut redis).await.unwrap();
    let mut found = BTreeSet::new();
    let mut steps = redis.clone();
    let mut iterator = steps.sscan::<_, String>("{iterated}:SSCAN").await.unwrap();
    while let Some(item) = iterator.next_item().await {
        found.insert(item.unwrap());
        if found.len() == ELEMENTS / 2 {
            let to = (owner(&cluster, slot).await + 1) % 3;
            cluster.move_slots(slot..=slot, to).await.unwrap();
        }
    }
    assert_eq!(found.len(), ELEMENTS);
}
