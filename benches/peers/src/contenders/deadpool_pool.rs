//! `deadpool` over connections of the redis crate: a command has a connection to itself.
//!
//! A manager of our own instead of `deadpool-redis`, whose `UNWATCH` and `PING` at every check-out are a round trip
//! more and cannot be switched off.

use super::{Contender, ops, redis_rs::Dialer};
use crate::target::{Outcome, Target, text};
use bytes::Bytes;
use deadpool::managed::{self, Metrics, Pool, RecycleResult};
use futures_util::future::try_join_all;
use redis::{RedisError, aio::MultiplexedConnection};

pub struct Manager(Dialer);

impl managed::Manager for Manager {
    type Type = MultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> Result<MultiplexedConnection, RedisError> {
        self.0.dial().await
    }

    async fn recycle(&self, _: &mut MultiplexedConnection, _: &Metrics) -> RecycleResult<RedisError> {
        Ok(())
    }
}

#[derive(Clone)]
pub struct Deadpool(Pool<Manager>);

pub async fn connect(target: &Target, size: usize) -> Outcome<Deadpool> {
    let pool: Pool<Manager> = Pool::builder(Manager(Dialer::new(target)?)).max_size(size).build().map_err(text)?;
    // It would open them one by one as they are needed.
    drop(try_join_all((0..size).map(|_| pool.get())).await.map_err(text)?);
    Ok(Deadpool(pool))
}

impl Contender for Deadpool {
    async fn get(&mut self, key: &str) -> Outcome<usize> {
        let mut connection = self.0.get().await.map_err(text)?;
        ops::get(&mut *connection, key).await
    }

    async fn set(&mut self, key: &str, value: &Bytes) -> Outcome<()> {
        let mut connection = self.0.get().await.map_err(text)?;
        ops::set(&mut *connection, key, value).await
    }

    async fn get_many(&mut self, key: &str, count: usize) -> Outcome<usize> {
        let mut connection = self.0.get().await.map_err(text)?;
        ops::get_many(&mut *connection, key, count).await
    }
}
