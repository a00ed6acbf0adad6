//! Commands that block: each as Redis has it, whatever happens to connections and tokens meanwhile.

use super::{HOUR, blocked, start};
use common::{SECOND, by_ratio, cmd, eventually, rotations, server::Server, within};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Error, ErrorKind, Tls};
use redis::{AsyncCommands, RedisResult, Value};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The command, in a task.
fn spawned(redis: &EntraRedis, line: &str) -> JoinHandle<RedisResult<Value>> {
    let (mut redis, cmd) = (redis.clone(), cmd(line));
    tokio::spawn(async move { cmd.query_async(&mut redis).await })
}

fn text(value: &str) -> Value {
    Value::BulkString(value.as_bytes().to_vec())
}

fn pair(key: &str, value: &str) -> Value {
    Value::Array(vec![text(key), text(value)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_them_waits_as_long_as_it_says_and_says_what_redis_says() {
    let (_azure, redis) = start(HOUR, |config| config).await;
    let mut con = redis.clone();
    let _: () = cmd("XGROUP CREATE stream group $ MKSTREAM").query_async(&mut con).await.unwrap();
    let waiting: Vec<_> = [
        "BLPOP a b 0.3",
        "brpop a 0.3",
        "BLMOVE a b LEFT RIGHT 0.3",
        "BRPOPLPUSH a b 0.3",
        "BLMPOP 0.3 2 a b LEFT",
        "BZPOPMIN z 0.3",
        "BZPOPMAX z 0.3",
        "BZMPOP 0.3 1 z MIN",
        "XREAD BLOCK 300 STREAMS stream $",
        "XREAD COUNT 1 BLOCK 300 STREAMS none 0",
        "XREADGROUP GROUP group me BLOCK 300 STREAMS stream >",
    ]
    .into_iter()
    .map(|line| {
        let began = Instant::now();
        let waiting = spawned(&redis, line);
        async move { (line, waiting.await.unwrap().unwrap(), began.elapsed()) }
    })
    .collect();
    for (line, reply, took) in futures_util::future::join_all(waiting).await {
        assert_eq!(reply, Value::Nil, "{line}");
        assert!(took >= Duration::from_millis(298), "{line}: {took:?}");
        eprintln!("{line}: {:?} more than it says", took.saturating_sub(Duration::from_millis(300)));
    }
    for (waits, wakes, reply) in [
        ("BLPOP a b 0", "RPUSH b 1", pair("b", "1")),
        ("BRPOP a 10", "RPUSH a 2", pair("a", "2")),
        ("BLMOVE a c LEFT RIGHT 0", "RPUSH a 3", text("3")),
        ("BRPOPLPUSH a c 0", "RPUSH a 4", text("4")),
        ("BLMPOP 0 2 a b LEFT", "RPUSH b 5", Value::Array(vec![text("b"), Value::Array(vec![text("5")])])),
        ("BZPOPMIN z 0", "ZADD z 6 m", Value::Array(vec![text("z"), text("m"), Value::Double(6.0)])),
    ] {
        let waiting = spawned(&redis, waits);
        blocked(&redis, 1).await;
        let _: Value = cmd(wakes).query_async(&mut con).await.unwrap();
        assert_eq!(within(waits, 5 * SECOND, waiting).await.unwrap().unwrap(), reply, "{waits}");
    }
    // What is there already is taken at once, however short the time is.
    let _: () = con.rpush("there", &[1, 2]).await.unwrap();
    assert_eq!(spawned(&redis, "BLPOP there 0.001").await.unwrap().unwrap(), pair("there", "1"));
    assert_eq!(redis.manager().stats().commands.failed.total(), 0);
}

/// Beside each of them the same command blocks in the same server over a plain connection, and is delayed by a busy
/// machine as they are. A round counts only if the plain one was in time. A timeout that is wrong is wrong in each
/// round, so the least delay of several rounds is what counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_timeouts_are_the_servers_to_within_fifty_milliseconds() {
    const TIME: Duration = Duration::from_millis(300);
    let is_near = |late: &[Duration; 2]| late.iter().all(|late| *late <= Duration::from_millis(50));
    let server = Server::start();
    // It looks at timeouts this often a second; with ten looks, as usual, both ends would fall on the same one.
    server.admin().await.run("CONFIG SET hz 500").await;
    // In one slice, and in several.
    for interval in [60 * SECOND, SECOND / 10] {
        let redis = server.connect(server.config().ping_interval(interval)).await;
        let mut beside = server.admin().await;
        _ = beside.answer(&cmd("XGROUP CREATE stream group $ MKSTREAM")).await;
        let lines = [
            "BLPOP a b 0.3",
            "BRPOP a 0.3",
            "BLMOVE a b LEFT RIGHT 0.3",
            "BRPOPLPUSH a b 0.3",
            "BLMPOP 0.3 2 a b LEFT",
            "BZPOPMIN z 0.3",
            "BZPOPMAX z 0.3",
            "BZMPOP 0.3 1 z MIN",
            "XREAD BLOCK 300 STREAMS stream $",
            "XREADGROUP GROUP group me BLOCK 300 STREAMS stream >",
            "WAIT 1 300",
        ];
        // How late the others were in the best of those rounds in which the server itself was in time, until that is
        // near enough for both, or the rounds are over; none if the server never was in time.
        let least = async |line: &str, rounds: usize| {
            let (mut beside, mut alone) = (server.admin().await, redis.dedicated().await.unwrap());
            let mut least = [Duration::MAX; 2];
            for _ in 0..rounds {
                let began = Instant::now();
                let took = async |reply: RedisResult<Value>| {
                    reply.unwrap_or_else(|error| panic!("{line}: {error}"));
                    began.elapsed()
                };
                let cmd = cmd(line);
                let (of_handle, of_dedicated, of_server) = tokio::join!(
                    async { took(cmd.query_async(&mut redis.clone()).await).await },
                    async { took(cmd.query_async(&mut alone).await).await },
                    async { took(beside.answer(&cmd).await).await },
                );
                // Redis counts whole milliseconds.
                let is_early = |took: &Duration| *took + Duration::from_millis(2) < TIME;
                assert!(![of_handle, of_dedicated].iter().any(is_early), "{line}: {of_handle:?}, {of_dedicated:?}");
                if of_server > TIME + Duration::from_millis(20) {
                    continue;
                }
                for (least, ours) in least.iter_mut().zip([of_handle, of_dedicated]) {
                    *least = (*least).min(ours.saturating_sub(of_server));
                }
                if is_near(&least) {
                    break;
                }
            }
            (least != [Duration::MAX; 2]).then_some(least)
        };
        let all = lines.map(async |line| (line, least(line, 20).await));
        for (line, in_parallel) in futures_util::future::join_all(all).await {
            // All of them at once are much for a machine that is busy elsewhere: so one alone, until it is known.
            let late = match in_parallel {
                Some(late) if is_near(&late) => late,
                _ => least(line, 200).await.unwrap_or_else(|| panic!("{line}: the server was never in time")),
            };
            eprintln!("{line}: {late:?} after the server's own");
            assert!(is_near(&late), "{line}: {late:?} after the server's own");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_it_redis_says_itself() {
    let (_azure, redis) = start(HOUR, |config| config).await;
    let mut con = redis.clone();
    let _: () = con.set("text", "x").await.unwrap();
    for (line, code, says) in [
        ("BLPOP k -1", "ERR", "timeout is negative"),
        ("BLPOP k never", "ERR", "timeout is not a float or out of range"),
        ("BLPOP k inf", "ERR", "timeout is negative"),
        ("XREAD BLOCK +5 STREAMS s $", "ERR", "timeout is not an integer or out of range"),
        ("BLPOP text 0", "WRONGTYPE", "Operation against a key"),
        ("XREAD BLOCK 0 STREAMS text $", "WRONGTYPE", "Operation against a key"),
        ("XREADGROUP GROUP none me BLOCK 0 STREAMS s >", "NOGROUP", "No such key"),
        ("BLPOP", "ERR", "wrong number of arguments"),
    ] {
        let error = within(line, 5 * SECOND, cmd(line).query_async::<Value>(&mut con)).await.unwrap_err();
        assert_eq!(error.code(), Some(code), "{line}: {error}");
        assert!(error.to_string().contains(says), "{line}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_commands_of_the_handle_pass_it_by() {
    let (_azure, redis) = start(HOUR, |config| config).await;
    let mut con = redis.clone();
    let waiting: Vec<_> = (0..20).map(|number| spawned(&redis, &format!("BLPOP k{number} 0"))).collect();
    blocked(&redis, 20).await;
    for turn in 0..1_000 {
        let _: () = con.set("key", turn).await.unwrap();
        assert_eq!(con.get::<_, i32>("key").await.unwrap(), turn);
    }
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    // None of those that all share has a command that waits; permits are for those.
    let stats = redis.manager().stats();
    assert_eq!(stats.commands.in_flight, 0);
    for (number, waiting) in waiting.into_iter().enumerate() {
        let key = format!("k{number}");
        let _: () = con.rpush(&key, "x").await.unwrap();
        assert_eq!(within("it is served", 5 * SECOND, waiting).await.unwrap().unwrap(), pair(&key, "x"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_without_a_timeout_outlives_rotations_and_is_served_after_them() {
    let (azure, redis) = start(2 * SECOND, |config| config).await;
    let waiting = spawned(&redis, "BLPOP queue 0");
    let reading = spawned(&redis, "XREAD BLOCK 0 STREAMS stream $");
    blocked(&redis, 2).await;
    rotations(&redis, 3, 20 * SECOND).await;
    assert!(!waiting.is_finished() && !reading.is_finished());
    let mut con = redis.clone();
    let _: () = con.rpush("queue", "late").await.unwrap();
    let _: Value = cmd("XADD stream 7-1 f v").query_async(&mut con).await.unwrap();
    assert_eq!(within("it is served", 5 * SECOND, waiting).await.unwrap().unwrap(), pair("queue", "late"));
    let read = within("it is served", 5 * SECOND, reading).await.unwrap().unwrap();
    assert!(format!("{read:?}").contains("7-1"), "{read:?}");
    // In slices on the same links, which were given each new token: nobody was cut.
    let counters = redis.manager().counters();
    assert_eq!((counters.links_lost, counters.reauth_failures, counters.dial_failures), (0, 0, 0));
    assert_eq!(azure.redis_front().stats().expired, 0);
}

/// What is added between two slices is read: `$` means the moment of the call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_of_what_is_new_misses_nothing_between_its_slices() {
    // Slices of 20 to 30 ms: many ends of slices for what is added to fall between.
    let (_azure, redis) = start(HOUR, |config| config.ping_interval(Duration::from_millis(30))).await;
    let mut con = redis.clone();
    let _: Value = cmd("XADD stream 1-1 old x").query_async(&mut con).await.unwrap();
    for turn in 2..12 {
        let waiting: Vec<_> = (0..100).map(|_| spawned(&redis, "XREAD BLOCK 0 STREAMS stream $")).collect();
        // Many at once, each in another moment of a slice, some of them between two.
        eventually("nearly all are blocked", 10 * SECOND, async || {
            let clients: String = cmd("INFO clients").query_async(&mut con).await.ok()?;
            let count = clients.lines().find_map(|line| line.strip_prefix("blocked_clients:"))?;
            (count.parse::<u64>().ok()? > 80).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _: Value = cmd(&format!("XADD stream {turn}-1 new x")).query_async(&mut con).await.unwrap();
        for waiting in waiting {
            let read = within("it reads", 5 * SECOND, waiting).await.unwrap().unwrap();
            let read = format!("{read:?}");
            assert!(read.contains(&format!("{turn}-1")) && !read.contains("old"), "{turn}: {read}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_given_up_takes_nothing_any_more_and_its_place_is_free() {
    let (azure, redis) = start(HOUR, |config| config.max_leased(1)).await;
    let mut con = redis.clone();
    for turn in 0..20 {
        let waiting = spawned(&redis, "BLPOP queue 0");
        blocked(&redis, 1).await;
        waiting.abort();
        // At once, and not when it is given up to be answered.
        within("its connection is closed", 3 * SECOND, blocked(&redis, 0)).await;
        let _: () = con.rpush("queue", turn).await.unwrap();
        assert_eq!(con.lpop::<_, Option<i32>>("queue", None).await.unwrap(), Some(turn), "nobody has taken it");
    }
    eventually("its connection is closed", 5 * SECOND, async || {
        (azure.redis_front().connection_count() == 2).then_some(())
    })
    .await;
    assert_eq!(redis.manager().counters().links_lost, 0, "that is no fault of the server's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_there_may_be_block_and_one_more_is_told() {
    let set = |config: entra_redis::Config| config.max_leased(2).command_timeout(SECOND / 2);
    let (_azure, redis) = start(HOUR, set).await;
    let waiting: Vec<_> = (0..2).map(|number| spawned(&redis, &format!("BLPOP k{number} 0"))).collect();
    blocked(&redis, 2).await;
    let error = within("it is told", 5 * SECOND, spawned(&redis, "BLPOP more 0")).await.unwrap().unwrap_err();
    assert!(error.is_timeout() && error.to_string().contains("max_leased"), "{error}");
    // One that waits gets the place of one that is through.
    let next = spawned(&redis, "BLPOP more 0");
    let mut con = redis.clone();
    let _: () = con.rpush("k0", "x").await.unwrap();
    let _: () = con.rpush("more", "y").await.unwrap();
    assert_eq!(within("it is served", 5 * SECOND, next).await.unwrap().unwrap(), pair("more", "y"));
    let opened = redis.manager().counters().links_opened;
    assert_eq!(opened, 4, "two that all share, and two that are used again");
    drop(waiting);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_ends_those_that_block_at_once() {
    let (_azure, redis) = start(HOUR, |config| config.shutdown_timeout(60 * SECOND)).await;
    let waiting: Vec<_> = (0..5).map(|number| spawned(&redis, &format!("BLPOP k{number} 0"))).collect();
    blocked(&redis, 5).await;
    within("shutdown", 10 * SECOND, redis.shutdown()).await;
    for waiting in waiting {
        let error = within("it ends", SECOND, waiting).await.unwrap().unwrap_err();
        assert_eq!(Error::kind_of(&error), Some(ErrorKind::Closed), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_has_no_room_for_it_and_says_where_there_is() {
    let (_azure, redis) = start(HOUR, |config| config).await;
    let mut con = redis.clone();
    let mut pipe = redis::pipe();
    pipe.cmd("PING").cmd("BLPOP").arg("k").arg(0);
    let error = pipe.query_async::<Value>(&mut con).await.unwrap_err();
    assert!(error.to_string().contains("BLPOP was not sent") && error.to_string().contains("on its own"), "{error}");
    // In a transaction it does not block.
    let (popped,): (Value,) = redis::pipe().atomic().cmd("BLPOP").arg("k").arg(0).query_async(&mut con).await.unwrap();
    assert_eq!(popped, Value::Nil);
}

/// Its token rotates, its connection is lost, the primary hands over: it waits on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_without_a_timeout_outlives_rotations_lost_connections_and_a_failover() {
    let (old, new) = Server::twins();
    let (mut at_old, mut at_new) = (old.admin().await, new.admin().await);
    new.follow(&old).await;
    let port = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(old.port));
    let answer = std::sync::Arc::clone(&port);
    let number = std::sync::atomic::AtomicU64::new(0);
    let token = move || {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move { AccessToken::opaque(format!("token {number}"), 2 * SECOND, "tester") }
    };
    let config = Config::new(Credential::custom(token)).tls(Tls::new().ca_pem(&old.ca_pem));
    let config = config.token_manager(by_ratio(0.5)).resolver(move |_, _| {
        let port = answer.load(std::sync::atomic::Ordering::SeqCst);
        async move { Ok(vec![std::net::SocketAddr::from(([127, 0, 0, 1], port))]) }
    });
    let redis = old.connect(config).await;
    let waiting = spawned(&redis, "BLPOP queue 0");
    blocked(&redis, 1).await;
    rotations(&redis, 3, 20 * SECOND).await;
    for _ in 0..3 {
        at_old.run("CLIENT KILL TYPE normal SKIPME yes").await;
        eventually("it waits again", 10 * SECOND, async || {
            at_old.ask::<String>("INFO clients").await.contains("blocked_clients:1\r\n").then_some(())
        })
        .await;
    }
    at_old.run(&format!("FAILOVER TO 127.0.0.1 {}", new.plain_port)).await;
    port.store(new.port, std::sync::atomic::Ordering::SeqCst);
    eventually("it waits at the new primary", 20 * SECOND, async || {
        at_new.ask::<String>("INFO clients").await.contains("blocked_clients:1\r\n").then_some(())
    })
    .await;
    rotations(&redis, 1, 10 * SECOND).await;
    assert!(!waiting.is_finished());
    let mut con = redis.clone();
    let _: () = con.rpush("queue", "x").await.unwrap();
    assert_eq!(within("it is served", 5 * SECOND, waiting).await.unwrap().unwrap(), pair("queue", "x"));
}
