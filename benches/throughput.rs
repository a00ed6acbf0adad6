//! Throughput and latency of one shared handle, beside the redis crate's own `ConnectionManager`, in one run.
//!
//! `cargo bench -p entra-redis-benches --bench throughput` starts a `redis-server` over TLS, lets 256 tasks `GET` 64
//! bytes through each contender in turn, over several rounds, and prints medians and their ratios. Compare ratios of
//! one run, never figures of two.

use clap::Parser;
use common::server::Server;
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls, TokenManagerConfig};
use hdrhistogram::Histogram;
use redis::{AsyncCommands, Client, IntoConnectionInfo, TlsCertificates, aio::ConnectionLike};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

#[derive(Parser)]
struct Options {
    /// Tasks that share the handle.
    #[arg(long, default_value_t = 256)]
    tasks: usize,
    /// Rounds; each contender runs once in each.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that a contender runs in a round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// One run of one contender.
struct Run {
    per_second: f64,
    latency: Histogram<u64>,
}

fn main() {
    // The redis crate's own TLS needs a process-wide provider.
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("nothing else installs one");
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(compare(&options));
}

async fn compare(options: &Options) {
    let server = Server::start_unwatched();
    let steady = entra(&server, Duration::from_secs(3600)).await;
    let rotating = entra(&server, Duration::from_secs(2)).await;
    let peer = connection_manager(&server).await;
    let _: () = steady.clone().set("key", "x".repeat(64)).await.expect("SET");

    let names = ["redis ConnectionManager", "entra-redis", "entra-redis, a rotation each second"];
    let mut runs = names.map(|_| Vec::new());
    for round in 0..=options.rounds {
        let results = [load(&peer, options).await, load(&steady, options).await, load(&rotating, options).await];
        // The first round warms up.
        if round > 0 {
            runs.iter_mut().zip(results).for_each(|(all, run)| all.push(run));
        }
    }
    let [peer, steady, rotating] = runs.map(|all| summary(&all));
    println!("{} tasks, GET of 64 bytes over TLS, medians of {} rounds", options.tasks, options.rounds);
    for (name, (per_second, p50, p99, max)) in names.iter().zip([peer, steady, rotating]) {
        println!("{name:36} {per_second:>9.0}/s  p50 {p50:>6.0} µs  p99 {p99:>6.0} µs  max {max:>6.0} µs");
    }
    println!("throughput, entra-redis / ConnectionManager: {:.2}", steady.0 / peer.0);
    println!("p99, entra-redis / ConnectionManager:        {:.2}", steady.2 / peer.2);
    println!("p99, with rotations / without:               {:.2}", rotating.2 / steady.2);
}

/// Our handle; every token differs, so each is a rotation.
async fn entra(server: &Server, lifetime: Duration) -> EntraRedis {
    static ISSUED: AtomicU64 = AtomicU64::new(0);
    let credential = Credential::custom(move || async move {
        AccessToken::opaque(format!("token {}", ISSUED.fetch_add(1, Relaxed)), lifetime, "tester")
    });
    let config = Config::new(credential)
        .tls(Tls::new().ca_pem(&server.ca_pem))
        .token_manager(TokenManagerConfig::new().lower_refresh_bound(lifetime / 2));
    EntraRedis::connect("localhost", server.port, config).await.expect("a connection")
}

async fn connection_manager(server: &Server) -> redis::aio::ConnectionManager {
    let url = format!("rediss://tester:any@localhost:{}/", server.port);
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(server.ca_pem.clone().into_bytes()) };
    let info = url.into_connection_info().expect("a valid URL");
    let settings = redis::io::tcp::TcpSettings::default().set_nodelay(true);
    let client = Client::build_with_tls(info.set_tcp_settings(settings), certificates).expect("a client");
    let config = redis::aio::ConnectionManagerConfig::new().set_response_timeout(Some(Duration::from_secs(5)));
    client.get_connection_manager_with_config(config).await.expect("a connection")
}

async fn load<C: ConnectionLike + Clone + Send + Sync + 'static>(connection: &C, options: &Options) -> Run {
    let began = Instant::now();
    let end = began + Duration::from_secs(options.seconds);
    let tasks = (0..options.tasks).map(|_| {
        let mut connection = connection.clone();
        tokio::spawn(async move {
            let mut latency = histogram();
            while Instant::now() < end {
                let sent = Instant::now();
                let value: Vec<u8> = connection.get("key").await.expect("GET");
                assert_eq!(value.len(), 64);
                latency.saturating_record(u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX));
            }
            latency
        })
    });
    let mut latency = histogram();
    for task in tasks.collect::<Vec<_>>() {
        latency.add(task.await.expect("a task")).expect("histograms of one shape");
    }
    Run { per_second: latency.len() as f64 / began.elapsed().as_secs_f64(), latency }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("constant bounds")
}

/// Medians over the rounds: throughput, p50, p99 and maximum in microseconds.
fn summary(runs: &[Run]) -> (f64, f64, f64, f64) {
    let median = |of: &dyn Fn(&Run) -> f64| {
        let mut values: Vec<_> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let at = |quantile: f64| median(&|run| run.latency.value_at_quantile(quantile) as f64 / 1_000.0);
    (median(&|run| run.per_second), at(0.5), at(0.99), at(1.0))
}
