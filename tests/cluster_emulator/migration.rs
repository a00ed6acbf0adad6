//! Slots that move, under load and half-way.

use crate::{FOO, both, client::Client, owner, start};
use common::{SECOND, within};
use entra_redis::emulator::{Cluster, Emulator};
use redis::Value;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

/// Somebody else than this node.
fn other(node: usize) -> usize {
    (node + 1) % 3
}

async fn counted(client: &mut Client, slot: u16) -> u64 {
    client.run(&format!("CLUSTER COUNTKEYSINSLOT {slot}")).await
}

#[tokio::test]
async fn slots_move_with_their_keys() {
    for builder in both() {
        let (emulator, cluster) = start(builder).await;
        let (slot, key) = FOO;
        let from = owner(&cluster, slot).await;
        let to = other(from);
        let mut source = Client::of_node(&emulator, from).await;
        for number in 0..35 {
            source.run::<()>(&format!("SET {{{key}}}{number} {number}")).await;
        }
        cluster.move_slots(slot - 20..=slot + 20, to).await.unwrap();
        let nodes = cluster.nodes().await.unwrap();
        assert!(nodes[to].slots.contains(&(slot - 20..=slot + 20)), "{:?}", nodes[to]);
        let mut target = Client::of_node(&emulator, to).await;
        assert_eq!(counted(&mut target, slot).await, 35);
        assert_eq!(target.run::<u64>(&format!("GET {{{key}}}34")).await, 34);
        let port = cluster.address(to).unwrap().port();
        assert_eq!(source.redirection(&format!("GET {{{key}}}34")).await, Some(("MOVED".to_owned(), port)));
        // Once more is nothing to do.
        cluster.move_slots(slot..=slot, to).await.unwrap();
    }
}

async fn half_way(emulator: &Emulator, cluster: &Cluster) -> (Client, Client, entra_redis::emulator::Migration) {
    let (slot, key) = FOO;
    let from = owner(cluster, slot).await;
    let to = other(from);
    let mut source = Client::of_node(emulator, from).await;
    for tail in ["a", "b"] {
        source.run::<()>(&format!("SET {{{key}}}{tail} {tail}")).await;
    }
    let migration = cluster.begin_migration(slot..=slot, to).await.unwrap();
    (source, Client::of_node(emulator, to).await, migration)
}

#[tokio::test]
async fn a_migration_stands_half_way_until_it_is_finished() {
    for builder in both() {
        let (emulator, cluster) = start(builder).await;
        let (slot, key) = FOO;
        let (mut source, mut target, migration) = half_way(&emulator, &cluster).await;
        assert!(migration.move_key(format!("{{{key}}}a")).await.unwrap());
        assert!(!migration.move_key(format!("{{{key}}}a")).await.unwrap(), "it has been moved");
        assert!(!migration.move_key("in another slot").await.unwrap());

        let from = owner(&cluster, slot).await;
        let port = cluster.address(other(from)).unwrap().port();
        assert_eq!(source.redirection(&format!("GET {{{key}}}a")).await, Some(("ASK".to_owned(), port)));
        assert_eq!(source.run::<String>(&format!("GET {{{key}}}b")).await, "b");
        let both = format!("MGET {{{key}}}a {{{key}}}b");
        assert!(source.refusal(&both).await.starts_with("TRYAGAIN"));
        let asked = target.redirection(&format!("GET {{{key}}}a")).await;
        assert_eq!(asked, Some(("MOVED".to_owned(), cluster.address(from).unwrap().port())));
        target.run::<()>("ASKING").await;
        assert_eq!(target.run::<String>(&format!("GET {{{key}}}a")).await, "a");

        migration.finish().await.unwrap();
        assert_eq!(owner(&cluster, slot).await, other(from));
        assert_eq!(target.run::<Vec<String>>(&both).await, ["a", "b"]);
        assert_eq!(source.redirection(&both).await, Some(("MOVED".to_owned(), port)));
    }
}

#[tokio::test]
async fn keys_are_moved_in_portions() {
    for builder in both() {
        let (emulator, cluster) = start(builder).await;
        let (slot, _) = FOO;
        let (mut source, mut target, migration) = half_way(&emulator, &cluster).await;
        assert_eq!(migration.move_keys(1).await.unwrap(), 1);
        assert_eq!((counted(&mut source, slot).await, counted(&mut target, slot).await), (1, 1));
        assert_eq!(migration.move_keys(10).await.unwrap(), 1);
        assert_eq!(migration.move_keys(10).await.unwrap(), 0);
        migration.finish().await.unwrap();
    }
}

/// Wherever the counter is, each increment is counted once: as a client does it that follows redirections.
#[tokio::test]
async fn no_write_is_lost_while_slots_move_to_and_fro() {
    for builder in both() {
        let (emulator, cluster) = start(builder).await;
        let (slot, key) = FOO;
        let mut clients = [
            Client::of_node(&emulator, 0).await,
            Client::of_node(&emulator, 1).await,
            Client::of_node(&emulator, 2).await,
        ];
        let ports = [0, 1, 2].map(|node| cluster.address(node).unwrap().port());
        let moving = cluster.clone();
        let counted = Arc::new(AtomicI64::new(0));
        let seen = Arc::clone(&counted);
        let mover = tokio::spawn(async move {
            for round in 0..6 {
                moving.move_slots(slot - 3..=slot + 3, round % 3).await.unwrap();
                let before = seen.load(Relaxed);
                // Where that takes no time, the client is to come to it, too.
                let goes_on = async {
                    while seen.load(Relaxed) <= before + 5 {
                        tokio::task::yield_now().await;
                    }
                };
                within("counting goes on", 10 * SECOND, goes_on).await;
            }
        });
        let (mut node, mut count) = (0, 0);
        while !mover.is_finished() {
            let incr = common::cmd(&format!("INCR {key}"));
            let mut reply = clients[node].reply(&incr).await.unwrap();
            for _ in 0..10 {
                let Err(error) = reply.clone().extract_error() else { break };
                let (address, _) = error.redirect_node().unwrap_or_else(|| panic!("{error}"));
                let target = ports.iter().position(|port| address.ends_with(&format!(":{port}"))).unwrap();
                if error.code() == Some("ASK") {
                    clients[target].run::<()>("ASKING").await;
                } else {
                    node = target;
                }
                reply = clients[target].reply(&incr).await.unwrap();
            }
            count += 1;
            assert_eq!(reply, Value::Int(count));
            counted.store(count, Relaxed);
        }
        mover.await.unwrap();
        assert_eq!(count, counted.load(Relaxed));
    }
}
