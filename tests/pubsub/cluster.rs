//! On a cluster: sharded channels follow their slots, keyspace notifications come from everywhere.

use super::*;
use common::{Azure, HOUR, eventually, owner, slot_of};
use entra_redis::{
    Config,
    emulator::{Cluster, Emulator},
};
use redis::ProtocolVersion;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

/// The slot of what has the tag `{foo}`.
const FOO: u16 = 12182;

async fn three_of(lifetime: Duration, set: impl FnOnce(Config) -> Config) -> (Azure, Cluster, EntraRedis) {
    handle_to(common::clusters::three(lifetime).await, set).await
}

async fn handle_to(azure: Azure, set: impl FnOnce(Config) -> Config) -> (Azure, Cluster, EntraRedis) {
    let cluster = azure.cluster().unwrap().clone();
    let redis = azure.connect(set(azure.config().token_manager(common::by_ratio(0.5)))).await;
    (azure, cluster, redis)
}

async fn three(set: impl FnOnce(Config) -> Config) -> (Azure, Cluster, EntraRedis) {
    three_of(HOUR, set).await
}

async fn spublish(redis: &EntraRedis, channel: &str, message: impl ToString) -> i64 {
    redis::cmd("SPUBLISH").arg(channel).arg(message.to_string()).query_async(&mut redis.clone()).await.unwrap()
}

