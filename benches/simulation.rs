//! A hundred nodes and a thousand links: how a rotation spreads, how often nodes are sent `AUTH` and tokens are asked
//! for, a replacement of all nodes, and what a link takes of memory. Anything wrong ends it.
//!
//! It takes a minute, and the emulator in a process of its own:
//! `cargo build --release --features cli --bin entra-redis && cargo bench -p entra-redis-benches --bench simulation`

use common::{
    SECOND, child,
    simulation::{Size, all_up, assert_token_requests, simulate},
};
use entra_redis::{Config, Credential, EntraRedis, Tls};
use std::{fs, time::Duration};

const LINKS: usize = 1_000;

#[tokio::main(worker_threads = 2)]
async fn main() {
    allow_files(6_000);
    // First, before anything else has used memory.
    println!("{:.1} KiB a link", memory_of_a_link().await);
    let token_lifetime: Duration = 10 * SECOND;
    let size = Size { nodes: 100, links_of_a_node: LINKS / 100, token_lifetime, rotations: 3, pause: SECOND / 5 };
    let figures = simulate(size).await;
    println!("{figures:#?}");
    assert_token_requests(&figures, token_lifetime);
}

/// Each connection has two ends in this process.
fn allow_files(files: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    assert!(maximum.is_none_or(|maximum| maximum >= files), "it needs {files} open files, {maximum:?} are allowed");
    setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum }).unwrap();
}

/// KiB. The nodes are in another process.
async fn memory_of_a_link() -> f64 {
    let arguments = ["emulator", "--embedded-cluster", "100", "--policy", "oss-cluster"];
    let emulator = child::start(&arguments, "# export AZURE_AUTHORITY_HOST=https://").await;
    let value = |name: &str| {
        let line = emulator.lines.iter().find_map(|line| line.strip_prefix(&format!("export {name}=")));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let [client, secret, tenant] = ["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"].map(value);
    let credential =
        Credential::service_principal(client, secret, tenant).authority_host(value("AZURE_AUTHORITY_HOST"));
    let config = Config::new(credential).tls(Tls::new().ca_file(value("REDIS_CA_CERT")));
    let port = value("REDIS_PORT").parse().unwrap();
    // What is needed once: a runtime, a trust store.
    let one = EntraRedis::connect(&value("REDIS_HOST"), port, config.clone().pool_size(1)).await.unwrap();
    all_up(&one, 100).await;
    let before = resident_kib();
    let redis = EntraRedis::connect(&value("REDIS_HOST"), port, config.pool_size(LINKS / 100)).await.unwrap();
    all_up(&redis, LINKS).await;
    let taken = (resident_kib() - before) as f64;
    assert_eq!(emulator.interrupt().await, Some(0));
    taken / LINKS as f64
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap()
}
