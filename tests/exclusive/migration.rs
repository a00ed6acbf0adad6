//! On a cluster whose slots are on their way, and while their new owners are not known yet.

use super::cluster::{FOO, blocked_at, served, waiting, with_replicas};
use common::{Azure, HOUR, SECOND, cmd, eventually, owner, within};
use entra_redis::{Config, EntraRedis, Error, ErrorKind, emulator::Cluster};
use redis::{AsyncCommands, RedisResult, Value};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Three primaries without replicas.
async fn with_primaries(set: impl FnOnce(Config) -> Config) -> (Azure, Cluster, EntraRedis) {
    let azure = common::clusters::three(HOUR).await;
    let cluster = azure.cluster().expect("a cluster was asked for").clone();
    let redis = azure.connect(set(azure.config().topology_refresh_interval(HOUR))).await;
    (azure, cluster, redis)
}

/// A handle whose commands have time for a migration to end.
async fn patient(azure: &Azure) -> EntraRedis {
    azure.connect(azure.config().topology_refresh_interval(HOUR).command_timeout(20 * SECOND)).await
}

/// So many increments by so many tasks.
async fn increments(redis: &EntraRedis, key: &'static str, tasks: u64, each: u64) {
    let mut all = JoinSet::new();
    for _ in 0..tasks {
        let redis = redis.clone();
        all.spawn(async move {
            for _ in 0..each {
                let name = key.to_owned();
                let (_,): (Value,) = redis
                    .transaction(name.clone(), async move |con, pipe| {
                        let count: Option<u64> = con.get(&name).await?;
                        pipe.set(&name, count.unwrap_or(0) + 1).query_async(con).await
                    })
                    .await?;
            }
            RedisResult::Ok(())
        });
    }
    for result in all.join_all().await {
        result.unwrap();
    }
}

/// A migration takes as long as it takes: what is not at its old place any more is watched and changed at its new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_go_on_while_their_slot_is_on_its_way() {
    let (_azure, cluster, redis) = with_primaries(|config| config.command_timeout(2 * SECOND)).await;
    let mut con = redis.clone();
    let from = owner(&cluster, FOO).await;
    let _: () = con.set("{foo}there", 100).await.unwrap();
    for round in 1..=2 {
        let migration = cluster.begin_migration(FOO..=FOO, (from + round) % 3).await.unwrap();
        // One that is new, and so at the new node; one that is still at the old one; and one that has two keys there.
        within("at the new node", 20 * SECOND, increments(&redis, "{foo}new", 4, 10)).await;
        within("at the old node", 20 * SECOND, increments(&redis, "{foo}there", 4, 10)).await;
        let both = within("two keys", 20 * SECOND, async {
            let body = async |con: &mut entra_redis::Dedicated, pipe: &mut redis::Pipeline| {
                let count: Option<u64> = con.get("{foo}new").await?;
                pipe.set("{foo}new", count.unwrap_or(0)).incr("{foo}new", 1).query_async(con).await
            };
            redis.transaction("{foo}new", body).await
        });
        let (_, count): (Value, u64) = both.await.unwrap();
        assert_eq!(count, 41 * round as u64);
        migration.finish().await.unwrap();
        assert_eq!(con.get::<_, u64>("{foo}new").await.unwrap(), 41 * round as u64);
        assert_eq!(con.get::<_, u64>("{foo}there").await.unwrap(), 100 + 40 * round as u64);
    }
}

