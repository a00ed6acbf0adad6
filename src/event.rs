//! What happens, told once: each event goes to the counters, to `tracing` and to whoever subscribed.

use crate::{Error, ErrorKind, lock::lock, name::Name};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::broadcast;

/// The targets of everything that is told to `tracing`. They stay when code moves, and so do the names of spans and
/// events: the README lists them all.
pub(crate) mod target {
    /// Tokens: fetched, renewed, expired.
    pub(crate) const TOKEN: &str = "entra_redis::token";
    /// Links: dialed, re-authenticated, lost.
    pub(crate) const LINK: &str = "entra_redis::link";
}

/// How something ended for which there is a span, as that one's `outcome` has it.
pub(crate) fn outcome<T>(result: &Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) if matches!(error.kind(), ErrorKind::Timeout(_)) => "timed_out",
        Err(error) if error.kind() == ErrorKind::AuthenticationRejected => "rejected",
        Err(_) => "failed",
    }
}

/// Something that happened to the token or to a link.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A new token is in use; the links get it next.
    TokenRefreshed {
        /// Counts the tokens, from 1.
        generation: u64,
        /// How long the token lives from now.
        lifetime: Duration,
        /// When the next refresh is due, from now.
        next_refresh: Duration,
    },
    /// The token source returned the token in use once more; nothing was sent to Redis.
    TokenUnchanged {
        /// When the next refresh is due, from now.
        next_refresh: Duration,
    },
    /// A token request failed; the token in use stays in use.
    RefreshFailed {
        /// Why.
        error: Error,
        /// Failures in a row, from 1.
        attempt: u32,
        /// When the next request is due, from now.
        retry_in: Duration,
    },
    /// The token in use has expired and no new one could be had: commands fail until one can.
    TokenExpired {
        /// Why there is no new token.
        error: Error,
    },
    /// A link is connected and authenticated.
    LinkUp {
        /// The link's number, from 1 in order of connecting.
        link: u64,
        /// The token it authenticated with.
        generation: u64,
        /// Whether it takes the place of one that was lost.
        reconnect: bool,
        /// How long that took: DNS, TCP, TLS and `AUTH`; of the first link, the wait for the first token included.
        took: Duration,
    },
    /// A link is gone: closed by the server, broken, or silent.
    LinkDown {
        /// The link's number.
        link: u64,
        /// Why.
        reason: &'static str,
    },
    /// A link has taken the place of one that was lost.
    LinkReplaced {
        /// The number of the link that was lost.
        link: u64,
        /// The number of the one that has taken its place.
        by: u64,
    },
    /// Everything in flight on a link that was taken out of use has been answered; its connection is closed.
    LinkDrained {
        /// The link's number.
        link: u64,
    },
    /// A second link that stood in for a lone one during its re-AUTH is closed again.
    LinkRetired {
        /// The link's number.
        link: u64,
    },
    /// A connection could not be opened; it will be tried again.
    DialFailed {
        /// Why.
        error: Error,
        /// When it will be tried again, from now.
        retry_in: Duration,
    },
    /// A live link authenticated with a new token.
    Reauthenticated {
        /// The link's number.
        link: u64,
        /// The new token.
        generation: u64,
    },
    /// A live link could not authenticate with a new token; it is tried again, then replaced.
    ReauthFailed {
        /// The link's number.
        link: u64,
        /// Why.
        error: Error,
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
    /// Links lost: closed by the server, broken, or silent.
    pub links_lost: u64,
    /// Connections that could not be opened.
    pub dial_failures: u64,
}

#[derive(Debug, Default)]
struct Totals {
    tokens_fetched: AtomicU64,
    tokens_unchanged: AtomicU64,
    token_failures: AtomicU64,
    reauths: AtomicU64,
    reauth_failures: AtomicU64,
    links_opened: AtomicU64,
    reconnects: AtomicU64,
    links_lost: AtomicU64,
    dial_failures: AtomicU64,
}

/// Where events are recorded. Recording never waits: a slow subscriber misses events, and is told how many.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<JournalInner>);

#[derive(Debug)]
struct JournalInner {
    name: Name,
    totals: Totals,
    last_token_error: Mutex<Option<Error>>,
    subscribers: broadcast::Sender<Event>,
}

/// Events kept for a subscriber that is behind.
const BACKLOG: usize = 256;

impl Journal {
    /// What it tells bears the name of a pool to this server.
    pub(crate) fn new(server: &str) -> Self {
        Self(Arc::new(JournalInner {
            name: Name::take(server),
            totals: Totals::default(),
            last_token_error: Mutex::new(None),
            subscribers: broadcast::Sender::new(BACKLOG),
        }))
    }

    /// The pool's name.
    pub(crate) fn name(&self) -> Arc<str> {
        self.0.name.text()
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.subscribers.subscribe()
    }

