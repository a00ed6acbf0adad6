//! The primary is another one now, the addresses are, or nothing answers: links find their way without a storm of
//! dials.

use common::{
    Fixture, SECOND,
    counting::{Counting, How},
    eventually, links_up,
    load::Load,
    ports::Refusing,
    server::Server,
    within,
};
use entra_redis::{Config, EntraRedis, emulator::FrontConnection};
use futures_util::{FutureExt, future::BoxFuture};
use redis::{AsyncCommands, RedisResult, aio::ConnectionLike};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long after its deadline a command's end may be seen on a busy machine.
const GRACE: Duration = Duration::from_secs(2);

/// A name service: what it answers, and who has asked for what when.
#[derive(Clone, Default)]
struct Names {
    /// The ports on loopback that the name stands for; none while the name service is out of order.
    ports: Arc<Mutex<Option<Vec<u16>>>>,
    asked: Arc<Mutex<Vec<(String, u16, Instant)>>>,
}

impl Names {
    fn answering(ports: &[u16]) -> Self {
        let names = Self::default();
        names.answer(Some(ports));
        names
    }

    fn answer(&self, ports: Option<&[u16]>) {
        *self.ports.lock().unwrap() = ports.map(<[u16]>::to_vec);
    }

    fn moments(&self) -> Vec<Instant> {
        self.asked.lock().unwrap().iter().map(|(_, _, at)| *at).collect()
    }

    /// The settings, with this for their resolver.
    fn resolve(&self, config: Config) -> Config {
        let names = self.clone();
        config.resolver(move |host, port| {
            names.asked.lock().unwrap().push((host, port, Instant::now()));
            let address = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            let addresses: io::Result<Vec<SocketAddr>> = match &*names.ports.lock().unwrap() {
                Some(ports) => Ok(ports.iter().map(address).collect()),
                None => Err(io::Error::other("the name service is out of order")),
            };
            async move { addresses }
        })
    }
}

