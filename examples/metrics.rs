//! A service that shows how it is: `cargo run --example metrics --features metrics`.
//!
//! It puts a light load on the emulator, whose tokens live ten seconds here, and serves Prometheus text at `/metrics`
//! and probes for Kubernetes at `/ready` and `/alive`, on a loopback port that it prints: `--port N`, or one that is
//! free. It ends when it is interrupted, or after `--seconds N`.

use entra_redis::{EntraRedis, emulator::Emulator};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use redis::AsyncCommands;
use std::{error::Error, future::pending, io, net::Ipv4Addr, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

const TASKS: u64 = 8;

/// Seconds, for the times of commands: OpenTelemetry's bounds for databases, and some below, because Redis is fast.
const BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Larger requests are no scraper's.
const LARGEST_REQUEST: u64 = 16 << 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let seconds = option("--seconds")?;
    let port = option("--port")?.unwrap_or(0);
    // First of all: `connect` registers its figures with the recorder that is installed by then.
    let prometheus = PrometheusBuilder::new()
        .with_recommended_naming(true)
        .set_buckets_for_metric(Matcher::Full("db.client.operation.duration".to_owned()), &BUCKETS)?
        .install_recorder()?;
    let emulator = Emulator::builder().token_lifetime(Duration::from_secs(10)).start().await?;
    let redis = EntraRedis::open(emulator.config()).await?;
    let workers: Vec<_> = (0..TASKS).map(|task| tokio::spawn(work(redis.clone(), task))).collect();

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.map_err(|error| format!("the port that --port names cannot be used: {error}"))?;
    let address = listener.local_addr()?;
    println!("http://{address}/metrics\nhttp://{address}/ready\nhttp://{address}/alive");
    tokio::select! {
        failed = serve(&listener, &redis, &prometheus) => failed?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        () = after(seconds) => {}
    }
    workers.iter().for_each(tokio::task::JoinHandle::abort);
    redis.shutdown().await;
    Ok(())
}

/// The number behind this option, if that is given.
fn option(name: &str) -> Result<Option<u16>, String> {
    let Some(text) = std::env::args().skip_while(|argument| argument != name).nth(1) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| format!("{name} needs a number: {text}"))
}

async fn after(seconds: Option<u16>) {
    match seconds {
        Some(seconds) => sleep(Duration::from_secs(seconds.into())).await,
        None => pending().await,
    }
}

async fn work(mut redis: EntraRedis, task: u64) {
    loop {
        if let Err(error) = redis.incr::<_, _, u64>(format!("counter:{task}"), 1).await {
            eprintln!("a command failed: {error}");
        }
        sleep(Duration::from_millis(5)).await;
    }
}

async fn serve(listener: &TcpListener, redis: &EntraRedis, prometheus: &PrometheusHandle) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let (redis, prometheus) = (redis.clone(), prometheus.clone());
        tokio::spawn(async move {
            let answered = timeout(Duration::from_secs(5), answer(stream, &redis, &prometheus)).await;
            if let Ok(Err(error)) = answered {
                eprintln!("a request was not answered: {error}");
            }
        });
    }
}

async fn answer(mut stream: TcpStream, redis: &EntraRedis, prometheus: &PrometheusHandle) -> io::Result<()> {
    let (request, mut reply) = stream.split();
    let mut lines = BufReader::new(request.take(LARGEST_REQUEST)).lines();
    let first = lines.next_line().await?.unwrap_or_default();
    // What follows says nothing that matters here, but a connection that is closed with bytes unread may lose the
    // answer.
    while lines.next_line().await?.is_some_and(|line| !line.is_empty()) {}

    let health = redis.manager().health();
    let probe = |good| if good { "200 OK" } else { "503 Service Unavailable" };
    let (status, body) = match first.split(' ').nth(1) {
        Some("/metrics") => ("200 OK", prometheus.render()),
        Some("/ready") => (probe(health.is_ready()), format!("{health}\n")),
        Some("/alive") => (probe(health.is_alive()), format!("{health}\n")),
        _ => ("404 Not Found", String::new()),
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n", body.len());
    reply.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await?;
    reply.shutdown().await
}
