//! `fred`, with its round-robin pool.
//!
//! `TCP_NODELAY` as in its README; no command timeout, no check for unresponsive connections and an unbounded queue,
//! which are its defaults; RESP3, which it need not translate.

use super::Contender;
use crate::target::{Outcome, Target, text};
use bytes::Bytes;
use fred::{
    clients::Pool,
    interfaces::{ClientLike, KeysInterface},
    types::{
        Builder, RespVersion,
        config::{Config, ServerConfig, TcpConfig, TlsConfig},
    },
};

#[derive(Clone)]
pub struct Fred(Pool);

pub async fn connect(target: &Target, size: usize) -> Outcome<Fred> {
    let (host, port) = (target.host.as_str(), target.port);
    let server = match target.nodes {
        0 => ServerConfig::new_centralized(host, port),
        _ => ServerConfig::new_clustered(vec![(host, port)]),
    };
    let config = Config {
        username: Some("tester".to_owned()),
        password: Some("any".to_owned()),
        server,
        version: RespVersion::RESP3,
        tls: Some(TlsConfig::from(target.rustls()?)),
        ..Config::default()
    };
    let mut builder = Builder::from_config(config);
    builder.with_connection_config(|connection| {
        connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
    });
    let pool = builder.build_pool(size).map_err(text)?;
    // The handle of its tasks; they go on without it.
    drop(pool.init().await.map_err(text)?);
    Ok(Fred(pool))
}

impl Contender for Fred {
    async fn get(&mut self, key: &str) -> Outcome<usize> {
        let value: Bytes = self.0.next().get(key).await.map_err(text)?;
        Ok(value.len())
    }

    async fn set(&mut self, key: &str, value: &Bytes) -> Outcome<()> {
        self.0.next().set::<(), _, _>(key, value.clone(), None, None, false).await.map_err(text)
    }

    async fn get_many(&mut self, key: &str, count: usize) -> Outcome<usize> {
        let pipeline = self.0.next().pipeline();
        for _ in 0..count {
            // Returns when it is queued.
            pipeline.get::<(), _>(key).await.map_err(text)?;
        }
        let values: Vec<Bytes> = pipeline.all().await.map_err(text)?;
        Ok(values.iter().map(Bytes::len).sum())
    }
}
