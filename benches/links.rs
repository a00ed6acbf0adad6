//! What connections cost: the time until the first reply, the memory of a link and of a handle, and whether reconnects
//! resume their TLS session.
//!
//! `cargo bench -p entra-redis-benches --bench links`. Connecting is measured on the emulator, behind a relay that
//! makes it look far away and with tokens that take their time; memory on a `redis-server` that it starts, in a process
//! of its own for each transport.

use clap::{Parser, ValueEnum};
use common::{distance::Distance, eventually, server::Server, tls};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls, emulator::Emulator};
use redis::AsyncCommands;
use rustls::pki_types::ServerName;
use std::{
    env, fs,
    hint::black_box,
    net::Ipv4Addr,
    process::Command,
    time::{Duration, Instant},
};
use tokio::net::TcpStream;

#[derive(Parser)]
struct Options {
    /// How long a token takes to get, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 200)]
    token: u64,
    /// How far away Redis is, in milliseconds there and back.
    #[arg(long, value_name = "MS", default_value_t = 40)]
    round_trip: u64,
    /// How often connecting is measured.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Links of the process whose memory is measured.
    #[arg(long, default_value_t = 1_000)]
    links: usize,
    /// Measures the memory of links over this transport only, in this process.
    #[arg(long)]
    memory_of: Option<Transport>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Transport {
    Tcp,
    Tls,
}

/// Handles whose memory is measured together, so that it is more than a page.
const HANDLES: usize = 1_000_000;

/// At a hundred dials a second, and some to spare.
const ALL_UP: Duration = Duration::from_secs(300);

fn main() {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        if let Some(transport) = options.memory_of {
            return memory(transport, options.links).await;
        }
        connecting(&options).await;
        reconnecting().await;
        let links = options.links.to_string();
        println!("memory, {links} links of one process");
        for transport in ["tcp", "tls"] {
            // What another measurement has given back to the allocator would be used again, and not be seen.
            let arguments = ["--memory-of", transport, "--links", &links];
            let program = env::current_exe().expect("this program");
            let status = Command::new(program).args(arguments).status().expect("it runs again");
            assert!(status.success(), "memory over {transport}: {status}");
        }
    });
}

async fn connecting(options: &Options) {
    let (token, round_trip) = (Duration::from_millis(options.token), Duration::from_millis(options.round_trip));
    let emulator = Emulator::builder().start().await.expect("the emulator");
    let distance = Distance::to(emulator.port(), round_trip).await;
    let identity = emulator.identity().clone();
    let credential = Credential::custom(move || {
        let jwt = identity.issue_token().expect("a token");
        async move {
            tokio::time::sleep(token).await;
            AccessToken::from_jwt(jwt)
        }
    });
    let source = credential.token_source().expect("a token source");

    let mut times: [Vec<Duration>; 5] = Default::default();
    for _ in 0..options.rounds {
        let began = Instant::now();
        source.fetch().await.expect("a token");
        let fetched = began.elapsed();

        let began = Instant::now();
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, distance.port)).await.expect("TCP");
        let name = ServerName::try_from(emulator.host()).expect("a name");
        let stream = tls::connector(emulator.ca_pem()).connect(name, tcp).await.expect("TLS");
        let secured = began.elapsed();
        drop(stream);

        let config = Config::new(credential.clone()).tls(emulator.tls()).pool_size(1);
        let began = Instant::now();
        let redis = EntraRedis::connect(emulator.host(), distance.port, config).await.expect("a connection");
        let connected = began.elapsed();
        let mut handle = redis.clone();
        let () = handle.set("key", "value").await.expect("SET");
        let answered = began.elapsed();

        let began = Instant::now();
        let _: Vec<u8> = handle.get("key").await.expect("GET");
        let there_and_back = began.elapsed();

        let round = [fetched, secured, there_and_back, connected, answered];
        times.iter_mut().zip(round).for_each(|(all, time)| all.push(time));
    }
    let [token, tls, round_trip, connected, answered] = times.map(median);
    println!("connecting, medians of {} rounds", options.rounds);
    row("token alone", millis(token));
    row("TCP + TLS alone", millis(tls));
    row("one round trip (GET)", millis(round_trip));
    row("connect, which ends with the reply to AUTH", millis(connected));
    row("  max(token, TCP + TLS) + one round trip", millis(token.max(tls) + round_trip));
    row("  one after the other", millis(token + tls + round_trip));
    row("connect and the reply to a first command", millis(answered));
}

async fn reconnecting() {
    let emulator = Emulator::builder().start().await.expect("the emulator");
    let redis = EntraRedis::connect(emulator.host(), emulator.port(), emulator.config()).await.expect("a connection");
    links_up(&redis, 4).await;
    let first = emulator.redis_front().stats();
    emulator.redis_front().cut_all();
    let began = Instant::now();
    eventually("reconnects", ALL_UP, async || (redis.manager().counters().reconnects == 4).then_some(())).await;
    let took = began.elapsed();
    let all = emulator.redis_front().stats();
    println!("TLS sessions resumed, of 4 links that are cut");
    row("when the pool came up", format!("{} of {}", first.resumed, first.accepted));
    row("reconnects", format!("{} of {}", all.resumed - first.resumed, all.accepted - first.accepted));
    row("until all were back", millis(took));
}

async fn memory(transport: Transport, links: usize) {
    let server = Server::start_unwatched();
    let (name, port, tls) = match transport {
        Transport::Tcp => ("TCP", server.plain_port, Tls::dangerously_unencrypted()),
        Transport::Tls => ("TLS", server.port, Tls::new().ca_pem(&server.ca_pem)),
    };
    let connect = async |links: usize| {
        let config = server.config().tls(tls.clone()).pool_size(links);
        let redis = EntraRedis::connect("localhost", port, config).await.expect("a connection");
        links_up(&redis, links).await;
        redis
    };
    // What is there once, however many links there are, is there before the measurement begins.
    let first = connect(1).await;
    let before = resident();
    let redis = connect(links).await;
    let after = resident();
    row(&format!("a link over {name}"), each(before, after, links));

    let before = resident();
    let handles = black_box(vec![first; HANDLES]);
    let after = resident();
    row("a clone of a handle", each(before, after, HANDLES));
    drop((redis, handles));
}

async fn links_up(redis: &EntraRedis, links: usize) {
    eventually("all links are up", ALL_UP, async || {
        let stats = redis.manager().stats();
        (stats.links.iter().filter(|link| link.is_open()).count() == links).then_some(())
    })
    .await;
}

/// The memory of this process, in bytes; Linux only.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    kibibytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

fn each(before: Option<u64>, after: Option<u64>, count: usize) -> String {
    let (Some(before), Some(after)) = (before, after) else {
        return "unknown on this system".to_owned();
    };
    let bytes = after.saturating_sub(before) as f64 / count as f64;
    if bytes < 1024.0 { format!("{bytes:.0} bytes") } else { format!("{:.1} KiB", bytes / 1024.0) }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

fn row(what: &str, figure: impl std::fmt::Display) {
    println!("  {what:44} {figure:>16}");
}
