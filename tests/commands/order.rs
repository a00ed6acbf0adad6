//! What one handle sends takes effect in the order in which it was sent: commands that nobody waits for, too.

use common::{HOUR, SECOND, all_current, by_ratio, eventually, links_up, rotations, server::Server};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls, emulator::FrontConnection};
use futures_util::{FutureExt, future::BoxFuture, poll};
use redis::{AsyncCommands, Cmd, RedisResult, Value};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// A configuration whose tokens live this long, each another one.
fn config(server: &Server, lifetime: Duration) -> Config {
    let count = Arc::new(AtomicU64::new(0));
    let token = move || {
        let number = count.fetch_add(1, SeqCst);
        async move { AccessToken::opaque(format!("token {number}"), lifetime, "tester") }
    };
    Config::new(Credential::custom(token)).tls(Tls::new().ca_pem(&server.ca_pem)).token_manager(by_ratio(0.7))
}

async fn connect(server: &Server, links: usize) -> EntraRedis {
    server.up(config(server, HOUR), links).await
}

/// Sends a command whose reply nobody waits for.
async fn quietly(redis: &mut EntraRedis, mut cmd: Cmd) -> RedisResult<()> {
    cmd.set_no_response(true).exec_async(redis).await
}

fn set(key: &str, value: &[u8]) -> Cmd {
    let mut cmd = redis::cmd("SET");
    cmd.arg(key).arg(value);
    cmd
}