/// `MULTI`, what is queued, and `EXEC`, each sent on its own: as an atomic pipeline would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_step_by_step_go_on_while_their_slot_is_on_its_way() {
    let (_azure, cluster, redis) = with_primaries(|config| config.command_timeout(20 * SECOND)).await;
    let mut con = redis.clone();
    let from = owner(&cluster, FOO).await;
    let _: () = con.set("{foo}there", 100).await.unwrap();
    let migration = cluster.begin_migration(FOO..=FOO, (from + 1) % 3).await.unwrap();
    for key in ["{foo}new", "{foo}there"] {
        for turn in 1..=5 {
            let steps = redis.transaction(key, async |con, _| {
                let count: u64 = con.get::<_, Option<u64>>(key).await?.unwrap_or(0);
                let _: Value = cmd("MULTI").query_async(con).await?;
                let _: Value = cmd("PING").query_async(con).await?;
                let _: Value = redis::cmd("SET").arg(key).arg(count + 1).query_async(con).await?;
                // Several at once, as well.
                let _: Value = redis::pipe().incr(key, 10).incr(key, -10).query_async(con).await?;
                cmd("EXEC").query_async::<Option<Vec<Value>>>(con).await
            });
            let replies = within("it does not wait for the end", 10 * SECOND, steps).await.unwrap();
            assert_eq!(replies.len(), 4, "{key}, {turn}: {replies:?}");
        }
    }
    migration.finish().await.unwrap();
    assert_eq!(con.get::<_, u64>("{foo}new").await.unwrap(), 5);
    assert_eq!(con.get::<_, u64>("{foo}there").await.unwrap(), 105);
}

/// Behind `ASKING` Redis would serve all that is queued, as if what has not come yet were missing: so what is not known
/// to have come ends the transaction, also for a caller who goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_with_a_key_that_may_be_at_the_old_place_ends_the_transaction() {
    let (azure, cluster, redis) = with_primaries(|config| config.command_timeout(3 * SECOND)).await;
    let from = owner(&cluster, FOO).await;
    let _: () = redis.clone().set("{foo}there", 100).await.unwrap();
    let migration = cluster.begin_migration(FOO..=FOO, (from + 1) % 3).await.unwrap();
    let mut migration = Some(migration);
    for step in ["INCR {foo}there", "EVAL return{} 0"] {
        let mut seen = None;
        let result: RedisResult<()> = redis
            .transaction("{foo}new", async |con, _| {
                let _: Value = cmd("MULTI").query_async(con).await?;
                let _: Value = cmd("INCR {foo}new").query_async(con).await?;
                let error = cmd(step).query_async::<Value>(con).await.unwrap_err();
                seen = Some(error.clone());
                let end = cmd("EXEC").query_async::<Value>(con).await.unwrap_err();
                assert_eq!(Error::kind_of(&end), Some(ErrorKind::Interrupted), "{end}");
                Err(error)
            })
            .await;
        let (error, seen) = (result.unwrap_err(), seen.unwrap());
        assert_eq!(Error::kind_of(&seen), Some(ErrorKind::Interrupted), "{step}: {seen}");
        assert!(seen.to_string().contains("begin it again"), "{step}: {seen}");
        assert!(
            Error::kind_of(&error) == Some(ErrorKind::Interrupted) || error.code() == Some("ASK"),
            "{step}: {error}"
        );
    }
    // The end of the migration is what it has waited for.
    let patient = patient(&azure).await;
    let waits = patient.transaction("{foo}new", async |con, _| {
        let _: Value = cmd("MULTI").query_async(con).await?;
        let _: Value = cmd("INCR {foo}new").query_async(con).await?;
        let there = cmd("INCR {foo}there").query_async::<Value>(con).await;
        if let Some(migration) = migration.take() {
            migration.finish().await.unwrap();
        }
        _ = there?;
        cmd("EXEC").query_async::<Option<(u64, u64)>>(con).await
    });
    assert_eq!(within("it goes on", 30 * SECOND, waits).await.unwrap(), (1, 101));
}

/// The keys move while they are watched: nothing is lost, and nothing counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_count_right_while_their_keys_move() {
    let (_azure, cluster, redis) = with_primaries(|config| config).await;
    let tasks = increments(&redis, "{foo}count", 8, 200);
    let moving = async {
        for round in 0..6 {
            let from = owner(&cluster, FOO).await;
            let migration = cluster.begin_migration(FOO..=FOO, (from + 1) % 3).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50 * (round % 3))).await;
            migration.finish().await.unwrap();
        }
    };
    let ((), ()) = within("all of them", 120 * SECOND, async { tokio::join!(tasks, moving) }).await;
    assert_eq!(redis.clone().get::<_, u64>("{foo}count").await.unwrap(), 1_600);
}

