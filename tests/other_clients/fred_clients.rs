//! fred: a client, a pool, a cluster.

use super::{Load, cluster, single, start, tls};
use common::{Azure, SECOND, eventually};
use entra_redis::{EntraCredentials, emulator::IdentityFault};
use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike, KeysInterface},
    types::{
        Builder, RespVersion,
        config::{Config, ReconnectPolicy, ServerConfig, TlsConfig, TlsHostMapping},
    },
};
use std::sync::Arc;

fn builder(azure: &Azure, credentials: &EntraCredentials, version: RespVersion) -> Builder {
    let (host, port) = (azure.host(), azure.port());
    let server = match azure.cluster() {
        Ok(_) => ServerConfig::new_clustered(vec![(host, port)]),
        Err(_) => ServerConfig::new_centralized(host, port),
    };
    let config = Config {
        server,
        version,
        credential_provider: Some(Arc::new(credentials.clone())),
        // The nodes of a cluster are named by IP addresses, the certificate is for the host name.
        tls: Some(TlsConfig { connector: tls(azure).into(), hostnames: TlsHostMapping::DefaultHost }),
        ..Config::default()
    };
    let mut builder = Builder::from_config(config);
    builder.set_policy(ReconnectPolicy::new_constant(0, 50));
    builder
}

async fn connect(azure: &Azure, credentials: &EntraCredentials, version: RespVersion) -> Client {
    let client = builder(azure, credentials, version).build().unwrap();
    client.init().await.unwrap();
    client
}

async fn ask(client: &Client, key: &str, value: &str) -> Result<String, Error> {
    client.set::<(), _, _>(key, value, None, None, false).await?;
    client.get(key).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_authenticated_again_with_each_token() {
    for version in [RespVersion::RESP2, RespVersion::RESP3] {
        let (azure, credentials) = start(single()).await;
        let client = connect(&azure, &credentials, version).await;
        drop(credentials);
        let load = Load::through_rotations(&azure, async |key, value| ask(&client, key, value).await).await;
        load.assert_unharmed();
        // With each token, and four times in the last half of its predecessor's life.
        assert!(load.reauths() <= 30, "{load:?}");
        client.quit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_are_all_of_a_pool() {
    let (azure, credentials) = start(single()).await;
    let pool = builder(&azure, &credentials, RespVersion::RESP3).build_pool(4).unwrap();
    pool.init().await.unwrap();
    let load = Load::through_rotations(&azure, async |key, value| ask(pool.next(), key, value).await).await;
    assert_eq!(load.connections, 4);
    load.assert_unharmed();
    pool.quit().await.unwrap();
}

/// Each client has a connection to each of the three nodes, all of which are renewed, and one for the topology, which
/// is not; that one is cut, unnoticed.
#[track_caller]
fn assert_on_a_cluster(load: &Load, clients: u64) {
    load.assert_renewed();
    assert!(load.connections >= 3 * clients, "{load:?}");
    assert!(load.expired() <= clients, "{load:?}");
    assert_eq!(load.after.accepted, load.before.accepted, "{load:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_are_those_to_all_nodes_of_a_cluster_over_resp2() {
    let (azure, credentials) = start(cluster()).await;
    let client = connect(&azure, &credentials, RespVersion::RESP2).await;
    let load = Load::through_rotations(&azure, async |key, value| ask(&client, key, value).await).await;
    assert_on_a_cluster(&load, 1);
    // The connection by which it reads the topology may have been cut: it is dialled again when there is news.
    let cluster = azure.cluster().unwrap();
    cluster.move_slots(0..=5_000, 2).await.unwrap();
    for key in 0..200 {
        let key = format!("moved:{key}");
        assert_eq!(ask(&client, &key, "value").await.unwrap(), "value");
    }
    client.quit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_are_those_of_a_pool_on_a_cluster() {
    let (azure, credentials) = start(cluster()).await;
    let pool = builder(&azure, &credentials, RespVersion::RESP2).build_pool(2).unwrap();
    pool.init().await.unwrap();
    let load = Load::through_rotations(&azure, async |key, value| ask(pool.next(), key, value).await).await;
    assert_on_a_cluster(&load, 2);
    pool.quit().await.unwrap();
}

/// Its `HELLO` to all nodes has no credentials in it. When that changes, the guide's table and the bridge's page have
/// to say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_over_resp3_connections_end_and_are_dialled_again() {
    let (azure, credentials) = start(cluster()).await;
    let client = connect(&azure, &credentials, RespVersion::RESP3).await;
    let load = Load::through_rotations(&azure, async |key, value| ask(&client, key, value).await).await;
    assert_eq!((load.reauths(), load.after.rejected), (0, 0), "{load:?}");
    assert!(load.expired() >= 3 && load.after.accepted > load.before.accepted, "{load:?}");
    assert!(load.answered > 1_000, "{load:?}");
    client.quit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_told_why_there_is_no_token_and_serves_once_there_is_one() {
    let (azure, _) = start(single()).await;
    azure.identity().fault_all(Some(IdentityFault::WrongSecret));
    let none = EntraCredentials::start(azure.credential(), common::by_ratio(0.5)).unwrap();
    let client = builder(&azure, &none, RespVersion::RESP3).build().unwrap();
    let error = client.init().await.unwrap_err();
    common::logs::check(&format!("{error} {error:?}"));
    assert_eq!(error.kind(), &ErrorKind::Auth);
    assert!(error.details().contains("AADSTS7000215"), "{error}");

    azure.identity().fault_all(None);
    let client = builder(&azure, &none, RespVersion::RESP3).build().unwrap();
    eventually("a connection", 20 * SECOND, async || client.init().await.ok()).await;
    assert_eq!(ask(&client, "key", "value").await.unwrap(), "value");
    client.quit().await.unwrap();
}
