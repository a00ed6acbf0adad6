//! Slots that nobody serves, with `cluster-require-full-coverage` and without.

use super::{traffic::slot_of, *};
use common::{SECOND, eventually, unassign, within};
use redis::AsyncCommands;
use std::time::Instant;

/// Slots of the first node's, and a key in one of them; and a key in one of the others.
const GAP: std::ops::RangeInclusive<u16> = 1000..=1999;

fn keys() -> (String, String) {
    let key = |is_in: bool| (0..10_000).map(|n| format!("key:{n}")).find(|key| GAP.contains(&slot_of(key)) == is_in);
    (key(true).unwrap(), key(false).unwrap())
}

async fn close_gap(cluster: &Cluster) {
    behind::<()>(cluster, 0, &format!("CLUSTER ADDSLOTSRANGE {} {}", GAP.start(), GAP.end())).await;
}

fn covered(redis: &EntraRedis) -> usize {
    let slots = |node: entra_redis::NodeStats| node.slots.into_iter().map(|range| range.len()).sum::<usize>();
    redis.manager().stats().nodes.into_iter().map(slots).sum()
}

#[tokio::test]
async fn a_gap_is_seen_and_closed_and_the_other_slots_are_served() {
    let emulator = clusters::three(HOUR).await;
    let cluster = emulator.cluster().unwrap().clone();
    let (inside, outside) = keys();
    let set = |config: Config| config.command_timeout(2 * SECOND);
    // One that is there when the gap opens, and one that comes later.
    let early = connect(&emulator, set).await;
    nodes_up(&early, 3).await;
    unassign(&cluster, GAP).await;
    let late = connect(&emulator, set).await;
    assert_eq!(covered(&late), 15_384);
    let refused = async |redis: &EntraRedis| {
        let mut con = redis.clone();
        let _: () = con.set(&outside, 1).await.unwrap();
        let began = Instant::now();
        let error = con.set::<_, _, ()>(&inside, 1).await.unwrap_err();
        let is_told = error.is_timeout() && error.to_string().contains("no node of the cluster serves the slot");
        assert!(is_told || error.code() == Some("CLUSTERDOWN"), "{error}");
        assert!(began.elapsed() < 3 * SECOND, "{:?}", began.elapsed());
        // Of a command in parts, the part that is served is not done alone.
        let text = con.mset::<_, _, ()>(&[(&inside, 2), (&outside, 2)]).await.unwrap_err().to_string();
        assert!(text.contains("CLUSTERDOWN") || text.contains("not sent") || text.contains("not done"), "{text}");
    };
    tokio::join!(refused(&early), refused(&late));
    eventually("it is known of the gap", 10 * SECOND, async || (covered(&early) == 15_384).then_some(())).await;
    // Whoever waits is served when it closes; nodes, and whoever asks them, learn of that within a second or two.
    let patient = connect(&emulator, |config| config.command_timeout(10 * SECOND)).await;
    let waiting = [false, true].map(|in_parts| {
        let (mut con, inside, outside) = (patient.clone(), inside.clone(), outside.clone());
        tokio::spawn(async move {
            if in_parts { con.mset(&[(inside, 3), (outside, 3)]).await } else { con.set(inside, 3).await }
        })
    });
    close_gap(&cluster).await;
    let closed = Instant::now();
    for waiting in waiting {
        let served: redis::RedisResult<()> = waiting.await.unwrap();
        served.expect("it is served again");
    }
    eprintln!("served {:?} after the gap was closed", closed.elapsed());
    assert!(closed.elapsed() < 4 * SECOND, "served {:?} after the gap was closed", closed.elapsed());
    for redis in [&early, &late] {
        assert_eq!(redis.clone().get::<_, i64>(&inside).await.unwrap(), 3);
        eventually("all slots are known", 10 * SECOND, async || (covered(redis) == 16_384).then_some(())).await;
    }
}

/// All nodes answer `CLUSTERDOWN` then, also for slots that they serve.
#[tokio::test]
async fn with_full_coverage_all_commands_wait_until_the_gap_is_closed() {
    let builder = Emulator::builder().token_lifetime(HOUR).cluster(3).full_coverage(true);
    let (_emulator, cluster, redis) = start(builder, |config| config.command_timeout(2 * SECOND)).await;
    nodes_up(&redis, 3).await;
    let (inside, outside) = keys();
    unassign(&cluster, GAP).await;
    let set = |key: &String| {
        let (mut con, key) = (redis.clone(), key.clone());
        async move { con.set::<_, _, ()>(key, 1).await }
    };
    eventually("the cluster is down", 10 * SECOND, async || {
        let error = set(&outside).await.err()?;
        assert!(error.code() == Some("CLUSTERDOWN") || error.is_timeout(), "{error}");
        Some(())
    })
    .await;
    let waiting = [&inside, &outside].map(|key| tokio::spawn(set(key)));
    close_gap(&cluster).await;
    for waiting in waiting {
        within("it is served again", 5 * SECOND, waiting).await.unwrap().unwrap();
    }
    assert_eq!(redis.manager().counters().reconnects, 0, "no link was at fault");
    idle(&redis).await;
}