/// Redis hands over without losing a write; the name follows a little later, as names do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_is_followed_and_every_write_counts_once() {
    let (old, new) = Server::twins();
    let (mut at_old, mut at_new) = (old.admin().await, new.admin().await);
    new.follow(&old).await;
    let names = Names::answering(&[old.port]);
    let redis = old.connect(names.resolve(old.config().command_timeout(20 * SECOND))).await;
    links_up(&redis, 4).await;
    let load = Counting::start(&redis, 16, "count", How::Single);
    load.progress(1_000).await;
    at_old.run(&format!("FAILOVER TO 127.0.0.1 {}", new.plain_port)).await;
    eventually("the old primary is a replica", 10 * SECOND, async || {
        let replication: String = at_old.ask("INFO replication").await;
        replication.contains("role:slave").then_some(())
    })
    .await;
    // Links that are dialed meanwhile end at the old primary once more.
    let refused = async || (redis.manager().stats().commands.retried > 0).then_some(());
    eventually("commands are refused there", 10 * SECOND, refused).await;
    names.answer(Some(&[new.port]));
    load.progress(1_000).await;
    let counted = load.stop().await;
    counted.assert_exact(at_new.ask("GET count").await);
    let stats = redis.manager().stats();
    assert!(stats.commands.retried > 0 && stats.counters.reconnects > 0);
    assert_eq!(stats.commands.failed.total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_refuses_is_sent_again_until_the_deadline_and_then_told_as_it_is() {
    let limit = 2 * SECOND;
    let server = Server::start();
    let mut admin = server.admin().await;
    let redis = server.up(server.config().command_timeout(limit), 4).await;
    let mut con = redis.clone();
    let _: () = con.set("key", "value").await.unwrap();

    // A replica of a server that is not there, so that it stays one.
    admin.run("REPLICAOF 127.0.0.1 1").await;
    let called = Instant::now();
    let error = con.set::<_, _, ()>("key", "other").await.unwrap_err();
    assert_eq!(error.code(), Some("READONLY"), "{error}");
    assert!(called.elapsed() > limit / 2 && called.elapsed() < limit + GRACE, "{:?}", called.elapsed());
    // Half of this pipeline has run.
    let before = redis.manager().stats().commands.retried;
    let error = redis::pipe().get("key").incr("count", 1).query_async::<()>(&mut con).await.unwrap_err();
    let errors = error.into_server_errors().unwrap();
    assert_eq!(errors.iter().map(|(_, error)| error.code()).collect::<Vec<_>>(), ["READONLY"]);
    assert_eq!(redis.manager().stats().commands.retried, before);

    admin.run("CONFIG SET replica-serve-stale-data no").await;
    let called = Instant::now();
    let error = con.get::<_, String>("key").await.unwrap_err();
    assert_eq!(error.code(), Some("MASTERDOWN"), "{error}");
    assert!(called.elapsed() > limit / 2 && called.elapsed() < limit + GRACE, "{:?}", called.elapsed());

    let (mut reader, mut writer) = (redis.clone(), redis.clone());
    let read = tokio::spawn(async move { reader.get::<_, String>("key").await });
    let written = tokio::spawn(async move { writer.incr::<_, _, u64>("count", 1).await });
    let before = redis.manager().stats().commands.retried;
    eventually("both are refused", limit, async || {
        (redis.manager().stats().commands.retried >= before + 2).then_some(())
    })
    .await;
    admin.run("REPLICAOF NO ONE").await;
    assert_eq!(within("the read", limit + GRACE, read).await.unwrap().unwrap(), "value");
    assert_eq!(within("the write", limit + GRACE, written).await.unwrap().unwrap(), 1);
    // A link is replaced for READONLY once in a while, not for every refusal.
    let dialed = redis.manager().counters().links_opened;
    assert!(dialed <= 30, "{dialed} links were opened");
}

/// Addresses change behind the name: it is looked up again at every dial, and all its addresses are tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_address_behind_the_same_name_is_found() {
    let (mut first, second) = Server::twins();
    let names = Names::answering(&[first.port]);
    let redis = first.connect(names.resolve(first.config().command_timeout(20 * SECOND))).await;
    links_up(&redis, 4).await;
    names.answer(None);
    first.kill();
    let lost = async || (redis.manager().counters().links_lost == 4).then_some(());
    eventually("all links are lost", 5 * SECOND, lost).await;
    let mut con = redis.clone();
    let waiting = tokio::spawn(async move { con.set::<_, _, ()>("key", "value").await });
    eventually("the name service's error is shown", 5 * SECOND, async || {
        let error = redis.manager().stats().last_connect_error?;
        format!("{error:?}").contains("out of order").then_some(())
    })
    .await;
    names.answer(Some(&[]));
    eventually("no address is an error as well", 5 * SECOND, async || {
        redis.manager().stats().last_connect_error?.to_string().contains("no address").then_some(())
    })
    .await;
    // Nobody is there at the first one.
    let nobody = Refusing::new();
    names.answer(Some(&[nobody.address.port(), second.port]));
    within("the command is served", 10 * SECOND, waiting).await.unwrap().unwrap();
    links_up(&redis, 4).await;
    assert_eq!(second.admin().await.ask::<String>("GET key").await, "value");
    let asked = names.asked.lock().unwrap();
    assert!(asked.iter().all(|(host, port, _)| (host.as_str(), *port) == ("localhost", first.port)));
}

const LINKS: usize = 1_000;

