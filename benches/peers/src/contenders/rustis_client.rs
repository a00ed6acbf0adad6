//! `rustis`, a shared client; or several, over which the tasks are dealt out.
//!
//! Its defaults are `TCP_NODELAY`, no command timeout, and waves of 48 commands, which its documentation calls the
//! optimum.

use super::Contender;
use crate::target::{Outcome, Target, text};
use bytes::Bytes;
use rustis::{
    client::{BatchPreparedCommand, Client, ClusterConfig, Config, ServerConfig, TlsConfig},
    commands::StringCommands,
    resp::{BulkString, RefBulkString},
};
use std::sync::Arc;

#[derive(Clone)]
pub struct Rustis {
    client: Client,
    all: Arc<[Client]>,
}

pub async fn connect(target: &Target, connections: usize) -> Outcome<Rustis> {
    let mut config = Config::default();
    config.server = server(target);
    config.username = Some("tester".to_owned());
    config.password = Some("any".to_owned());
    config.tls_config = Some(TlsConfig::new(Arc::new(target.rustls()?)));
    let client = Client::connect(config.clone()).await.map_err(text)?;
    let mut all = vec![client.clone()];
    while all.len() < connections {
        all.push(Client::connect(config.clone()).await.map_err(text)?);
    }
    Ok(Rustis { client, all: all.into() })
}

fn server(target: &Target) -> ServerConfig {
    if target.nodes == 0 {
        return ServerConfig::Standalone { host: target.host.clone(), port: target.port };
    }
    let mut cluster = ClusterConfig::default();
    cluster.nodes = vec![(target.host.clone(), target.port)];
    ServerConfig::Cluster(cluster)
}

impl Contender for Rustis {
    fn for_task(&self, task: usize) -> Self {
        Self { client: self.all[task % self.all.len()].clone(), all: Arc::clone(&self.all) }
    }

    async fn get(&mut self, key: &str) -> Outcome<usize> {
        let value: BulkString = self.client.get(key).await.map_err(text)?;
        Ok(value.len())
    }

    async fn set(&mut self, key: &str, value: &Bytes) -> Outcome<()> {
        self.client.set(key, RefBulkString::new(value)).await.map_err(text)
    }

    async fn get_many(&mut self, key: &str, count: usize) -> Outcome<usize> {
        let mut pipeline = self.client.create_pipeline();
        pipeline.reserve(count);
        for _ in 0..count {
            pipeline.get::<()>(key).queue();
        }
        let values: Vec<BulkString> = pipeline.execute().await.map_err(text)?;
        Ok(values.iter().map(|value| value.len()).sum())
    }
}
