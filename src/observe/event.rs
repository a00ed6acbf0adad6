//! What happens to tokens and links, and how often it has.

use crate::error::Error;
use std::{borrow::Cow, sync::Arc, time::Duration};

/// Something that happened to the token, to a link or to a near cache.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A new token is in use; the links get it next.
    #[non_exhaustive]
    TokenRefreshed {
        /// Counts the tokens, from 1.
        generation: u64,
        /// How long the token lives from now.
        lifetime: Duration,
        /// When the next refresh is due, from now.
        next_refresh: Duration,
    },
    /// The token source returned the token in use once more; nothing was sent to Redis.
    #[non_exhaustive]
    TokenUnchanged {
        /// When the next refresh is due, from now.
        next_refresh: Duration,
    },
    /// A token request failed; the token in use stays in use.
    #[non_exhaustive]
    RefreshFailed {
        /// Why.
        error: Error,
        /// Failures in a row, from 1.
        attempt: u32,
        /// When the next request is due, from now.
        retry_in: Duration,
    },
    /// The token in use has expired and no new one could be had: commands fail until one can.
    #[non_exhaustive]
    TokenExpired {
        /// Why there is no new token.
        error: Error,
    },
    /// A link is connected and authenticated.
    #[non_exhaustive]
    LinkUp {
        /// The address of the node that it leads to, as in [`NodeStats::address`](crate::NodeStats::address).
        node: Arc<str>,
        /// The link's number, from 1 in order of connecting.
        link: u64,
        /// The token it authenticated with.
        generation: u64,
        /// Whether it takes the place of one that was lost.
        reconnect: bool,
        /// How long that took: DNS, TCP, TLS and `AUTH`; of the first link, the wait for the first token included.
        took: Duration,
    },
    /// A link is gone: closed by the server, broken, silent, or given up.
    #[non_exhaustive]
    LinkDown {
        /// The address of the node that it leads to, as in [`NodeStats::address`](crate::NodeStats::address).
        node: Arc<str>,
        /// The link's number.
        link: u64,
        /// Why.
        reason: Cow<'static, str>,
    },
    /// A link has taken the place of one that was lost.
    #[non_exhaustive]
    LinkReplaced {
        /// The address of the node that it leads to, as in [`NodeStats::address`](crate::NodeStats::address).
        node: Arc<str>,
        /// The number of the link that was lost.
        link: u64,
        /// The number of the one that has taken its place.
        by: u64,
    },
    /// Everything in flight on a link that was taken out of use has been answered; its connection is closed.
    #[non_exhaustive]
    LinkDrained {
        /// The address of the node that it leads to, as in [`NodeStats::address`](crate::NodeStats::address).
        node: Arc<str>,
        /// The link's number.
        link: u64,
    },
    /// A second link that stood in for a lone one during its re-AUTH is closed again.
    #[non_exhaustive]
    LinkRetired {
        /// The address of the node that it leads to, as in [`NodeStats::address`](crate::NodeStats::address).
        node: Arc<str>,
        /// The link's number.
        link: u64,
    },
    /// A connection could not be opened; it will be tried again.
    #[non_exhaustive]
    DialFailed {
        /// The address of the node that it leads to, as in [`NodeStats::address`](crate::NodeStats::address).
        node: Arc<str>,
        /// Why.
        error: Error,
        /// When it will be tried again, from now.
        retry_in: Duration,
    },
    /// A live link authenticated with a new token.
    #[non_exhaustive]
    Reauthenticated {
        /// The address of the node that it leads to, as in [`NodeStats::address`](crate::NodeStats::address).
        node: Arc<str>,
        /// The link's number.
        link: u64,
        /// The new token.
        generation: u64,
    },
    /// A live link could not authenticate with a new token; it is tried again, then replaced.
    #[non_exhaustive]
    ReauthFailed {
        /// The address of the node that it leads to, as in [`NodeStats::address`](crate::NodeStats::address).
        node: Arc<str>,
        /// The link's number.
        link: u64,
        /// Why.
        error: Error,
    },
    /// A node tells a near cache of changes from now on: what is read from it is kept.
    #[non_exhaustive]
    CacheTracking {
        /// The address of the node, as in [`NodeStats::address`](crate::NodeStats::address).
        node: Arc<str>,
        /// The number of the link that it tells it over.
        link: u64,
    },
    /// A node does not tell a near cache of changes (any more, or yet): what is read from it is not kept, and what was
    /// is dropped.
    #[non_exhaustive]
    CacheUntracked {
        /// The address of the node, as in [`NodeStats::address`](crate::NodeStats::address).
        node: Arc<str>,
        /// Why.
        reason: Cow<'static, str>,
    },
}

/// Counters since `connect`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Tokens that came and differed from the one before, the first included.
    pub tokens_fetched: u64,
    /// Token requests that gave the token in use once more.
    pub tokens_unchanged: u64,
    /// Token requests that failed. With the two above: all that have been answered, or given up.
    pub token_failures: u64,
    /// Tokens that replaced another one in use.
    pub rotations: u64,
    /// `AUTH`s with a new token that live links completed.
    pub reauths: u64,
    /// `AUTH`s with a new token that failed.
    pub reauth_failures: u64,
    /// Links opened, those of the start included.
    pub links_opened: u64,
    /// Links opened in the place of one that was lost.
    pub reconnects: u64,
    /// Links lost: closed by the server, broken, silent, or given up.
    pub links_lost: u64,
    /// Connections that could not be opened.
    pub dial_failures: u64,
}