/// Its keys had gone when it was begun; after a conflict they may be back at their old place, with their slot on its
/// way once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_conflict_a_transaction_asks_the_owner_anew() {
    let (_azure, cluster, redis) = with_primaries(|config| config).await;
    let from = owner(&cluster, FOO).await;
    let to = (from + 1) % 3;
    let mut migration = Some(cluster.begin_migration(FOO..=FOO, to).await.unwrap());
    let mut attempts = 0;
    let (count,): (u64,) = redis
        .transaction("{foo}count", async |con, pipe| {
            attempts += 1;
            if attempts > 1 {
                return pipe.incr("{foo}count", 1).query_async(con).await;
            }
            assert_eq!(con.get::<_, Option<u64>>("{foo}count").await?, None);
            let _: () = redis.clone().set("{foo}count", 5).await?;
            migration.take().unwrap().finish().await.unwrap();
            cluster.move_slots(FOO..=FOO, from).await.unwrap();
            migration = Some(cluster.begin_migration(FOO..=FOO, to).await.unwrap());
            Ok(None)
        })
        .await
        .unwrap();
    assert_eq!((attempts, count), (2, 6));
    migration.unwrap().finish().await.unwrap();
    assert_eq!(redis.clone().get::<_, u64>("{foo}count").await.unwrap(), 6);
}

/// What is not watched may still be at the old place: nobody writes beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_uses_other_keys_waits_for_the_end_of_the_migration() {
    let (_azure, cluster, redis) = with_primaries(|config| config.command_timeout(2 * SECOND)).await;
    let from = owner(&cluster, FOO).await;
    let mut con = redis.clone();
    let _: () = con.set("{foo}there", 100).await.unwrap();
    let migration = cluster.begin_migration(FOO..=FOO, (from + 1) % 3).await.unwrap();
    for steps in ["read", "pipeline", "steps"] {
        let more = async || -> RedisResult<u64> {
            redis
                .transaction("{foo}new", async |con, pipe| match steps {
                    "read" => con.get("{foo}there").await.map(Some),
                    "pipeline" => {
                        let (_, count): (Value, u64) =
                            pipe.get("{foo}new").incr("{foo}there", 1).query_async(con).await?;
                        Ok(Some(count))
                    }
                    _ => {
                        let _: Value = cmd("MULTI").query_async(con).await?;
                        let _: Value = cmd("INCR {foo}there").query_async(con).await?;
                        let (count,): (u64,) = cmd("EXEC").query_async(con).await?;
                        Ok(Some(count))
                    }
                })
                .await
        };
        let began = Instant::now();
        let error = within("its time", 10 * SECOND, more()).await.unwrap_err();
        assert!(began.elapsed() >= SECOND, "{steps}: it has not waited: {:?}, {error}", began.elapsed());
        let is_ended = Error::kind_of(&error) == Some(ErrorKind::Interrupted);
        assert!(is_ended || matches!(error.code(), Some("MOVED" | "ASK" | "EXECABORT")), "{steps}: {error}");
    }
    migration.finish().await.unwrap();
    assert_eq!(con.get::<_, u64>("{foo}there").await.unwrap(), 100);
}

