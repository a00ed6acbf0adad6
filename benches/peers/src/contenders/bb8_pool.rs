//! `bb8` over connections of the redis crate: a command has a connection to itself.
//!
//! A manager of our own instead of `bb8-redis`, which leaves the response timeout of 500 ms on; and without the check
//! at every check-out, which is a round trip more.

use super::{Contender, ops, redis_rs::Dialer};
use crate::target::{Outcome, Target, text};
use bb8::{ManageConnection, Pool};
use bytes::Bytes;
use redis::{RedisError, aio::MultiplexedConnection};

pub struct Manager(Dialer);

impl ManageConnection for Manager {
    type Connection = MultiplexedConnection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Self::Connection, Self::Error> {
        self.0.dial().await
    }

    async fn is_valid(&self, _: &mut Self::Connection) -> Result<(), Self::Error> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Self::Connection) -> bool {
        false
    }
}

#[derive(Clone)]
pub struct Bb8(Pool<Manager>);

pub async fn connect(target: &Target, size: usize) -> Outcome<Bb8> {
    let size = u32::try_from(size).map_err(text)?;
    let builder = Pool::builder().max_size(size).min_idle(size).test_on_check_out(false);
    builder.build(Manager(Dialer::new(target)?)).await.map(Bb8).map_err(text)
}

impl Contender for Bb8 {
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