/// Dials that a pool may make within so many milliseconds: as the guide says, 16 at once and then 150 a second at
/// most; and four that may be under way, which a busy machine may begin later than it was decided to.
const MOST_DIALS: [(u64, usize); 3] = [(10, 22), (100, 36), (1_000, 171)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_links_cut_at_once_make_no_storm_of_dials() {
    allow_open_files(LINKS as u64 + 500);
    let mut server = Server::start();
    let names = Names::answering(&[server.port]);
    let redis = server.connect(names.resolve(server.config().pool_size(LINKS))).await;
    all_up(&redis, LINKS).await;
    let load = Load::start(&redis, 16);
    eventually("load", 5 * SECOND, async || (load.commands() > 500).then_some(())).await;
    let before = names.moments().len();
    // All at once; and while nothing listens, dials fail as fast as they are made.
    let killed = Instant::now();
    server.kill();
    sleep(SECOND).await;
    let in_vain = names.moments().split_off(before);
    server.restart();
    let restarted = Instant::now();
    eventually("service", 10 * SECOND, async || redis.clone().set::<_, _, ()>("key", 1).await.ok()).await;
    assert!(restarted.elapsed() < 5 * SECOND, "service after {:?}", restarted.elapsed());
    all_up(&redis, LINKS).await;
    let report = load.stop().await;

    let dials = names.moments().split_off(before);
    for (millis, allowed) in MOST_DIALS {
        let most = most_within(&dials, Duration::from_millis(millis));
        assert!(most <= allowed, "{most} dials within {millis} ms");
    }
    // Each of the others succeeded.
    let seconds = restarted.duration_since(killed).as_millis().div_ceil(1_000);
    let most = LINKS + usize::try_from(seconds).unwrap() * MOST_DIALS[2].1;
    assert!((LINKS..=most).contains(&dials.len()), "{} dials for {LINKS} links", dials.len());
    assert_uneven(&in_vain[MOST_DIALS[0].1..]);

    let harmless = |error: &redis::RedisError| error.is_connection_dropped() || error.is_timeout();
    assert!(report.failures.iter().all(|failure| harmless(&failure.error)));
    assert!(report.failures.len() <= 2 * 16, "{} failures", report.failures.len());
    assert_eq!(report.wrong_reads, 0);
}

/// Dials that wait for their turn come at random distances, a 150th to a 50th of a second, so that pools that began at
/// one moment do not go on in step. How the first dials of many clients are spread, `many_clients.rs` shows.
fn assert_uneven(dials: &[Instant]) {
    let gaps: Vec<_> = dials.windows(2).map(|pair| pair[1].duration_since(pair[0])).collect();
    let short = gaps.iter().filter(|gap| **gap < Duration::from_millis(9)).count();
    let long = gaps.iter().filter(|gap| **gap > Duration::from_millis(12)).count();
    // A third of them each.
    assert!(gaps.len() >= 30 && 10 * short.min(long) > gaps.len(), "{short} short and {long} long of {gaps:?}");
}

async fn all_up(redis: &EntraRedis, links: usize) {
    eventually("all links are up", 60 * SECOND, async || {
        let counters = redis.manager().counters();
        let up = counters.links_opened.checked_sub(counters.links_lost)?;
        (usize::try_from(up) == Ok(links)).then_some(())
    })
    .await;
}

/// The most of these moments that lie within `window`.
fn most_within(moments: &[Instant], window: Duration) -> usize {
    let mut first = 0;
    let until = |(last, at): (usize, &Instant)| {
        while at.duration_since(moments[first]) > window {
            first += 1;
        }
        last + 1 - first
    };
    moments.iter().enumerate().map(until).max().unwrap_or(0)
}

/// Raises this process's limit of open files, if it is lower.
fn allow_open_files(wanted: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let most = limit.maximum.unwrap_or(u64::MAX);
        assert!(most >= wanted, "this test needs {wanted} open files, {most} are allowed: see `ulimit -Hn`");
        limit.current = Some(wanted);
        setrlimit(Resource::Nofile, limit).unwrap();
    }
}

/// Waits until a link has taken the place of a lost one; `meets` is what may meet the lost one meanwhile.
async fn replaced(redis: &EntraRedis, what: &str, mut meets: impl AsyncFnMut()) {
    let before = redis.manager().counters().reconnects;
    eventually(what, 3 * SECOND, async || {
        meets().await;
        (redis.manager().counters().reconnects > before).then_some(())
    })
    .await;
    links_up(redis, redis.manager().stats().pool_size).await;
}

/// Whatever is sent over it, though nothing of it may be sent again, and though nobody may see the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lone_link_that_lost_its_authentication_is_replaced_whatever_meets_it() {
    let (emulator, redis) = Fixture::on_redis(Duration::from_secs(3600))
        .links(1)
        .config(|config| config.ping_interval(SECOND))
        .connect()
        .await;
    let deauthenticate = || emulator.redis_front().connections().iter().for_each(FrontConnection::deauthenticate);
    let mut con = redis.clone();

    deauthenticate();
    let mut script = redis::cmd("EVAL");
    script.arg("return 1").arg(0);
    replaced(&redis, "scripts meet it", async || _ = script.query_async::<u64>(&mut con).await).await;

    deauthenticate();
    let mut quiet = redis::cmd("SET");
    quiet.arg("key").arg(1).set_no_response(true);
    replaced(&redis, "commands without a reply meet it", async || _ = quiet.exec_async(&mut con).await).await;

    deauthenticate();
    let mut pipe = redis::pipe();
    pipe.cmd("EVAL").arg("return 1").arg(0).ping();
    let left_out = async || _ = con.req_packed_commands(&pipe, 2, 0).await;
    replaced(&redis, "only replies that are left out tell", left_out).await;

    // Nothing but the link's own PING.
    deauthenticate();
    replaced(&redis, "its own PING meets it", async || sleep(SECOND / 20).await).await;
    let _: () = con.set("key", 2).await.unwrap();
    assert_eq!(con.get::<_, u64>("key").await.unwrap(), 2);
}