/// All keys of one transaction are where the transaction is, or it waits, and says why when its time is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_whose_keys_are_on_both_sides_waits_within_its_time() {
    let (azure, cluster, redis) = with_primaries(|config| config.command_timeout(3 * SECOND)).await;
    let from = owner(&cluster, FOO).await;
    let _: () = redis.clone().set("{foo}there", 1).await.unwrap();
    let migration = cluster.begin_migration(FOO..=FOO, (from + 1) % 3).await.unwrap();
    let both = async |redis: &EntraRedis| -> RedisResult<()> {
        redis
            .transaction(&["{foo}there", "{foo}new"], async |con, pipe| pipe.incr("{foo}new", 1).query_async(con).await)
            .await
    };
    let began = Instant::now();
    let error = within("its time", 10 * SECOND, both(&redis)).await.unwrap_err();
    assert!(began.elapsed() >= SECOND, "it has not waited: {:?}, {error}", began.elapsed());
    assert_eq!(error.code(), Some("TRYAGAIN"), "{error}");
    let patient = patient(&azure).await;
    let (waits, ()) = tokio::join!(both(&patient), async { migration.finish().await.unwrap() });
    waits.unwrap();
    assert_eq!(redis.clone().get::<_, u64>("{foo}new").await.unwrap(), 1);
}

/// Between two slices its place is looked at: the connection that it does not need any more serves the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_kept_while_the_slot_is_on_its_way() {
    let (_azure, cluster, redis) = with_primaries(|config| config.ping_interval(Duration::from_millis(40))).await;
    let from = owner(&cluster, FOO).await;
    let migration = cluster.begin_migration(FOO..=FOO, (from + 1) % 3).await.unwrap();
    let popping = waiting(&redis, "BLPOP {foo}queue 0");
    let before = redis.manager().counters().links_opened;
    tokio::time::sleep(SECOND).await;
    let opened = redis.manager().counters().links_opened - before;
    assert!(opened <= 4, "{opened} connections were opened in some twenty slices");
    let _: () = redis.clone().rpush("{foo}queue", "half-way").await.unwrap();
    served(popping, "half-way").await;
    migration.finish().await.unwrap();
}

/// Whoever has been let in and has to go elsewhere waits for a connection for as long as it waits for an element.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_sent_elsewhere_waits_for_its_turn_there() {
    let (_azure, cluster, redis) = with_primaries(|config| config.max_leased(1).command_timeout(20 * SECOND)).await;
    let from = owner(&cluster, FOO).await;
    let popping = waiting(&redis, "BLPOP {foo}queue 0");
    blocked_at(&cluster, from, 1).await;
    // Others wait for the only connection, and one of them may get it first, for longer than a redirect is followed at
    // once.
    let is_elsewhere = |key: &String| common::slot_of(key) / 5462 != FOO / 5462;
    let keys: Vec<_> = (0..).map(|number| format!("key{number}")).filter(is_elsewhere).take(8).collect();
    let others: Vec<_> = keys.iter().map(|key| waiting(&redis, &format!("BLPOP {key} 0"))).collect();
    tokio::time::sleep(SECOND / 5).await;
    cluster.move_slots(FOO..=FOO, (from + 1) % 3).await.unwrap();
    tokio::time::sleep(3 * SECOND).await;
    assert!(!popping.is_finished(), "it has been given up");
    for key in keys.iter().map(String::as_str).chain(["{foo}queue"]) {
        let _: () = redis.clone().rpush(key, "x").await.unwrap();
    }
    for waiting in others.into_iter().chain([popping]) {
        served(waiting, "x").await;
    }
}

/// What `WAIT` writes has a key for each node; the slot of one has moved, and nobody here knows it yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wait_goes_after_slots_that_have_moved() {
    let (azure, cluster, first) = with_replicas(HOUR).await;
    let redis = azure.connect(azure.config().topology_refresh_interval(HOUR)).await;
    drop(first);
    let mut con = redis.clone();
    for turn in 0..4 {
        let from = owner(&cluster, 0).await;
        cluster.move_slots(0..=20, (from + 1) % 3).await.unwrap();
        let waited = within("it answers", 20 * SECOND, cmd("WAIT 1 5000").query_async::<u64>(&mut con)).await;
        assert_eq!(waited.unwrap(), 1, "{turn}");
    }
    eventually("nothing of it is left", 10 * SECOND, async || {
        (cmd("DBSIZE").query_async::<u64>(&mut con).await.ok()? == 0).then_some(())
    })
    .await;
}