async fn follows_a_slot(protocol: ProtocolVersion) {
    let (_azure, cluster, redis) = three(|config| config.protocol(protocol)).await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.ssubscribe(&["{foo}numbers", "{foo}others", "elsewhere"]).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let publishing = {
        let (redis, stop) = (redis.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            for number in 1_u64.. {
                let done = stop.load(SeqCst);
                spublish(&redis, "{foo}numbers", number).await;
                if done {
                    return number;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            unreachable!()
        })
    };
    let reading = tokio::spawn(async move {
        let heard = Heard::until(&mut stream, u64::MAX - 1).await;
        (heard, stream)
    });
    for step in 1..=2 {
        let to = (owner(&cluster, FOO).await + 1) % 3;
        cluster.move_slots(FOO..=FOO, to).await.unwrap();
        eventually("it is subscribed to at the new owner", 5 * SECOND, async || {
            let count = redis::cmd("PUBSUB").arg(&["SHARDNUMSUB", "{foo}others"]).query_async(&mut redis.clone()).await;
            (count == Ok(HashMap::from([("{foo}others".to_owned(), 1)]))).then_some(())
        })
        .await;
        assert_eq!(owner(&cluster, FOO).await, to, "step {step}");
        tokio::time::sleep(SECOND / 5).await;
    }
    stop.store(true, SeqCst);
    let last = publishing.await.unwrap();
    spublish(&redis, "{foo}numbers", u64::MAX - 1).await;
    let (mut heard, mut stream) = reading.await.unwrap();
    assert_eq!(heard.numbers.pop(), Some(u64::MAX - 1));
    assert_eq!(heard.numbers.last(), Some(&last));
    heard.assert_told();
    // Of each move, one or, for two channels, two.
    assert!((2..=4).contains(&heard.gaps.len()), "{:?}", heard.gaps);
    assert!(heard.gaps.iter().all(|(_, reason)| *reason == GapReason::Moved));
    assert_eq!(spublish(&redis, "elsewhere", "x").await, 1);
    assert_eq!(message(&mut stream).await, "x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sharded_channel_follows_its_slot() {
    follows_a_slot(ProtocolVersion::RESP3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sharded_channel_follows_its_slot_over_resp2() {
    follows_a_slot(ProtocolVersion::RESP2).await;
}

/// Sets a key of each node's, and hears of all of them.
async fn hears_of_keys(redis: &EntraRedis, stream: &mut PubSubStream, run: &str) {
    let keys: BTreeSet<String> = (0..30).map(|number| format!("{run}:{number}")).collect();
    for key in &keys {
        let _: () = redis.clone().set(key, 1).await.unwrap();
    }
    let mut heard = Vec::new();
    while heard.len() < keys.len() {
        if let Delivery::Message(msg) = next(stream).await {
            let key: String = msg.get_payload().unwrap();
            if key.starts_with(run) {
                heard.push(key);
            }
        }
    }
    assert_eq!(heard.iter().cloned().collect::<BTreeSet<_>>(), keys, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyspace_notifications_come_from_all_primaries_and_from_new_ones() {
    let (_azure, cluster, redis) = three(|config| config).await;
    let configure = async |redis: &EntraRedis| {
        let mut cmd = redis::cmd("CONFIG");
        cmd.arg("SET").arg("notify-keyspace-events").arg("KEA");
        cmd.exec_async(&mut redis.clone()).await.unwrap();
    };
    configure(&redis).await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("__keyevent@0__:set").await.unwrap();
    hears_of_keys(&redis, &mut stream, "first").await;

    let (mut sink, mut patterns) = redis.pubsub().await.unwrap().split();
    sink.psubscribe("__key*__:set").await.unwrap();
    // One that only looks like one of them, and comes from every node, comes once.
    publish(&redis, "__keyboard__:set", "no").await;
    hears_of_keys(&redis, &mut patterns, "second").await;
    hears_of_keys(&redis, &mut stream, "third").await;

    let new = cluster.add_node().await.unwrap();
    // One of the keys that are heard of then is among them.
    let slot = slot_of("fourth:0");
    let (slots, from) = (slot.saturating_sub(100)..=slot, owner(&cluster, slot).await);
    cluster.move_slots(slots.clone(), new).await.unwrap();
    assert_ne!(from, new);
    let mut keys = 0..;
    eventually("the new node is known, and told of", 20 * SECOND, async || {
        let _: Result<(), _> = redis.clone().set(format!("touch:{:?}", keys.next()), 1).await;
        let stats = redis.manager().stats();
        (stats.nodes.iter().filter(|node| !node.slots.is_empty()).count() == 4).then_some(())
    })
    .await;
    configure(&redis).await;
    loop {
        if let Delivery::Gap { reason, channels, .. } = next(&mut stream).await {
            assert_eq!((reason, channels), (GapReason::Moved, vec![channel("__keyevent@0__:set")]));
            break;
        }
    }
    hears_of_keys(&redis, &mut stream, "fourth").await;
    while let Ok(Some(_)) = tokio::time::timeout(SECOND / 2, stream.next()).await {}

    // It leaves again, and nobody comes in its place: the others, which have its slots now, are subscribed to already.
    cluster.move_slots(slots, from).await.unwrap();
    eventually("its slots are known to be elsewhere", 20 * SECOND, async || {
        let _: Result<(), _> = redis.clone().set(format!("touch:{:?}", keys.next()), 1).await;
        let stats = redis.manager().stats();
        (stats.nodes.iter().filter(|node| !node.slots.is_empty()).count() == 3).then_some(())
    })
    .await;
    loop {
        if let Delivery::Gap { channels, .. } = next(&mut stream).await {
            assert_eq!(channels, vec![channel("__keyevent@0__:set")]);
            break;
        }
    }
    hears_of_keys(&redis, &mut stream, "fifth").await;
}

/// A primary that dies, without a replica, and whose slots the others get: what it told nobody is a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyspace_notifications_of_a_primary_that_dies_are_a_gap() {
    let (_azure, cluster, redis) = three(|config| config.command_timeout(20 * SECOND)).await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.psubscribe("__keyevent@0__:*").await.unwrap();
    let dies = owner(&cluster, FOO).await;
    let slots = cluster.nodes().await.unwrap().into_iter().find(|node| node.index == dies).unwrap().slots;
    cluster.kill(dies).await.unwrap();
    let heir = (dies + 1) % 3;
    for node in (0..3).filter(|node| *node != dies) {
        let mut admin = common::direct(&cluster, node).await;
        let command = |name: &str| {
            let mut cmd = redis::cmd("CLUSTER");
            cmd.arg(name);
            for range in &slots {
                cmd.arg(range.start()).arg(range.end());
            }
            cmd
        };
        command("DELSLOTSRANGE").exec_async(&mut admin).await.unwrap();
        if node == heir {
            command("ADDSLOTSRANGE").exec_async(&mut admin).await.unwrap();
        }
    }
    // If it was also the one that ordinary channels are at, that is another gap.
    loop {
        let (channels, reason) = gap(&mut stream).await;
        assert_eq!(channels, [Topic::Pattern(b"__keyevent@0__:*".to_vec())]);
        if reason == GapReason::ConnectionLost {
            break;
        }
    }
}

/// What the whole promise is about, in one run: connections that are cut while a slot moves, of a sharded channel and
/// of an ordinary one.
async fn kills_and_a_moved_slot(protocol: ProtocolVersion) {
    let (_azure, cluster, redis) = three(|config| config.protocol(protocol)).await;
    let (mut sink, sharded) = redis.pubsub().await.unwrap().split();
    sink.ssubscribe("{foo}count").await.unwrap();
    let (mut sink, ordinary) = redis.pubsub().await.unwrap().split();
    // Its slot stays: where messages enter a cluster at two nodes, Redis keeps no order among them.
    sink.subscribe("{bar}count").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let publishing = {
        let (redis, stop) = (redis.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            for number in 1_u64.. {
                let done = stop.load(SeqCst);
                spublish(&redis, "{foo}count", number).await;
                publish(&redis, "{bar}count", number).await;
                if done {
                    return number;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            unreachable!()
        })
    };
    let read = |mut stream: PubSubStream| tokio::spawn(async move { Heard::until(&mut stream, u64::MAX - 1).await });
    let (sharded, ordinary) = (read(sharded), read(ordinary));
    let mut admins = Vec::new();
    for node in 0..3 {
        admins.push(common::direct(&cluster, node).await);
    }
    for round in 0..5 {
        for admin in &mut admins {
            redis::cmd("CLIENT").arg(&["KILL", "TYPE", "pubsub"]).exec_async(admin).await.unwrap();
        }
        if round == 2 {
            let to = (owner(&cluster, FOO).await + 1) % 3;
            cluster.move_slots(FOO..=FOO, to).await.unwrap();
        }
        for command in [["SHARDNUMSUB", "{foo}count"], ["NUMSUB", "{bar}count"]] {
            eventually("it is subscribed to again", 10 * SECOND, async || {
                let mut subscribers = 0;
                for admin in &mut admins {
                    let mut cmd = redis::cmd("PUBSUB");
                    cmd.arg(&command);
                    let (_, count): (String, u64) = cmd.query_async(admin).await.unwrap();
                    subscribers += count;
                }
                (subscribers == 1).then_some(())
            })
            .await;
        }
        // Messages come between the gaps.
        tokio::time::sleep(SECOND / 5).await;
    }
    stop.store(true, SeqCst);
    let last = publishing.await.unwrap();
    spublish(&redis, "{foo}count", u64::MAX - 1).await;
    publish(&redis, "{bar}count", u64::MAX - 1).await;
    for (what, heard) in [("sharded", sharded), ("ordinary", ordinary)] {
        let mut heard = heard.await.unwrap();
        assert_eq!(heard.numbers.pop(), Some(u64::MAX - 1));
        assert_eq!(heard.numbers.last(), Some(&last), "{what}");
        heard.assert_told();
        assert!(heard.gaps.len() >= 5, "{what}: {:?}", heard.gaps);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_kills_and_a_moved_slot_are_all_told() {
    kills_and_a_moved_slot(ProtocolVersion::RESP3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_kills_and_a_moved_slot_are_all_told_over_resp2() {
    kills_and_a_moved_slot(ProtocolVersion::RESP2).await;
}

/// The node that they are subscribed to at is another one then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordinary_channels_move_when_their_node_goes() {
    let azure =
        common::start(Emulator::builder().token_lifetime(HOUR).cluster(3).replicas(1).node_timeout(SECOND)).await;
    let (_azure, cluster, redis) = handle_to(azure, |config| config.command_timeout(20 * SECOND)).await;
    let (mut sink, mut stream) = redis.pubsub().await.unwrap().split();
    sink.subscribe("a").await.unwrap();
    sink.psubscribe("b*").await.unwrap();
    let mut home = None;
    for node in cluster.nodes().await.unwrap() {
        let connections = cluster.front(node.index).unwrap().connection_count();
        if connections > 2 {
            home = Some(node.index);
        }
    }
    let home = home.expect("one node has a connection more than those of the handle");
    cluster.kill(home).await.unwrap();
    let (channels, reason) = gap(&mut stream).await;
    assert_eq!(channels, [channel("a"), Topic::Pattern(b"b*".to_vec())]);
    // Whichever was noticed first.
    assert!(matches!(reason, GapReason::ConnectionLost | GapReason::Moved), "{reason:?}");
    eventually("it is heard", 10 * SECOND, async || {
        let heard: Result<i64, _> = redis.clone().publish("a", "x").await;
        heard.ok()
    })
    .await;
    assert_eq!(message(&mut stream).await, "x");
}

/// Each line has its own link, and over RESP2 its own replacements.
async fn rotations_on_a_cluster(protocol: ProtocolVersion) {
    let set = |config: Config| config.protocol(protocol).token_manager(common::twice_a_second());
    let (_azure, _cluster, redis) = three_of(2 * SECOND, set).await;
    redis::cmd("CONFIG").arg(&["SET", "notify-keyspace-events", "KEA"]).exec_async(&mut redis.clone()).await.unwrap();
    let channels = ["{a}", "{b}", "{c}", "{d}"];
    let mut streams = Vec::new();
    for channel in channels {
        let (mut sink, stream) = redis.pubsub().await.unwrap().split();
        sink.ssubscribe(channel).await.unwrap();
        streams.push(stream);
    }
    let (mut sink, mut ordinary) = redis.pubsub().await.unwrap().split();
    sink.subscribe("ordinary").await.unwrap();
    let (mut sink, mut keys) = redis.pubsub().await.unwrap().split();
    sink.psubscribe("__keyevent@0__:incrby").await.unwrap();
    let before = redis.manager().counters().rotations;
    let mut last = 0_u64;
    while redis.manager().counters().rotations < before + 5 {
        last += 1;
        for channel in channels {
            // Over RESP2, of two connections while one takes over from the other.
            assert!(spublish(&redis, channel, last).await >= 1, "{channel} {last}");
            let _: u64 = redis.clone().incr(channel, 1).await.unwrap();
        }
        publish(&redis, "ordinary", last).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for stream in streams.iter_mut().chain([&mut ordinary]) {
        Heard::until(stream, last).await.assert_whole(last);
    }
    for _ in 0..last * channels.len() as u64 {
        message(&mut keys).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_on_a_cluster_over_resp3() {
    rotations_on_a_cluster(ProtocolVersion::RESP3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_on_a_cluster_over_resp2() {
    rotations_on_a_cluster(ProtocolVersion::RESP2).await;
}