/// A way to write.
type Writes<'a> = Box<dyn Fn(EntraRedis) -> BoxFuture<'a, RedisResult<()>> + 'a>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_what_became_a_replica_is_replaced_whatever_meets_it() {
    let pipeline = |mut con: EntraRedis| async move {
        redis::pipe().get("key").ignore().set("key", 1).ignore().query_async::<()>(&mut con).await
    };
    let script = |mut con: EntraRedis| async move {
        let mut eval = redis::cmd("EVAL");
        eval.arg("return redis.call('SET', KEYS[1], 1)").arg(1).arg("key").exec_async(&mut con).await
    };
    // The error lies in the reply, where the script has caught it.
    let caught = |mut con: EntraRedis| async move {
        let mut eval = redis::cmd("EVAL");
        eval.arg("return {1, {redis.pcall('SET', KEYS[1], 1)}}").arg(1).arg("key");
        eval.query_async::<(u64, (String,))>(&mut con).await.map(drop)
    };
    let written = AtomicU64::new(0);
    let quiet = |mut con: EntraRedis| {
        let value = written.fetch_add(1, SeqCst);
        async move {
            redis::cmd("SET").arg("quiet").arg(value).set_no_response(true).exec_async(&mut con).await?;
            let read = con.get::<_, Option<u64>>("quiet").await?;
            if read == Some(value) { Ok(()) } else { Err(io::Error::other("not written").into()) }
        }
    };
    let ways: [(&str, Writes<'_>); 4] = [
        ("pipelines that read first", Box::new(|con| pipeline(con).boxed())),
        ("scripts", Box::new(|con| script(con).boxed())),
        ("scripts that catch it", Box::new(|con| caught(con).boxed())),
        ("commands without a reply", Box::new(|con| quiet(con).boxed())),
    ];
    for (what, write) in &ways {
        let (old, new) = Server::twins();
        let names = Names::answering(&[old.port]);
        let redis = old.connect(names.resolve(old.config().pool_size(1))).await;
        write(redis.clone()).await.unwrap();
        names.answer(Some(&[new.port]));
        old.admin().await.run(&format!("REPLICAOF 127.0.0.1 {}", new.plain_port)).await;
        eventually(what, 3 * SECOND, async || write(redis.clone()).await.ok()).await;
        assert_eq!(redis.manager().counters().links_lost, 1, "{what}");
    }
}

/// Scripts can say what they like: it is looked into, not too often, and no link goes for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_imitate_a_bad_link_cost_none() {
    let server = Server::start();
    let redis = server.up(server.config(), 4).await;
    let mut con = redis.clone();
    let until = Instant::now() + 3 * SECOND;
    let mut errors = 0_u32;
    while Instant::now() < until {
        for text in ["NOAUTH Authentication required.", "READONLY You can't write against a read only replica."] {
            let mut eval = redis::cmd("EVAL");
            eval.arg("return redis.error_reply(ARGV[1])").arg(0).arg(text);
            assert!(eval.exec_async(&mut con).await.is_err());
            errors += 1;
        }
    }
    let stats = redis.manager().stats();
    assert_eq!((stats.counters.links_lost, stats.counters.links_opened), (0, 4), "after {errors} errors");
    let calls: String = server.admin().await.ask("INFO commandstats").await;
    let looks: u32 = ["ping", "role"].iter().map(|name| calls_of(&calls, name)).sum();
    // One look a second at the link that the scripts travel on: a PING and a ROLE each.
    assert!((2..=12).contains(&looks), "{looks} for {errors} errors");
}

fn calls_of(commandstats: &str, name: &str) -> u32 {
    let start = format!("cmdstat_{name}:calls=");
    let line = commandstats.lines().find_map(|line| line.strip_prefix(&start));
    line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}

/// A policy without ROLE: HELLO without arguments tells, too, and where neither may be asked, the error is believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_found_out_without_the_right_to_ask_for_its_role() {
    for rights in [["-role", "+hello"], ["-role", "-hello"]] {
        let server = Server::start();
        let mut admin = server.admin().await;
        let redis = server.connect(server.config().pool_size(1)).await;
        for right in rights {
            admin.run(&format!("ACL SETUSER tester {right}")).await;
        }
        admin.run("REPLICAOF 127.0.0.1 1").await;
        let mut eval = redis::cmd("EVAL");
        eval.arg("return redis.call('SET', KEYS[1], 1)").arg(1).arg("key");
        let mut con = redis.clone();
        eventually("the link goes", 3 * SECOND, async || {
            _ = eval.exec_async(&mut con).await;
            (redis.manager().counters().links_lost > 0).then_some(())
        })
        .await;
    }
}
