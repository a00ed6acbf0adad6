//! The three operations on any connection of the redis crate's kind, ours included.
//!
//! Commands are sent with `query_async`, which spares all of them the box in which `AsyncCommands` returns its futures.

use crate::target::{Outcome, text};
use redis::{Cmd, Pipeline, aio::ConnectionLike};

pub(super) async fn get<C: ConnectionLike + Send + Sync>(connection: &mut C, key: &str) -> Outcome<usize> {
    let mut cmd = Cmd::with_capacity(2, 3 + key.len());
    let value: Vec<u8> = cmd.arg("GET").arg(key).query_async(connection).await.map_err(text)?;
    Ok(value.len())
}

pub(super) async fn set<C: ConnectionLike + Send + Sync>(connection: &mut C, key: &str, value: &[u8]) -> Outcome<()> {
    let mut cmd = Cmd::with_capacity(3, 3 + key.len() + value.len());
    cmd.arg("SET").arg(key).arg(value).query_async(connection).await.map_err(text)
}

pub(super) async fn get_many<C: ConnectionLike + Send + Sync>(
    connection: &mut C,
    key: &str,
    count: usize,
) -> Outcome<usize> {
    let mut pipeline = Pipeline::with_capacity(count);
    for _ in 0..count {
        pipeline.get(key);
    }
    let values: Vec<Vec<u8>> = pipeline.query_async(connection).await.map_err(text)?;
    Ok(values.iter().map(Vec::len).sum())
}
