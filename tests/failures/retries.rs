//! Exactly what is sent again: what certainly has not run, and, if that is wished, what only reads. Proved by counters.

use common::{
    Azure, Fixture, HOUR, SECOND, cmd,
    counting::{Counting, How},
    eventually, links_up,
    server::Server,
    within,
};
use entra_redis::{
    EntraRedis,
    emulator::{Emulator, FrontConnection},
};
use redis::{AsyncCommands, Pipeline, RedisResult};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The kills are at the same moments, and meet the same links, as far as the machine allows.
const SEED: u64 = 5;

async fn two_links(emulator: &Azure, retry_reads: bool) -> EntraRedis {
    let config = emulator.config().pool_size(2).retry_reads(retry_reads);
    let redis = emulator.connect(config).await;
    links_up(&redis, 2).await;
    redis
}

fn pipeline(lines: &[&str]) -> Pipeline {
    let mut pipeline = redis::pipe();
    for line in lines {
        pipeline.add_command(cmd(line));
    }
    pipeline
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_killed_connections_count_nothing_twice_and_lose_nothing_that_succeeded() {
    let server = Server::start();
    let mut admin = server.admin().await;
    // Links that are killed young come back ever more slowly: it takes many for a thousand kills.
    let redis = server.up(server.config().command_timeout(20 * SECOND), 96).await;
    let load = [("single", How::Single), ("pipeline", How::Pipeline), ("transaction", How::Transaction)];
    let load = load.map(|(key, how)| Counting::start(&redis, 16, key, how));
    let mut random = fastrand::Rng::with_seed(SEED);
    let (began, mut killed, mut struck) = (Instant::now(), 0, 0);
    let lost = || redis.manager().stats().commands.failed.lost;
    while killed < 1_000 || struck < 200 {
        assert!(began.elapsed() < 180 * SECOND, "{killed} kills in three minutes, {struck} of them of a busy link");
        let before = lost();
        killed += match random.u8(..100) {
            0..2 => admin.kill_links().await,
            // Mostly an idle one: the first links carry the load.
            2..10 => admin.kill_a_link(&mut random).await,
            _ => admin.kill_a_busy_link(&mut random).await,
        };
        sleep(Duration::from_millis(random.u64(2..30))).await;
        struck += u64::from(lost() > before);
    }
    let (mut asked, mut done, mut errors) = (0, 0, 0);
    for counting in load {
        let counted = counting.stop().await;
        let key = counted.key;
        let at_redis: u64 = admin.ask(&format!("GET {key}")).await;
        assert!(counted.done <= at_redis, "{key}: {} succeeded, {at_redis} counted", counted.done);
        assert!(at_redis <= counted.asked, "{key}: {} asked for, {at_redis} counted", counted.asked);
        assert!(key != "transaction" || at_redis.is_multiple_of(2), "half a transaction has run");
        for error in &counted.errors {
            assert!(error.is_connection_dropped(), "{key}: {error}");
        }
        (asked, done, errors) = (asked + counted.asked, done + counted.done, errors + counted.errors.len());
    }
    assert!(done < asked, "nothing was ever lost: the test proves nothing");
    let stats = redis.manager().stats().commands;
    assert_eq!((stats.failed.lost, stats.failed.total()), (errors as u64, errors as u64));
    assert!(stats.retried > 0, "nothing was ever sent again: the test proves nothing");
    eventually("nothing is in flight", 5 * SECOND, async || {
        (redis.manager().stats().commands.in_flight == 0).then_some(())
    })
    .await;
}

/// Commands that wait in this process when their connection breaks have certainly not run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_not_left_goes_over_another_link_and_its_caller_does_not_notice() {
    let emulator = common::start(common::emulator(HOUR)).await;
    let redis = two_links(&emulator, false).await;
    let busy = emulator.redis_front().connections().remove(0);
    busy.freeze();
    let on_the_busy_one = |count: usize| {
        let redis = redis.clone();
        async move {
            eventually("commands are on the busy link", 5 * SECOND, async || {
                (redis.manager().stats().links[0].in_flight == count).then_some(())
            })
            .await;
        }
    };
    // More than all buffers on the way take: it is on its way for ever, and what comes after it does not leave.
    let mut con = redis.clone();
    let value = vec![b'x'; 32 << 20];
    let large = tokio::spawn(async move { con.set::<_, _, ()>("large", &value).await });
    on_the_busy_one(1).await;
    eventually("it is taken", 5 * SECOND, async || (redis.manager().stats().commands.sent >= 1).then_some(())).await;
    let waiting = (0..10).map(|_| {
        let mut con = redis.clone();
        tokio::spawn(async move { con.incr::<_, _, u64>("count", 1).await })
    });
    let waiting: Vec<_> = waiting.collect();
    on_the_busy_one(11).await;
    // The driver has seen them: it is through with what it could write of the large one.
    eventually("all are taken", 5 * SECOND, async || (redis.manager().stats().commands.sent >= 11).then_some(())).await;
    busy.cut();
    for command in waiting {
        within("a command on the other link", 5 * SECOND, command).await.unwrap().unwrap();
    }
    let error = within("the large one", 5 * SECOND, large).await.unwrap().unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    assert_eq!(redis.clone().get::<_, u64>("count").await.unwrap(), 10);
    let stats = redis.manager().stats().commands;
    assert_eq!((stats.retried, stats.failed.lost, stats.failed.total()), (10, 1, 1));
}

