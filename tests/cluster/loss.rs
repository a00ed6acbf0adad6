//! Commands whose connection breaks while they are on their way: what they say, and what `retry_reads` does for those
//! that only read.

use super::{traffic::keys_of, *};
use common::{SECOND, eventually, within};
use entra_redis::emulator::{FrontConnection, RedisFront};
use redis::{AsyncCommands, RedisError};

/// Whoever is connected is answered no more; whoever comes is.
fn freeze_connections(front: &RedisFront) {
    front.connections().iter().for_each(FrontConnection::freeze);
}

/// Waits until so many commands have been sent.
async fn sent(redis: &EntraRedis, count: u64) {
    let sent = async || (redis.manager().stats().commands.sent >= count).then_some(());
    eventually("the commands are on their way", 5 * SECOND, sent).await;
}

/// The outcomes of two commands that were lost: of one that is polled again only when the node has other links already,
/// and of one that is waited for all the time.
async fn losses(set: impl FnOnce(Config) -> Config, write: bool) -> (String, [Result<(), RedisError>; 2]) {
    let (_emulator, cluster, redis) = three_of(HOUR, set).await;
    nodes_up(&redis, 3).await;
    let key = keys_of(&cluster, 1, 1).await.remove(0);
    let _: () = redis.clone().set(&key, 1).await.unwrap();
    let front = cluster.front(1).unwrap();
    freeze_connections(&front);
    let before = redis.manager().stats();
    let command = || {
        let (mut con, key) = (redis.clone(), key.clone());
        async move { if write { con.set(key, 2).await } else { con.get::<_, i64>(key).await.map(drop) } }
    };
    let (late, waiting) = (command(), tokio::spawn(command()));
    let mut late = Box::pin(late);
    assert!(futures_util::poll!(&mut late).is_pending());
    sent(&redis, before.commands.sent + 2).await;
    front.cut_all();
    eventually("there are other links", 5 * SECOND, async || {
        let stats = redis.manager().stats();
        let is_new = |link: &entra_redis::LinkStats| before.links.iter().all(|old| old.link != link.link);
        let address = cluster.address(1).unwrap().to_string();
        let links = stats.links.iter().filter(|link| link.node == address);
        (links.filter(|link| is_new(link) && link.is_open()).count() == 2 && stats.draining == 0).then_some(())
    })
    .await;
    let outcomes =
        [within("the late one", 5 * SECOND, late).await, within("the other one", 5 * SECOND, waiting).await.unwrap()];
    idle(&redis).await;
    (cluster.address(1).unwrap().to_string(), outcomes)
}

#[tokio::test]
async fn what_is_lost_names_its_node() {
    for write in [true, false] {
        let (address, outcomes) = losses(|config| config, write).await;
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            assert!(error.is_connection_dropped(), "{error}");
            assert!(error.to_string().contains(&format!("Redis at {address} was lost")), "{error}");
        }
    }
}

#[tokio::test]
async fn reads_go_once_more_if_that_is_wished() {
    let (_, reads) = losses(|config| config.retry_reads(true), false).await;
    for read in reads {
        read.expect("it is sent once more");
    }
    let (_, writes) = losses(|config| config.retry_reads(true), true).await;
    for write in writes {
        write.expect_err("it may have run");
    }
}

/// A read that was on its way to a primary that dies goes to the successor, and so do parts of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_to_the_successor_of_a_dead_primary() {
    let set = |config: Config| config.retry_reads(true).command_timeout(15 * SECOND);
    let (_emulator, cluster, redis) = handle_to(clusters::with_replicas(HOUR).await, set).await;
    nodes_up(&redis, 3).await;
    let [here, there] = [keys_of(&cluster, 0, 3).await, keys_of(&cluster, 1, 2).await];
    for key in here.iter().chain(&there) {
        let _: () = redis.clone().set(key, 1).await.unwrap();
    }
    // What the replica has not got dies with the primary.
    eventually("the replica has all of it", 10 * SECOND, async || {
        (behind::<i64>(&cluster, 3, "DBSIZE").await == 3).then_some(())
    })
    .await;
    freeze_connections(&cluster.front(0).unwrap());
    let before = redis.manager().stats().commands.sent;
    let (mut con, key) = (redis.clone(), here[0].clone());
    let read = tokio::spawn(async move { con.get::<_, i64>(key).await });
    let (mut con, keys) = (redis.clone(), [&here[1], &there[0], &here[2], &there[1]].map(Clone::clone));
    let reads = tokio::spawn(async move { con.mget::<_, Vec<i64>>(&keys).await });
    let (mut con, key) = (redis.clone(), here[0].clone());
    let write = tokio::spawn(async move { con.set::<_, _, ()>(key, 2).await });
    sent(&redis, before + 4).await;
    cluster.kill(0).await.unwrap();
    let error = write.await.unwrap().unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    assert_eq!(cluster.promoted(0).await.unwrap(), 3);
    assert_eq!(read.await.unwrap().unwrap(), 1);
    assert_eq!(reads.await.unwrap().unwrap(), [1; 4]);
    idle(&redis).await;
}
