//! The hot path allocates nothing that the `redis` crate's trait does not force.

use allocation_counter::measure;
use common::server::Server;
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls};
use redis::{Value, aio::ConnectionLike};
use std::time::Duration;
use tokio::runtime::Runtime;

const COMMANDS: u64 = 1_000;

/// Two for a `GET`: the boxed future that `ConnectionLike` asks for, and the value itself.
///
/// With the feature `metrics`, a recorder listens: its histograms take a piece of memory for some hundred values.
///
/// Without TLS, whose records are rustls's business, and on one thread, so that the connection's task is counted too.
#[test]
fn a_get_costs_two_allocations_and_a_status_one() {
    #[cfg(feature = "metrics")]
    metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().unwrap();
    let server = Server::start_unwatched();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut redis = runtime.block_on(connect(&server));
    let get = redis::cmd("GET").arg("key").clone();
    let set = redis::cmd("SET").arg("key").arg("value").clone();
    // Buffers find their sizes, and the pool its links.
    runtime.block_on(common::links_up(&redis, 4));
    send(&runtime, &mut redis, &set);
    send(&runtime, &mut redis, &get);

    let gets = measure(|| send(&runtime, &mut redis, &get));
    let sets = measure(|| send(&runtime, &mut redis, &set));
    // The keeper looks around once a second meanwhile; that is not the commands' doing.
    let slack = COMMANDS / 20;
    assert!((2 * COMMANDS..=2 * COMMANDS + slack).contains(&gets.count_total), "{gets:?} for {COMMANDS} GETs");
    assert!((COMMANDS..=COMMANDS + slack).contains(&sets.count_total), "{sets:?} for {COMMANDS} SETs");
}

fn send(runtime: &Runtime, redis: &mut EntraRedis, cmd: &redis::Cmd) {
    runtime.block_on(async {
        for _ in 0..COMMANDS {
            let value = redis.req_packed_command(cmd).await.unwrap();
            assert!(!matches!(value, Value::Nil));
        }
    });
}

async fn connect(server: &Server) -> EntraRedis {
    let token = || async { AccessToken::opaque("any token", Duration::from_secs(3600), "tester") };
    let config = Config::new(Credential::custom(token)).tls(Tls::dangerously_unencrypted());
    EntraRedis::connect("localhost", server.plain_port, config).await.unwrap()
}
