//! The `redis` crate's own: its cluster client, and deadpool-redis over its connections.

use super::{Load, cluster, single, start};
use common::{Azure, SECOND};
use deadpool_redis::{Manager, Pool, Runtime};
use redis::{
    AsyncCommands, AsyncConnectionConfig, Client, ProtocolVersion, RedisError, TlsCertificates,
    cluster::{ClusterClient, NodeAddress},
};

fn certificates(azure: &Azure) -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: Some(azure.ca_pem().as_bytes().to_vec()) }
}

fn url(azure: &Azure) -> String {
    format!("rediss://{}:{}/?protocol=resp3", azure.host(), azure.port())
}

async fn ask(con: &mut impl AsyncCommands, key: &str, value: &str) -> Result<String, RedisError> {
    let _: () = con.set(key, value).await?;
    con.get(key).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_client_is_authenticated_again_on_all_nodes() {
    let (azure, credentials) = start(cluster()).await;
    // The nodes are named by IP addresses, the certificate is for the host name; so each has to be known beforehand.
    let named = azure.nodes().await.unwrap().into_iter().map(|node| {
        let (address, port) = (node.address.ip().to_string(), node.address.port());
        (NodeAddress::new(address, port), NodeAddress::new(azure.host(), port))
    });
    let client = ClusterClient::builder([url(&azure)])
        .certs(certificates(&azure))
        .node_address_map(named.collect())
        .use_protocol(ProtocolVersion::RESP3)
        .connection_timeout(15 * SECOND)
        .response_timeout(5 * SECOND)
        .set_credentials_provider(credentials)
        .build()
        .unwrap();
    let con = client.get_async_connection().await.unwrap();
    let load = Load::through_rotations(&azure, async |key, value| ask(&mut con.clone(), key, value).await).await;
    assert!(load.connections >= 3, "{load:?}");
    load.assert_unharmed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_connections_of_a_deadpool_are_authenticated_again() {
    let (azure, credentials) = start(single()).await;
    // Where the system trusts the server's certificate, `Manager::new_with_config(url, config)` does.
    let client = Client::build_with_tls(url(&azure), certificates(&azure)).unwrap();
    // A connection may take longer than its default of one second, and Azure's validation of a token up to ten.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(15 * SECOND))
        .set_response_timeout(Some(5 * SECOND))
        .set_credentials_provider(credentials);
    let manager = Manager::new_with_config(client.get_connection_info().clone(), config).unwrap();
    let pool =
        Pool::builder(manager).max_size(4).runtime(Runtime::Tokio1).wait_timeout(Some(15 * SECOND)).build().unwrap();
    // A pool that has lent nothing has nothing open.
    let lent = futures_util::future::join_all((0..4).map(|_| pool.get())).await;
    drop(lent.into_iter().map(Result::unwrap).collect::<Vec<_>>());
    let load = Load::through_rotations(&azure, async |key, value| {
        let mut con = pool.get().await.map_err(|error| error.to_string())?;
        ask(&mut con, key, value).await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(load.connections, 4);
    load.assert_unharmed();
}
