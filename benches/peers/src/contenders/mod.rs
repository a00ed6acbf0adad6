//! What is compared: every client behind one small trait, in the way its own documentation recommends for speed.

pub mod bb8_pool;
pub mod deadpool_pool;
pub mod fred_client;
mod ops;
pub mod ours;
pub mod redis_rs;
pub mod rustis_client;
mod shared;

use crate::target::Outcome;
use bytes::Bytes;

pub use shared::Shared;

/// A connected client. The calls are dispatched statically, so that nothing is boxed but what the client boxes itself.
///
/// Values are read in the type that is cheapest for the client (`Vec<u8>`, `Bytes`, `BulkString`); only their length
/// comes back.
pub trait Contender: Clone + Send + 'static {
    /// The handle of one of the tasks.
    fn for_task(&self, _task: usize) -> Self {
        self.clone()
    }

    /// `GET`; the length of the value.
    fn get(&mut self, key: &str) -> impl Future<Output = Outcome<usize>> + Send;

    /// `SET`.
    fn set(&mut self, key: &str, value: &Bytes) -> impl Future<Output = Outcome<()>> + Send;

    /// As many `GET`s in one pipeline; the length of all values.
    fn get_many(&mut self, key: &str, count: usize) -> impl Future<Output = Outcome<usize>> + Send;
}

/// Who is compared, with how many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// This crate; without a number, with the pool size it has by default.
    Ours(Option<usize>),
    ConnectionManager,
    Multiplexed,
    /// The redis crate's connection to a cluster.
    Cluster,
    Fred(usize),
    Rustis(usize),
    Bb8(usize),
    Deadpool(usize),
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::OURS,
        Self::Ours(Some(1)),
        Self::Ours(Some(4)),
        Self::ConnectionManager,
        Self::Multiplexed,
        Self::Fred(1),
        Self::Fred(2),
        Self::Fred(4),
        Self::Rustis(1),
        Self::Rustis(2),
        Self::Bb8(16),
        Self::Deadpool(16),
    ];

    /// Those that know clusters; a number of connections is that of each node.
    pub const ON_CLUSTERS: [Self; 9] = [
        Self::OURS,
        Self::Ours(Some(1)),
        Self::Ours(Some(2)),
        Self::Ours(Some(4)),
        Self::Cluster,
        Self::Fred(1),
        Self::Fred(2),
        Self::Rustis(1),
        Self::Rustis(2),
    ];

    /// The one that the comparisons are about.
    pub const OURS: Self = Self::Ours(None);

    pub fn is_peer(self) -> bool {
        !matches!(self, Self::Ours(_))
    }

    /// The client, whatever its number of connections.
    pub fn family(self) -> &'static str {
        match self {
            Self::Ours(_) => "entra-redis",
            Self::ConnectionManager => "redis ConnectionManager",
            Self::Multiplexed => "redis MultiplexedConnection",
            Self::Cluster => "redis ClusterConnection",
            Self::Fred(_) => "fred",
            Self::Rustis(_) => "rustis",
            Self::Bb8(_) => "bb8 + redis",
            Self::Deadpool(_) => "deadpool + redis",
        }
    }

    pub fn name(self) -> String {
        let family = self.family();
        match self {
            Self::Ours(None) | Self::ConnectionManager | Self::Multiplexed | Self::Cluster => family.to_owned(),
            Self::Ours(Some(links)) => format!("{family}, pool of {links}"),
            Self::Fred(size) | Self::Bb8(size) | Self::Deadpool(size) => format!("{family}, pool of {size}"),
            Self::Rustis(1) => format!("{family}, 1 connection"),
            Self::Rustis(size) => format!("{family}, {size} connections"),
        }
    }
}