/// What becomes of a request whose connection breaks when it is on its way: all connections are cut, new ones come.
async fn cut_on_its_way<T: Send + 'static>(
    emulator: &Azure,
    redis: &EntraRedis,
    request: impl Future<Output = RedisResult<T>> + Send + 'static,
) -> RedisResult<T> {
    links_up(redis, 2).await;
    emulator.redis_front().connections().iter().for_each(FrontConnection::freeze);
    let call = sent(redis, request).await;
    let before = redis.manager().counters().links_lost;
    emulator.redis_front().cut_all();
    let result = within("the end of a request", 10 * SECOND, call).await.unwrap();
    // So that no later request meets the one of the two that was idle.
    let lost = async || (redis.manager().counters().links_lost >= before + 2).then_some(());
    eventually("both are lost", 5 * SECOND, lost).await;
    result
}

/// Starts a request, and waits until it has been sent.
async fn sent<T: Send + 'static>(
    redis: &EntraRedis,
    request: impl Future<Output = RedisResult<T>> + Send + 'static,
) -> tokio::task::JoinHandle<RedisResult<T>> {
    let before = redis.manager().stats().commands.sent;
    let call = tokio::spawn(request);
    sent_since(redis, before, 1).await;
    call
}

async fn sent_since(redis: &EntraRedis, before: u64, times: u64) {
    eventually("it is sent", 5 * SECOND, async || {
        (redis.manager().stats().commands.sent == before + times).then_some(())
    })
    .await;
}

async fn lost_command(emulator: &Azure, redis: &EntraRedis, line: &str) -> RedisResult<redis::Value> {
    let (mut con, cmd) = (redis.clone(), cmd(line));
    cut_on_its_way(emulator, redis, async move { cmd.query_async(&mut con).await }).await
}

