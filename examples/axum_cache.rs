//! A web service with a cache in front of its database: `cargo run --example axum_cache --features metrics,near-cache`.
//!
//! `GET /books/{id}` is cache-aside: from the cache if it is there, else from the database, and then into the cache.
//! What the process has read lately it has in memory, until Redis says that it has changed; `PUT /books/{id}` writes
//! both. Around it: `/ready` and `/alive` for Kubernetes, `/metrics` for Prometheus, and an end that loses no request.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use clap::Parser;
use entra_redis::{CacheOptions, CachedRedis, EntraRedis, emulator::Emulator};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use redis::{AsyncCommands, RedisError};
use std::{
    collections::HashMap,
    error::Error,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, time::sleep};

#[derive(Parser)]
struct Options {
    /// Ends after this long; otherwise when it is interrupted or told to terminate.
    #[arg(long, value_name = "SECS")]
    seconds: Option<u64>,
    /// The loopback port to serve on; 0 takes one that is free.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
}

/// Books stay in the cache for so long, in seconds.
const KEPT: u64 = 300;

#[derive(Clone)]
struct Service {
    /// Each request takes a clone of its own.
    cache: CachedRedis,
    database: Database,
    prometheus: PrometheusHandle,
}

/// What stands for a database: slow, and right.
#[derive(Clone, Default)]
struct Database(Arc<Mutex<HashMap<u64, String>>>);

impl Database {
    async fn load(&self, id: u64) -> Option<String> {
        sleep(Duration::from_millis(50)).await;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    async fn save(&self, id: u64, title: String) {
        sleep(Duration::from_millis(50)).await;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, title);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    // First of all: `connect` registers its figures with the recorder that is installed by then.
    let prometheus = PrometheusBuilder::new().with_recommended_naming(true).install_recorder()?;
    let emulator = emulator().await?;
    // Against Azure: `EntraRedis::from_env().await?`, with the variables that its documentation lists.
    let redis = EntraRedis::open(emulator.config()).await?;

    let cache = redis.cached(CacheOptions::new().max_bytes(32 << 20).max_staleness(Duration::from_secs(2)));
    let service = Service { cache, database: Database::default(), prometheus };
    let routes = Router::new()
        .route("/books/{id}", get(book).put(write_book))
        .route("/ready", get(ready))
        .route("/alive", get(alive))
        .route("/metrics", get(async |State(service): State<Service>| service.prometheus.render()))
        .with_state(service);

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await;
    let listener = listener.map_err(|error| format!("the port that --port names cannot be used: {error}"))?;
    let address = listener.local_addr()?;
    for path in ["books/1", "ready", "alive", "metrics"] {
        println!("http://{address}/{path}");
    }
    println!("Ctrl-C ends it.");
    // First no more requests, then no more commands: what is under way is answered.
    axum::serve(listener, routes).with_graceful_shutdown(told_to_end(options.seconds)).await?;
    redis.shutdown().await;
    Ok(())
}

/// A redis-server if there is one: the emulator's own store does not tell of changes, so that nothing would be kept in
/// memory.
async fn emulator() -> io::Result<Emulator> {
    match Emulator::builder().redis_server().start().await {
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Emulator::builder().start().await,
        started => started,
    }
}

async fn book(State(mut service): State<Service>, Path(id): Path<u64>) -> (StatusCode, String) {
    let key = format!("book:{id}");
    match service.cache.get::<_, Option<String>>(&key).await {
        Ok(Some(title)) => return (StatusCode::OK, title),
        Ok(None) => {}
        // The database can answer without the cache.
        Err(error) => eprintln!("the cache was not read: {error}"),
    }
    let Some(title) = service.database.load(id).await else {
        return (StatusCode::NOT_FOUND, "no such book".to_owned());
    };
    if let Err(error) = service.cache.set_ex::<_, _, ()>(&key, &title, KEPT).await {
        eprintln!("the cache was not filled: {error}");
    }
    (StatusCode::OK, title)
}

async fn write_book(State(mut service): State<Service>, Path(id): Path<u64>, title: String) -> (StatusCode, String) {
    service.database.save(id, title).await;
    // Deleted, not set: of two writers, the one that is last at the cache need not be the last one at the database.
    let deleted: Result<(), RedisError> = service.cache.del(format!("book:{id}")).await;
    match deleted {
        Ok(()) => (StatusCode::NO_CONTENT, String::new()),
        // Others read the old title until it expires; whoever writes has to know.
        Err(error) => (StatusCode::BAD_GATEWAY, format!("saved, but the cache was not cleared: {error}\n")),
    }
}

/// Whether requests should come here now.
async fn ready(State(service): State<Service>) -> (StatusCode, String) {
    let health = service.cache.uncached().manager().health();
    (probe(health.is_ready()), format!("{health}\n"))
}

/// Whether a restart would be of no use.
async fn alive(State(service): State<Service>) -> (StatusCode, String) {
    let health = service.cache.uncached().manager().health();
    (probe(health.is_alive()), format!("{health}\n"))
}

fn probe(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Ctrl-C, what Kubernetes sends before it kills, or the end of the time.
async fn told_to_end(seconds: Option<u64>) {
    let interrupted = async { _ = tokio::signal::ctrl_c().await };
    let after = async {
        match seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = interrupted => {}
        () = terminated() => {}
        () = after => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => _ = signal.recv().await,
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
