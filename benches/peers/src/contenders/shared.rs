//! One connection, or handle, that all tasks share: ours, and those of the redis crate, through the same lines.

use super::{Contender, ops};
use crate::target::Outcome;
use bytes::Bytes;
use redis::aio::ConnectionLike;

#[derive(Clone)]
pub struct Shared<C>(pub C);

impl<C: ConnectionLike + Clone + Send + Sync + 'static> Contender for Shared<C> {
    async fn get(&mut self, key: &str) -> Outcome<usize> {
        ops::get(&mut self.0, key).await
    }

    async fn set(&mut self, key: &str, value: &Bytes) -> Outcome<()> {
        ops::set(&mut self.0, key, value).await
    }

    async fn get_many(&mut self, key: &str, count: usize) -> Outcome<usize> {
        ops::get_many(&mut self.0, key, count).await
    }
}
