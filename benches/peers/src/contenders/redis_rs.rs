//! The redis crate's own connections.
//!
//! Its documentation on speed: `TCP_NODELAY` (off by default), a pipeline buffer that holds what all tasks send at once
//! (50 by default), a larger write boundary; and no response timeout, which costs a timer per command.

use super::Shared;
use crate::target::{Outcome, Target, text};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisResult, TlsCertificates,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
};

/// More than there are tasks.
const PIPELINE_BUFFER: usize = 4096;

const WRITE_BOUNDARY: usize = 64 << 10;

pub async fn multiplexed(target: &Target) -> Outcome<Shared<MultiplexedConnection>> {
    Dialer::new(target)?.dial().await.map(Shared).map_err(text)
}

pub async fn connection_manager(target: &Target) -> Outcome<Shared<ConnectionManager>> {
    let manager = client(target)?.get_connection_manager_with_config(manager_config()).await;
    manager.map(Shared).map_err(text)
}

pub fn manager_config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_response_timeout(None)
        .set_pipeline_buffer_size(PIPELINE_BUFFER)
        .set_write_backpressure_boundary(WRITE_BOUNDARY)
}

/// Its connection to a cluster, one for each node.
pub async fn cluster(target: &Target) -> Outcome<Shared<ClusterConnection>> {
    let client = ClusterClientBuilder::new([info(target)?])
        .certs(certificates(target))
        .tcp_settings(tcp_settings())
        .overall_response_timeout(None)
        .write_backpressure_boundary(WRITE_BOUNDARY);
    client.build().map_err(text)?.get_async_connection().await.map(Shared).map_err(text)
}

pub fn client(target: &Target) -> Outcome<Client> {
    Client::build_with_tls(info(target)?.set_tcp_settings(tcp_settings()), certificates(target)).map_err(text)
}

fn info(target: &Target) -> Outcome<ConnectionInfo> {
    format!("rediss://tester:any@{}:{}/", target.host, target.port).into_connection_info().map_err(text)
}

fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn certificates(target: &Target) -> TlsCertificates {
    TlsCertificates { client_tls: None, root_cert: Some(target.ca_pem.clone().into_bytes()) }
}

/// Opens the connections of `bb8` and `deadpool`, too.
pub struct Dialer {
    client: Client,
    config: AsyncConnectionConfig,
}

impl Dialer {
    pub fn new(target: &Target) -> Outcome<Self> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_write_backpressure_boundary(WRITE_BOUNDARY);
        Ok(Self { client: client(target)?, config })
    }

    pub async fn dial(&self) -> RedisResult<MultiplexedConnection> {
        self.client.get_multiplexed_async_connection_with_config(&self.config).await
    }
}
