//! Transactions one step after the other: what is committed is right, or nothing is committed.

use super::{HOUR, On, start, start_on};
use common::{SECOND, all_current, cmd, eventually, twice_a_second, within};
use entra_redis::{Dedicated, EntraRedis, Error, ErrorKind, LinkPurpose, emulator::RedisFront};
use redis::{AsyncCommands, RedisResult, Value, aio::ConnectionLike};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

async fn run(con: &mut impl ConnectionLike, line: &str) -> RedisResult<Value> {
    cmd(line).query_async(con).await
}

/// Increments with `WATCH`, `GET`, `MULTI`, `SET` and `EXEC`, each sent on its own; tried again until `EXEC` has run.
async fn increment(redis: &EntraRedis, key: &str) -> RedisResult<()> {
    loop {
        let mut con = redis.dedicated_for(key).await?;
        let attempt: RedisResult<Value> = async {
            run(&mut con, &format!("WATCH {key}")).await?;
            let count: Option<u64> = con.get(key).await?;
            run(&mut con, "MULTI").await?;
            run(&mut con, &format!("SET {key} {}", count.unwrap_or(0) + 1)).await?;
            run(&mut con, "EXEC").await
        }
        .await;
        match attempt {
            Ok(Value::Nil) => tokio::time::sleep(Duration::from_millis(fastrand::u64(0..20))).await,
            Ok(_) => return Ok(()),
            Err(error) if Error::kind_of(&error) == Some(ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

async fn ten_thousand_increments(on: On) {
    let (_azure, redis) = start_on(on, 2 * SECOND, |config| config.token_manager(twice_a_second())).await;
    let mut tasks = JoinSet::new();
    for task in 0..16_u64 {
        let redis = redis.clone();
        tasks.spawn(async move {
            for turn in 0..625_u64 {
                // Half of them by hand, on a key of their own; the others in each other's way.
                if task % 2 == 0 {
                    increment(&redis, &format!("own:{task}")).await?;
                } else {
                    let shared = format!("shared:{}", turn % 4);
                    let (_,): (Value,) = redis
                        .transaction(shared.clone(), async move |con, pipe| {
                            let count: Option<u64> = con.get(&shared).await?;
                            pipe.set(&shared, count.unwrap_or(0) + 1).query_async(con).await
                        })
                        .await?;
                }
                if turn % 25 == 0 {
                    // As long as the rotations take.
                    tokio::time::sleep(Duration::from_millis(220)).await;
                }
            }
            RedisResult::Ok(())
        });
    }
    for result in tasks.join_all().await {
        result.unwrap();
    }
    let mut con = redis.clone();
    let mut sum = 0;
    for task in (0..16).step_by(2) {
        let count: u64 = con.get(format!("own:{task}")).await.unwrap();
        assert_eq!(count, 625, "own:{task}");
        sum += count;
    }
    for key in 0..4 {
        sum += con.get::<_, u64>(format!("shared:{key}")).await.unwrap();
    }
    assert_eq!(sum, 10_000);
    let rotations = redis.manager().counters().rotations;
    assert!(rotations >= 10, "{rotations} rotations");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_increments_by_sixteen_tasks_through_ten_rotations_are_ten_thousand() {
    ten_thousand_increments(On::Endpoint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_increments_on_a_cluster_are_ten_thousand() {
    ten_thousand_increments(On::Cluster).await;
}

/// A connection that dies at any moment between `WATCH` and the end commits nothing, or once.
async fn connections_that_die(on: On) {
    let (azure, redis) = start_on(on, HOUR, |config| config.command_timeout(20 * SECOND)).await;
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let redis = redis.clone();
        tasks.spawn(async move {
            let (mut done, mut unknown) = (0_u64, 0_u64);
            for _ in 0..150 {
                let result: RedisResult<(Value,)> = redis
                    .transaction(&["count"], async |con, pipe| {
                        let count: Option<u64> = con.get("count").await?;
                        pipe.set("count", count.unwrap_or(0) + 1).query_async(con).await
                    })
                    .await;
                match result {
                    Ok(_) => done += 1,
                    Err(error) => {
                        // Only a transaction that was on its way fails for its connection.
                        assert!(error.is_connection_dropped() && error.to_string().contains("may have run"), "{error}");
                        unknown += 1;
                    }
                }
            }
            (done, unknown)
        });
    }
    let (mut cut, mut ended) = (0, Vec::new());
    while ended.is_empty() && cut < 100 {
        let connections: Vec<_> = azure.redis_fronts().iter().flat_map(RedisFront::connections).collect();
        if let Some(connection) = fastrand::choice(connections) {
            connection.cut();
            cut += 1;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        ended.extend(tasks.try_join_next().map(Result::unwrap));
    }
    ended.extend(tasks.join_all().await);
    let (done, unknown) = ended.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    // The last one may have been cut a moment ago.
    let count = eventually("the count", 10 * SECOND, async || redis.clone().get::<_, u64>("count").await.ok()).await;
    eprintln!("{cut} connections cut: {done} done, {unknown} that may be, {count} counted");
    assert!((done..=done + unknown).contains(&count), "{done} done, {unknown} that may be, {count} counted");
    assert!(done + unknown == 1_200 && done > 1_000 && cut > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_dies_commits_nothing_twice() {
    connections_that_die(On::Endpoint).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_dies_on_a_cluster_commits_nothing_twice() {
    connections_that_die(On::Cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_are_held_together_and_let_go_of_as_their_replies_say() {
    let (_azure, redis) = start(HOUR, |config| config).await;
    let mut con = redis.dedicated().await.unwrap();
    let _: () = con.set("text", "x").await.unwrap();
    // A new token reaches the connection unless it is in the middle of something.
    let rotated = async |con: &mut Dedicated, steps: &str, expected: bool| {
        for step in steps.split(';').filter(|step| !step.is_empty()) {
            _ = run(con, step).await;
        }
        let links = |purpose| redis.manager().stats().links.into_iter().filter(move |link| link.purpose == purpose);
        let generation = || links(LinkPurpose::Leased).map(|link| link.generation).next().unwrap();
        let before = generation();
        // Twice: in the second one all that may have the first one's token have it.
        for _ in 0..2 {
            redis.manager().refresh_token();
            common::rotations(&redis, 1, 10 * SECOND).await;
            let newest = redis.manager().stats().token.unwrap().generation;
            let is_newest = async || {
                let shared = links(LinkPurpose::Shared).all(|link| link.generation >= newest);
                (shared && (!expected || generation() >= newest)).then_some(())
            };
            eventually(&format!("the new token is everywhere: {steps}"), 10 * SECOND, is_newest).await;
        }
        assert_eq!(generation() > before, expected, "{steps}");
    };
    rotated(&mut con, "", true).await;
    rotated(&mut con, "WATCH a", false).await;
    rotated(&mut con, "UNWATCH", true).await;
    rotated(&mut con, "WATCH", true).await;
    rotated(&mut con, "MULTI;INCR a;UNWATCH", false).await;
    rotated(&mut con, "NONSENSE;EXEC", true).await;
    rotated(&mut con, "WATCH a;MULTI;DISCARD", true).await;
    rotated(&mut con, "EXEC;DISCARD", true).await;
    rotated(&mut con, "WATCH a;EXEC", false).await;
    rotated(&mut con, "MULTI;EXEC;GET a", true).await;
    assert_eq!(con.get::<_, Option<u64>>("a").await.unwrap(), None);
}

/// The token is about to expire in the middle of a transaction: no commit, and an error that says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_token_expires_meanwhile_is_interrupted_and_commits_nothing() {
    let (_azure, redis) = start(2 * SECOND, |config| config).await;
    let mut con = redis.dedicated().await.unwrap();
    run(&mut con, "WATCH count").await.unwrap();
    run(&mut con, "MULTI").await.unwrap();
    run(&mut con, "SET count 1").await.unwrap();
    eventually("its connection is given up", 10 * SECOND, async || (!con.is_open()).then_some(())).await;
    for step in ["EXEC", "MULTI", "GET count"] {
        let error = run(&mut con, step).await.unwrap_err();
        assert_eq!(Error::kind_of(&error), Some(ErrorKind::Interrupted), "{step}: {error}");
        assert!(error.is_connection_dropped() && Error::from_redis(&error).unwrap().is_transient(), "{error}");
    }
    assert_eq!(redis.clone().get::<_, Option<u64>>("count").await.unwrap(), None);
    // Another one has its whole time.
    increment(&redis, "count").await.unwrap();
    // And the one that tries again by itself does: its first attempt waits for its own end.
    let mut attempts = 0;
    let (count,): (u64,) = redis
        .transaction(&["count"], async |con, pipe| {
            attempts += 1;
            if attempts == 1 {
                eventually("its connection is given up", 10 * SECOND, async || (!con.is_open()).then_some(())).await;
            }
            pipe.incr("count", 1).query_async(con).await
        })
        .await
        .unwrap();
    assert_eq!((attempts, count), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_user_sees_nothing_of_the_last() {
    let (_azure, redis) = start(HOUR, |config| config.max_leased(1)).await;
    let mut other = redis.clone();
    for (steps, is_used_again) in [
        ("PING", true),
        ("WATCH a;UNWATCH", true),
        ("MULTI;SET b 1;DISCARD", true),
        ("SELECT 3;SET b 1;SELECT 0", true),
        ("CLIENT ID", true),
        ("CLIENT REPLY OFF;SET b 1;CLIENT REPLY ON;PING", true),
        ("BLPOP nothing 0.01", true),
        ("WATCH a", false),
        ("MULTI;SET b 1", false),
        ("SELECT 3", false),
        ("MULTI;SELECT 3;EXEC", false),
        ("CLIENT SETNAME me", false),
        ("CLIENT TRACKING ON", false),
        ("CLIENT NO-EVICT ON", false),
    ] {
        let mut con = redis.dedicated().await.unwrap();
        let id: Value = run(&mut con, "CLIENT ID").await.unwrap();
        for step in steps.split(';') {
            run(&mut con, step).await.unwrap_or_else(|error| panic!("{step}: {error}"));
        }
        drop(con);
        let _: () = other.set("a", "changed").await.unwrap();
        let mut con = redis.dedicated().await.unwrap();
        let next: Value = run(&mut con, "CLIENT ID").await.unwrap();
        assert_eq!(id == next, is_used_again, "{steps}");
        let info: String = cmd("CLIENT INFO").query_async(&mut con).await.unwrap();
        assert!(info.contains(" db=0 ") && info.contains(" name= ") && info.contains(" multi=-1 "), "{steps}: {info}");
        assert!(info.contains(" flags=N "), "{steps}: {info}");
        // Nothing is watched: this would be refused.
        let (set,): (Value,) = redis::pipe().atomic().set("c", 1).query_async(&mut con).await.unwrap();
        assert_eq!(set, Value::Okay, "{steps}");
    }
}

/// One that is given up in the middle of a command, or of a transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_is_closed() {
    let (_azure, redis) = start(HOUR, |config| config.max_leased(1)).await;
    let mut con = redis.dedicated().await.unwrap();
    let blocked = tokio::time::timeout(SECOND / 10, run(&mut con, "BLPOP queue 0")).await;
    assert!(blocked.is_err());
    let error = run(&mut con, "PING").await.unwrap_err();
    assert!(error.is_connection_dropped() && error.to_string().contains("not sent"), "{error}");
    drop(con);
    super::blocked(&redis, 0).await;
    let _: () = redis.clone().rpush("queue", "x").await.unwrap();
    let mut con = within("another one", 5 * SECOND, redis.dedicated()).await.unwrap();
    assert_eq!(con.lpop::<_, Option<String>>("queue", None).await.unwrap().as_deref(), Some("x"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_that_nobody_wants_shift_no_others() {
    let (_azure, redis) = start(2 * SECOND, |config| config).await;
    let mut con = redis.dedicated().await.unwrap();
    for turn in 0..50_u64 {
        assert_eq!(run(&mut con, "CLIENT REPLY OFF").await.unwrap(), Value::Nil);
        for _ in 0..10 {
            assert_eq!(run(&mut con, "INCR count").await.unwrap(), Value::Nil);
        }
        assert_eq!(run(&mut con, "CLIENT REPLY ON").await.unwrap(), Value::Okay);
        assert_eq!(run(&mut con, "CLIENT REPLY SKIP").await.unwrap(), Value::Nil);
        assert_eq!(run(&mut con, "INCR count").await.unwrap(), Value::Nil);
        assert_eq!(con.get::<_, u64>("count").await.unwrap(), 11 * (turn + 1));
        tokio::time::sleep(SECOND / 10).await;
    }
    // A new token has passed, and its replies have come.
    assert!(redis.manager().counters().rotations >= 3);
    assert_eq!(redis.manager().counters().reauth_failures, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalidations_come_to_whoever_has_asked_for_tracking() {
    let (_azure, redis) = start(HOUR, |config| config).await;
    let mut con = redis.dedicated().await.unwrap();
    let mut pushes = con.pushes();
    run(&mut con, "CLIENT TRACKING ON").await.unwrap();
    let _: Option<String> = con.get("key").await.unwrap();
    let _: () = redis.clone().set("key", "new").await.unwrap();
    let push = within("the invalidation", 5 * SECOND, pushes.recv()).await.unwrap();
    assert_eq!(push.kind, redis::PushKind::Invalidate);
    drop(con);
    assert!(within("the end", 5 * SECOND, pushes.recv()).await.is_none());
}

/// There, a reply and a push look the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_resp2_there_are_no_pushes_and_every_reply_is_its_own_commands() {
    let (_azure, redis) = start(HOUR, |config| config.protocol(redis::ProtocolVersion::RESP2)).await;
    let mut con = redis.dedicated().await.unwrap();
    let mut pushes = con.pushes();
    assert!(within("the end", 5 * SECOND, pushes.recv()).await.is_none());
    run(&mut con, "RPUSH list subscribe channel 1").await.unwrap();
    let list: Vec<String> = con.lrange("list", 0, -1).await.unwrap();
    assert_eq!(list, ["subscribe", "channel", "1"], "what looks like a confirmation");
}

/// A script that takes longer than other commands may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_script_has_the_time_that_it_is_given() {
    let (_azure, redis) = start(HOUR, |config| config.command_timeout(SECOND)).await;
    let slow = "local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 3 do end return 'done'";
    let mut con = redis.dedicated().await.unwrap();
    con.set_command_timeout(20 * SECOND);
    let began = Instant::now();
    let done: String = redis::cmd("EVAL").arg(slow).arg(0).query_async(&mut con).await.unwrap();
    assert!(done == "done" && began.elapsed() >= SECOND);
    all_current(&redis).await;
    assert!(con.is_open());
    con.set_command_timeout(SECOND / 2);
    let error = redis::cmd("EVAL").arg(slow).arg(0).query_async::<Value>(&mut con).await.unwrap_err();
    assert!(error.is_timeout() && !con.is_open(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_gives_up_after_a_hundred_conflicts_and_leaves_nothing() {
    let (_azure, redis) = start(HOUR, |config| config).await;
    let mut other = redis.clone();
    let mut attempts = 0;
    let result: RedisResult<(Value,)> = redis
        .transaction("key", async |con, pipe| {
            attempts += 1;
            let _: () = other.set("key", attempts).await?;
            pipe.set("key", "mine").query_async(con).await
        })
        .await;
    let error = result.unwrap_err();
    assert_eq!((Error::kind_of(&error), attempts), (Some(ErrorKind::Conflict), 100), "{error}");
    assert_eq!(redis.clone().get::<_, String>("key").await.unwrap(), "100");
    // What its body returns is returned, and nothing is watched any more.
    let error = redis
        .transaction("key", async |_, _| Err::<Option<()>, _>((redis::ErrorKind::Client, "mine").into()))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), redis::ErrorKind::Client);
    let unsent = redis.transaction("key", async |_, _| Ok(Some(7))).await.unwrap();
    assert_eq!(unsent, 7);
    let error = redis.transaction(&[] as &[&str], async |_, _| Ok(Some(7))).await.unwrap_err();
    assert!(error.to_string().contains("at least one key"), "{error}");
    assert!(redis.manager().counters().links_opened <= 3, "one connection did for all of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_end_the_upkeep_of_the_connection_is_refused() {
    let (_azure, redis) = start(HOUR, |config| config).await;
    let mut con = redis.dedicated().await.unwrap();
    for line in ["AUTH user s3cr3t", "HELLO 3", "RESET", "QUIT", "MONITOR", "SUBSCRIBE c", "CLIENT REPLY MAYBE"] {
        let error = run(&mut con, line).await.unwrap_err();
        assert_eq!(error.kind(), redis::ErrorKind::Client, "{line}: {error}");
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
    }
    run(&mut con, "MULTI").await.unwrap();
    let error = redis::pipe().atomic().get("a").query_async::<Value>(&mut con).await.unwrap_err();
    assert!(error.to_string().contains("within `MULTI`"), "{error}");
    run(&mut con, "EXEC").await.unwrap();
    // The handle says what does it.
    let mut handle = redis.clone();
    for (line, what) in [
        ("WATCH a", "EntraRedis::transaction"),
        ("MULTI", "EntraRedis::dedicated"),
        ("CLIENT TRACKING ON", "EntraRedis::dedicated"),
        ("SELECT 1", "EntraRedis::dedicated"),
    ] {
        let error = run(&mut handle, line).await.unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

/// What comes after the pipeline may fail in a way that is otherwise a reason to begin again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_has_run_is_not_run_again_whatever_comes_after_it() {
    let (azure, redis) = start(HOUR, |config| config).await;
    let error = redis
        .transaction("count", async |con, pipe| {
            let (count,): (u64,) = match pipe.incr("count", 1).query_async(con).await? {
                Some(counted) => counted,
                None => return Ok(None),
            };
            azure.redis_front().cut_all();
            let () = con.get("log").await?;
            Ok(Some(count))
        })
        .await
        .unwrap_err();
    assert!(error.is_connection_dropped() || error.is_io_error(), "{error}");
    // Another connection may not have noticed yet that it was cut.
    let count = eventually("the count", 10 * SECOND, async || redis.clone().get::<_, u64>("count").await.ok()).await;
    assert_eq!(count, 1);
}

/// Nobody knows whether an `EXEC` has run whose future was dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_whose_end_was_given_up_is_not_run_again() {
    let (azure, redis) = start(HOUR, |config| config).await;
    let mut calls = 0;
    let result = redis
        .transaction("count", async |con, pipe| {
            calls += 1;
            let _: Option<u64> = con.get("count").await?;
            azure.redis_front().freeze();
            let sent = pipe.incr("count", 1).query_async::<Option<(u64,)>>(con);
            let given_up = tokio::time::timeout(SECOND / 5, sent).await.is_err();
            azure.redis_front().thaw();
            assert!(given_up);
            let next: RedisResult<Value> = run(con, "PING").await;
            assert!(next.is_err_and(|error| error.to_string().contains("may have run")));
            Ok(None::<()>)
        })
        .await;
    assert!(result.unwrap_err().to_string().contains("may have run"));
    assert_eq!(calls, 1);
}

/// It waits before the next attempt, and somebody else has the connection meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_waits_after_a_conflict_has_no_connection() {
    let (_azure, redis) = start(HOUR, |config| config.max_leased(1)).await;
    let begun = tokio::sync::Notify::new();
    let conflicts = redis.transaction("key", async |_, _| {
        begun.notify_one();
        Ok(None::<()>)
    });
    let other = async {
        begun.notified().await;
        redis.dedicated().await
    };
    tokio::select! {
        con = other => assert!(con.unwrap().is_open()),
        ended = conflicts => panic!("others had to wait until it ended: {ended:?}"),
    }
}