async fn length(redis: &mut EntraRedis, key: &str) -> usize {
    redis.strlen(key).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_value_does_not_overtake_a_large_one() {
    let server = Server::start();
    for links in [4, 1] {
        let mut redis = connect(&server, links).await;
        let large = vec![b'x'; 5 << 20];
        for round in 0..10 {
            quietly(&mut redis, set("key", &large)).await.unwrap();
            quietly(&mut redis, set("key", b"newest")).await.unwrap();
            assert_eq!(length(&mut redis, "key").await, 6, "round {round} with {links} links");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_what_its_handle_has_written_beside_large_readers() {
    let server = Server::start();
    let mut redis = connect(&server, 4).await;
    let _: () = redis.set("large", vec![b'x'; 100 << 10]).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (mut redis, stop) = (redis.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(SeqCst) {
                    let _: Vec<u8> = redis.get("large").await.unwrap();
                }
            })
        })
        .collect();
    for round in 0..1000_u64 {
        let _: Vec<u8> = redis.get("large").await.unwrap();
        quietly(&mut redis, set("key", round.to_string().as_bytes())).await.unwrap();
        assert_eq!(redis.get::<_, u64>("key").await.unwrap(), round);
    }
    stop.store(true, SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_sees_what_its_original_had_sent() {
    let server = Server::start();
    let mut redis = connect(&server, 4).await;
    let large = vec![b'x'; 5 << 20];
    for _ in 0..10 {
        quietly(&mut redis, set("key", &large)).await.unwrap();
        assert_eq!(length(&mut redis.clone(), "key").await, large.len());
        let _: () = redis.del("key").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_reorders_nothing() {
    let server = Server::start();
    for links in [1, 4] {
        let mut redis = server.connect(config(&server, 2 * SECOND).pool_size(links)).await;
        links_up(&redis, links).await;
        let key = format!("list of {links}");
        let before = redis.manager().counters().rotations;
        let mut number = 0_u64;
        while redis.manager().counters().rotations < before + 3 {
            let mut push = redis::cmd("RPUSH");
            push.arg(&key).arg(number);
            quietly(&mut redis, push).await.unwrap();
            number += 1;
        }
        let list: Vec<u64> = redis.lrange(&key, 0, -1).await.unwrap();
        assert_eq!(list.len() as u64, number);
        let moved = list.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert_eq!(moved, 0, "of {number} elements, with {links} links");
        assert!(redis.manager().counters().reauths > 0, "no link met a rotation: the test proves nothing");
        assert_eq!(redis.manager().stats().commands.failed.total(), 0);
    }
}

/// A command whose caller has given up may run yet; what its handle sends afterwards does not overtake it, though its
/// link takes no more commands by then.
#[tokio::test]
async fn what_follows_a_cancelled_command_stays_behind_it() {
    let emulator = common::start(common::emulator(4 * SECOND)).await;
    let tokens = by_ratio(0.9).min_refresh_interval(SECOND / 50);
    let config = emulator.config().token_manager(tokens);
    let redis = emulator.connect(config).await;
    links_up(&redis, 4).await;
    let first = emulator.redis_front().connections().into_iter().min_by_key(FrontConnection::id).unwrap();
    for round in 0..3 {
        all_current(&redis).await;
        first.freeze();
        let mut writer = redis.clone();
        {
            let mut given_up: BoxFuture<'_, RedisResult<()>> = writer.set("key", "old").boxed();
            assert!(poll!(&mut given_up).is_pending());
        }
        redis.manager().refresh_token();
        eventually("the link waits for the end of what is on it", 2 * SECOND, async || {
            redis.manager().stats().links.iter().any(|link| link.link == 1 && !link.is_open()).then_some(())
        })
        .await;
        let mut newest: BoxFuture<'_, RedisResult<()>> = writer.set("key", "new").boxed();
        // Time enough for another link to carry it, which must not happen.
        assert!(tokio::time::timeout(SECOND / 10, &mut newest).await.is_err(), "round {round}");
        first.thaw();
        newest.await.unwrap();
        assert_eq!(redis.clone().get::<_, String>("key").await.unwrap(), "new", "round {round}");
    }
    assert_eq!(redis.manager().counters().links_lost, 0);
}

/// A link that does not answer is left: what was left behind on it holds nobody up for longer than it takes to tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_left_behind_on_a_dead_link_holds_its_handle_up_no_longer_than_it_takes_to_tell() {
    let emulator = common::start(common::emulator(HOUR)).await;
    let config = emulator.config().command_timeout(10 * SECOND);
    let mut redis = emulator.connect(config).await;
    links_up(&redis, 4).await;
    let _: () = redis.set("key", 1).await.unwrap();
    let first = emulator.redis_front().connections().into_iter().min_by_key(FrontConnection::id).unwrap();
    first.freeze();
    {
        let mut given_up: BoxFuture<'_, RedisResult<()>> = redis.set("key", 2).boxed();
        assert!(poll!(&mut given_up).is_pending());
    }
    let began = std::time::Instant::now();
    // The first one goes behind it, and its caller has a patience of its own.
    let served = eventually("service", 6 * SECOND, async || {
        let mut call = redis.set::<_, _, ()>("key", 3).boxed();
        tokio::time::timeout(SECOND / 2, &mut call).await.ok().map(|result| result.is_ok())
    })
    .await;
    assert!(served);
    assert!(began.elapsed() < 4 * SECOND, "{:?}", began.elapsed());
}

/// While the server stands still, all links are silent, whichever was heard last: what is on its way may yet run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_its_way_to_a_server_that_stands_still_is_not_overtaken() {
    let server = Server::start();
    let mut redis = server.connect(config(&server, HOUR).pool_size(4).command_timeout(20 * SECOND)).await;
    links_up(&redis, 4).await;
    // A handle whose last value was large uses another link.
    let mut other = redis.clone();
    let _: () = other.set("large", vec![b'x'; 100 << 10]).await.unwrap();
    for round in 0..3 {
        let _: () = redis.set("key", "old").await.unwrap();
        for _ in 0..3 {
            tokio::time::sleep(SECOND / 100).await;
            let _: Vec<u8> = other.get("large").await.unwrap();
        }
        server.freeze();
        {
            let mut given_up: BoxFuture<'_, RedisResult<()>> = redis.set("key", vec![b'x'; 16 << 20]).boxed();
            assert!(poll!(&mut given_up).is_pending());
        }
        // Longer than a link may be silent that is not to be taken for dead.
        tokio::time::sleep(SECOND * 3 / 2).await;
        // Whatever the last one was: a small one prefers a link of its own.
        let mut newest: BoxFuture<'_, RedisResult<()>> = redis.set("key", "new").boxed();
        assert!(poll!(&mut newest).is_pending());
        server.thaw();
        newest.await.unwrap();
        eventually("all is answered", 10 * SECOND, async || {
            (other.manager().stats().commands.in_flight == 0).then_some(())
        })
        .await;
        assert_eq!(length(&mut other, "key").await, 3, "round {round}");
    }
    assert_eq!(redis.manager().counters().links_lost, 0);
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        // Xorshift: good enough to mix, and the same for the same seed.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// One handle's numbers, pushed in every way there is; each that was pushed, in their order.
async fn push_numbers(mut redis: EntraRedis, key: String, seed: u64, stop: Arc<AtomicBool>) -> u64 {
    let mut random = Random(seed);
    let mut number = 0_u64;
    while !stop.load(SeqCst) {
        number += 1;
        let mut push = redis::cmd("RPUSH");
        push.arg(&key).arg(number);
        // What fails may have run or not; what must not happen is that it runs late.
        match random.below(10) {
            0..4 => _ = quietly(&mut redis, push).await,
            4..6 => _ = push.exec_async(&mut redis).await,
            6 => {
                let mut given_up = push.query_async::<Value>(&mut redis).boxed();
                _ = poll!(&mut given_up);
            }
            7 => {
                let mut pipe = redis::pipe();
                if random.below(2) == 0 {
                    pipe.atomic();
                }
                number += 1;
                _ = pipe.add_command(push).rpush(&key, number).exec_async(&mut redis).await;
            }
            8 => _ = redis.get::<_, Value>("large").await,
            _ => {
                push.arg(vec![b'0'; 1 << random.below(20)]);
                _ = quietly(&mut redis, push).await;
            }
        }
    }
    number
}

async fn order_holds(what: &str, links: usize, lifetime: Duration, kills: bool) {
    let server = Server::start();
    let redis = server.up(config(&server, lifetime), links).await;
    let _: () = redis.clone().set("large", vec![b'x'; 100 << 10]).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..8)
        .map(|task| tokio::spawn(push_numbers(redis.clone(), format!("list {task}"), 77 + task, Arc::clone(&stop))))
        .collect();
    let mut admin = server.admin().await;
    for _ in 0..4 {
        rotations(&redis, 1, 10 * SECOND).await;
        if kills {
            admin.kill_links().await;
        }
    }
    stop.store(true, SeqCst);
    let mut pushed = 0;
    for task in tasks {
        pushed += task.await.unwrap();
    }
    eventually("everything is answered", 10 * SECOND, async || {
        (redis.manager().stats().commands.in_flight == 0).then_some(())
    })
    .await;
    let mut seen = 0;
    for task in 0..8 {
        let list: Vec<Vec<u8>> = redis.clone().lrange(format!("list {task}"), 0, -1).await.unwrap();
        let numbers: Vec<u64> = list
            .iter()
            .filter_map(|element| std::str::from_utf8(element).ok())
            .filter(|text| !text.starts_with('0'))
            .filter_map(|text| text.parse().ok())
            .collect();
        seen += numbers.len() as u64;
        let moved: Vec<_> = numbers.windows(2).filter(|pair| pair[0] >= pair[1]).collect();
        assert!(moved.is_empty(), "{what}, list {task}: {moved:?}");
    }
    assert!(seen > pushed / 2, "{what}: {seen} of {pushed} numbers were pushed: the test proves nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_through_rotations_large_values_and_cancelled_commands() {
    order_holds("one link", 1, 2 * SECOND, false).await;
    order_holds("four links", 4, 2 * SECOND, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_through_lost_connections() {
    order_holds("killed", 4, 2 * SECOND, true).await;
}