    pub(crate) fn counters(&self) -> Counters {
        let totals = &self.0.totals;
        let tokens_fetched = totals.tokens_fetched.load(Relaxed);
        Counters {
            tokens_fetched,
            tokens_unchanged: totals.tokens_unchanged.load(Relaxed),
            token_failures: totals.token_failures.load(Relaxed),
            rotations: tokens_fetched.saturating_sub(1),
            reauths: totals.reauths.load(Relaxed),
            reauth_failures: totals.reauth_failures.load(Relaxed),
            links_opened: totals.links_opened.load(Relaxed),
            reconnects: totals.reconnects.load(Relaxed),
            links_lost: totals.links_lost.load(Relaxed),
            dial_failures: totals.dial_failures.load(Relaxed),
        }
    }

    /// The newest token request's error, none once one has succeeded.
    pub(crate) fn last_token_error(&self) -> Option<Error> {
        lock(&self.0.last_token_error).clone()
    }

    fn note_token_result(&self, error: Option<&Error>) {
        *lock(&self.0.last_token_error) = error.cloned();
    }

    pub(crate) fn record(&self, event: Event) {
        self.count(&event);
        trace(&self.0.name.text(), &event);
        // No subscriber is no error.
        _ = self.0.subscribers.send(event);
    }

    fn count(&self, event: &Event) {
        let totals = &self.0.totals;
        let counter = match event {
            Event::TokenRefreshed { .. } => {
                self.note_token_result(None);
                &totals.tokens_fetched
            }
            Event::RefreshFailed { error, .. } => {
                self.note_token_result(Some(error));
                &totals.token_failures
            }
            Event::TokenUnchanged { .. } => {
                self.note_token_result(None);
                &totals.tokens_unchanged
            }
            Event::TokenExpired { .. }
            | Event::LinkRetired { .. }
            | Event::LinkReplaced { .. }
            | Event::LinkDrained { .. } => return,
            Event::LinkUp { reconnect, .. } => {
                totals.reconnects.fetch_add(u64::from(*reconnect), Relaxed);
                &totals.links_opened
            }
            Event::LinkDown { .. } => &totals.links_lost,
            Event::DialFailed { .. } => &totals.dial_failures,
            Event::Reauthenticated { .. } => &totals.reauths,
            Event::ReauthFailed { .. } => &totals.reauth_failures,
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// Tells `tracing`: what an event is called, with spaces, is its message.
fn trace(pool: &str, event: &Event) {
    use target::{LINK, TOKEN};
    use tracing::{debug, error, info, warn};
    let seconds = Duration::as_secs_f64;
    match event {
        Event::TokenRefreshed { generation, lifetime, next_refresh } => {
            info!(name: "token_refreshed", target: TOKEN, pool, generation, lifetime = seconds(lifetime), next_refresh = seconds(next_refresh), "token refreshed");
        }
        Event::TokenUnchanged { next_refresh } => {
            debug!(name: "token_unchanged", target: TOKEN, pool, next_refresh = seconds(next_refresh), "token unchanged");
        }
        Event::RefreshFailed { error, attempt, retry_in } => {
            warn!(name: "token_refresh_failed", target: TOKEN, pool, %error, attempt, retry_in = seconds(retry_in), "token refresh failed");
        }
        Event::TokenExpired { error } => {
            error!(name: "token_expired", target: TOKEN, pool, %error, "token expired");
        }
        Event::LinkUp { link, generation, reconnect, took } => {
            info!(name: "link_up", target: LINK, pool, link, generation, reconnect, took = seconds(took), "link up");
        }
        Event::LinkDown { link, reason } => warn!(name: "link_down", target: LINK, pool, link, reason, "link down"),
        Event::LinkReplaced { link, by } => info!(name: "link_replaced", target: LINK, pool, link, by, "link replaced"),
        Event::LinkDrained { link } => debug!(name: "link_drained", target: LINK, pool, link, "link drained"),
        Event::LinkRetired { link } => debug!(name: "link_retired", target: LINK, pool, link, "link retired"),
        Event::DialFailed { error, retry_in } => {
            warn!(name: "dial_failed", target: LINK, pool, %error, retry_in = seconds(retry_in), "dial failed");
        }
        Event::Reauthenticated { link, generation } => {
            debug!(name: "link_reauthenticated", target: LINK, pool, link, generation, "link reauthenticated");
        }
        Event::ReauthFailed { link, error } => {
            warn!(name: "link_reauth_failed", target: LINK, pool, link, %error, "link reauth failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_subscriber_that_never_reads_holds_nobody_up() {
        let journal = Journal::new("events.test:1");
        let mut lazy = journal.subscribe();
        for link in 0..10_000 {
            journal.record(Event::LinkUp { link, generation: 1, reconnect: false, took: Duration::ZERO });
        }
        assert_eq!(journal.counters().links_opened, 10_000);
        assert!(matches!(lazy.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
        assert!(matches!(lazy.recv().await, Ok(Event::LinkUp { .. })));
    }
}