async fn lost_pipeline(emulator: &Azure, redis: &EntraRedis, lines: &[&str]) -> RedisResult<redis::Value> {
    let (mut con, pipeline) = (redis.clone(), pipeline(lines));
    cut_on_its_way(emulator, redis, async move { pipeline.query_async(&mut con).await }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_read_is_sent_again_if_that_is_wished_and_a_lost_write_never() {
    let emulator = common::start(common::emulator(HOUR)).await;
    let redis = two_links(&emulator, true).await;
    let _: () = redis.clone().set("key", "value").await.unwrap();
    assert_eq!(lost_command(&emulator, &redis, "GET key").await.unwrap(), redis::Value::BulkString(b"value".to_vec()));
    lost_pipeline(&emulator, &redis, &["GET key", "EXISTS key"]).await.unwrap();
    assert_eq!(redis.manager().stats().commands.retried, 2);
    for line in ["SET key other", "INCR count", "EVAL_RO return{1} 0", "GETDEL key"] {
        let error = lost_command(&emulator, &redis, line).await.unwrap_err();
        assert!(error.is_connection_dropped(), "{line}: {error}");
    }
    let error = lost_pipeline(&emulator, &redis, &["GET key", "INCR count"]).await.unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    // They were held up at the front, and had they been sent again, they would have run.
    let mut con = redis.clone();
    let (value, count): (String, Option<u64>) =
        redis::pipe().get("key").get("count").query_async(&mut con).await.unwrap();
    assert_eq!((value.as_str(), count), ("value", None));
    let stats = redis.manager().stats().commands;
    assert_eq!((stats.retried, stats.failed.lost), (2, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_read_is_an_error_unless_its_retry_is_wished() {
    let emulator = common::start(Emulator::builder()).await;
    let redis = two_links(&emulator, false).await;
    let error = lost_command(&emulator, &redis, "GET key").await.unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    assert_eq!(redis.manager().stats().commands.retried, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_is_lost_twice_is_not_sent_a_third_time() {
    let emulator = common::start(Emulator::builder()).await;
    let redis = two_links(&emulator, true).await;
    let connections = emulator.redis_front().connections();
    connections.iter().for_each(FrontConnection::freeze);
    emulator.redis_front().refuse_connections(true);
    let before = redis.manager().stats().commands.sent;
    let mut con = redis.clone();
    let call = sent(&redis, async move { con.get::<_, Option<String>>("key").await }).await;
    connections[0].cut();
    sent_since(&redis, before, 2).await;
    connections[1].cut();
    let error = within("the end of a request", 5 * SECOND, call).await.unwrap().unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    assert_eq!(redis.manager().stats().commands.retried, 1);
}

/// NOAUTH is healed on another link, once: where all links are refused it is the caller's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noauth_on_every_link_is_told_after_one_retry() {
    let emulator = common::start(Emulator::builder()).await;
    let redis = two_links(&emulator, false).await;
    emulator.redis_front().refuse_connections(true);
    emulator.redis_front().connections().iter().for_each(FrontConnection::deauthenticate);
    let error = redis.clone().get::<_, Option<String>>("key").await.unwrap_err();
    assert_eq!(error.code(), Some("NOAUTH"), "{error}");
    assert_eq!(redis.manager().stats().commands.retried, 1);
    emulator.redis_front().refuse_connections(false);
    links_up(&redis, 2).await;
    assert_eq!(redis.clone().get::<_, Option<String>>("key").await.unwrap(), None);
}

/// At its deadline the caller gets Redis's error, not that there is no other link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noauth_on_the_only_link_is_told_at_the_deadline() {
    let (emulator, redis) = Fixture::new().links(1).config(|config| config.command_timeout(SECOND)).connect().await;
    emulator.redis_front().refuse_connections(true);
    emulator.redis_front().connections().iter().for_each(FrontConnection::deauthenticate);
    let error = redis.clone().get::<_, Option<String>>("key").await.unwrap_err();
    assert_eq!(error.code(), Some("NOAUTH"), "{error}");
}

/// A script can answer with what looks like a refusal, after it has run.
#[tokio::test]
async fn scripts_and_functions_that_answer_like_a_refusal_run_once() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config(), 4).await;
    let mut con = redis.clone();
    let library = "#!lua name=counts\nredis.register_function('count', function(keys, args) redis.call('INCR', keys[1]) \
                   return redis.error_reply(args[1] .. ' not now') end)";
    let _: String = redis::cmd("FUNCTION").arg("LOAD").arg(library).query_async(&mut con).await.unwrap();
    let script = "redis.call('INCR', KEYS[1]) return redis.error_reply(ARGV[1] .. ' not now')";
    let mut runs = 0_u64;
    for code in ["LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN"] {
        for (name, what) in [("EVAL", script), ("FCALL", "count")] {
            let mut call = redis::cmd(name);
            call.arg(what).arg(1).arg("count").arg(code);
            let error = call.query_async::<()>(&mut con).await.unwrap_err();
            assert_eq!(error.code(), Some(code), "{name}: {error}");
            let mut pipeline = redis::pipe();
            pipeline.add_command(call);
            pipeline.query_async::<()>(&mut con).await.unwrap_err();
            pipeline.atomic().query_async::<()>(&mut con).await.unwrap_err();
            runs += 3;
        }
    }
    assert_eq!(admin.ask::<u64>("GET count").await, runs);
    let stats = redis.manager().stats();
    assert_eq!((stats.commands.retried, stats.counters.links_lost), (0, 0));
}

/// Where it would block without `MULTI`, that is asked for ahead: only then does the transaction leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_waits_for_multi_is_sent_once() {
    let server = Server::start();
    let mut redis = server.connect(server.config().command_timeout(SECOND / 2)).await;
    let mut transaction = pipeline(&["BLPOP list 0", "INCR count"]);
    transaction.atomic();
    server.freeze();
    let error = transaction.exec_async(&mut redis).await.unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("the transaction was not sent"), "{error}");
    server.thaw();
    links_up(&redis, 4).await;
    let counted = async || redis.clone().get::<_, Option<u64>>("count").await.ok();
    assert_eq!(eventually("service", 5 * SECOND, counted).await, None);
    // By another client, which has not asked yet.
    let mut redis = server.connect(server.config()).await;
    transaction.exec_async(&mut redis).await.unwrap();
    assert_eq!(redis.get::<_, u64>("count").await.unwrap(), 1);
    assert_eq!(redis.manager().stats().commands.retried, 0);
}
