//! What the connection manager shows of itself.

use crate::{admission::CommandStats, error::Error, observe::event::Counters};
use std::{borrow::Cow, ops::RangeInclusive, time::Duration};

/// A snapshot of what the connection manager is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// What spans, events and metrics call this connection manager: `host:port`, and `host:port#2` for a second one of
    /// the process to the same server.
    pub pool: String,
    /// Counters of tokens and links since `connect`.
    pub counters: Counters,
    /// Counters of commands since `connect`.
    pub commands: CommandStats,
    /// The newest token; none before the first one has come.
    pub token: Option<TokenStats>,
    /// The last token request that failed, whether others have succeeded since or not.
    pub last_token_failure: Option<TokenFailure>,
    /// The links that there are.
    pub links: Vec<LinkStats>,
    /// Connections that there are to be.
    pub pool_size: usize,
    /// Those that are being opened, standbys for links that wait for the answer to their `AUTH` included.
    pub dialing: usize,
    /// Links that were taken out of use, and still have something in flight.
    pub draining: usize,
    /// The last error of opening a connection; none once one has been opened since.
    pub last_connect_error: Option<Error>,
    /// The nodes of the cluster that commands are sent to; of a single endpoint, that one.
    pub nodes: Vec<NodeStats>,
    /// The near caches of this connection manager's handles together; none if there has never been one.
    pub cache: Option<CacheStats>,
}

impl Stats {
    /// The newest token request's error; none if it succeeded.
    #[must_use]
    pub fn token_error(&self) -> Option<&Error> {
        self.last_token_failure.as_ref().filter(|failure| !failure.overcome).map(|failure| &failure.error)
    }
}

/// One node of a cluster, or the single endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeStats {
    /// What the topology calls it; of a single endpoint, what `connect` was given.
    pub address: String,
    /// The slots whose keys it has, as ranges; none of a single endpoint.
    pub slots: Vec<RangeInclusive<u16>>,
    /// The links to it.
    pub links: usize,
    /// Those of them that take commands, or do once an `AUTH` is answered.
    pub open_links: usize,
    /// Commands without a reply yet.
    pub in_flight: usize,
    /// The last error of opening a connection to it; none once one has been opened since.
    pub last_connect_error: Option<Error>,
}

/// The newest token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenStats {
    /// Counts the tokens, from 1.
    pub generation: u64,
    /// The Redis user name that goes with it, an object id. A long one that has not the form of an id may be a key
    /// in the wrong place, and is not shown.
    pub username: String,
    /// How long ago it was received.
    pub age: Duration,
    /// Whether it is in use; not once it has expired, with no other one to be had.
    pub in_use: bool,
    /// How long it is still good; zero once it has expired.
    pub remaining: Duration,
    /// When the next one is asked for, from now.
    pub refresh_in: Duration,
}

/// A token request that failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenFailure {
    /// Why.
    pub error: Error,
    /// How long ago.
    pub ago: Duration,
    /// Whether a request has succeeded since.
    pub overcome: bool,
}

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// It takes commands.
    Open,
    /// It waits for the answer to an `AUTH`, and takes commands only while no other link does.
    Reauthenticating,
    /// It takes no commands any more, and is about to be replaced.
    Down,
}

/// Who uses a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkPurpose {
    /// The commands of all handles.
    Shared,
    /// One user at a time: a command that blocks, a [`Dedicated`](crate::Dedicated), a transaction; or it waits for the
    /// next one.
    Leased,
    /// One that gets what Redis sends without being asked.
    Subscriber,
}

/// One link.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkStats {
    /// The link's number, from 1 in order of connecting.
    pub link: u64,
    /// Who uses it.
    pub purpose: LinkPurpose,
    /// The address of the node that it leads to, as in [`NodeStats::address`].
    pub node: String,
    /// What it is good for.
    pub state: LinkState,
    /// The token it last authenticated with.
    pub generation: u64,
    /// Commands without a reply yet, its own `AUTH` and `PING` included.
    pub in_flight: usize,
    /// `AUTH`s with a new token that it has completed.
    pub reauths: u64,
    /// Links that were lost in its place in the pool before it.
    pub reconnects: u64,
}

impl LinkStats {
    /// Whether it takes commands; not while an `AUTH` is being answered.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == LinkState::Open
    }
}

/// What a near cache does, or several together: see `EntraRedis::cached`, with the feature `near-cache`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Reads that were answered from memory, an `MGET` as one for each key.
    pub hits: u64,
    /// Reads that could have been, and were answered by the server, those included that joined the read of another one.
    pub misses: u64,
    /// Keys that the server has said have changed.
    pub invalidations: u64,
    /// How often everything was dropped that one connection covered: it was lost, slots have moved, or the server said
    /// that all keys have changed.
    pub flushes: u64,
    /// Keys of which something is in memory.
    pub entries: u64,
    /// What that takes in memory, keys and bookkeeping included, as far as it can be told without asking the allocator.
    pub bytes: u64,
    /// The most that it may take; 0 if by any of the settings nothing is kept.
    pub max_bytes: u64,
    /// For each node, whether it tells of changes: what is read from one that does not is not kept.
    pub tracking: Vec<TrackingStats>,
}

impl CacheStats {
    /// The share of reads that were answered from memory, 0 to 1; 0 before the first one.
    #[must_use]
    pub fn hit_ratio(&self) -> f64 {
        match self.hits + self.misses {
            0 => 0.0,
            reads => self.hits as f64 / reads as f64,
        }
    }

    /// Whether all nodes tell of changes that are to; none is to if nothing is kept (`max_bytes` is 0).
    #[must_use]
    pub fn is_tracking(&self) -> bool {
        (self.max_bytes == 0 || !self.tracking.is_empty()) && self.tracking.iter().all(|node| node.on)
    }
}

/// Whether a node tells a near cache of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackingStats {
    /// The address of the node, as in [`NodeStats::address`].
    pub node: String,
    /// Whether it does.
    pub on: bool,
    /// Why it does not, as far as that is known yet.
    pub reason: Option<Cow<'static, str>>,
}
