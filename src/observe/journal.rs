//! What happens, told once: each event goes to the counters, to `tracing` and to whoever subscribed.

use crate::{
    error::Error,
    lock::lock,
    observe::{
        event::{Counters, Event},
        name::Name,
        stats::TokenFailure,
        trace,
    },
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::{sync::broadcast, time::Instant};

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

/// A token request that failed.
#[derive(Debug)]
struct TokenFailed {
    error: Error,
    at: Instant,
    /// Another one has succeeded since.
    overcome: bool,
}

/// Where events are recorded. Recording never waits: a slow subscriber misses events, and is told how many.
#[derive(Clone, Debug)]
pub(crate) struct Journal(Arc<JournalInner>);

#[derive(Debug)]
struct JournalInner {
    name: Name,
    totals: Totals,
    last_token_failure: Mutex<Option<TokenFailed>>,
    subscribers: broadcast::Sender<Event>,
}

/// Events kept for a subscriber that is behind.
const BACKLOG: usize = 256;

impl Journal {
    /// Everything that it tells has the name of a pool to this server.
    pub(crate) fn new(server: &str) -> Self {
        Self(Arc::new(JournalInner {
            name: Name::take(server),
            totals: Totals::default(),
            last_token_failure: Mutex::new(None),
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

    /// The last token request's error; none if it succeeded.
    pub(crate) fn last_token_error(&self) -> Option<Error> {
        let last = lock(&self.0.last_token_failure);
        last.as_ref().filter(|last| !last.overcome).map(|last| last.error.clone())
    }

    /// The last token request that failed, whether one has succeeded since or not.
    pub(crate) fn last_token_failure(&self) -> Option<TokenFailure> {
        let failure = |last: &TokenFailed| TokenFailure {
            error: last.error.clone(),
            ago: last.at.elapsed(),
            overcome: last.overcome,
        };
        lock(&self.0.last_token_failure).as_ref().map(failure)
    }

    fn note_token_failure(&self, error: &Error) {
        let failed = TokenFailed { error: error.clone(), at: Instant::now(), overcome: false };
        *lock(&self.0.last_token_failure) = Some(failed);
    }

    fn note_token_success(&self) {
        if let Some(last) = &mut *lock(&self.0.last_token_failure) {
            last.overcome = true;
        }
    }

    pub(crate) fn record(&self, event: Event) {
        self.count(&event);
        trace::event(&self.0.name.text(), &event);
        // No subscriber is no error.
        _ = self.0.subscribers.send(event);
    }

    fn count(&self, event: &Event) {
        let totals = &self.0.totals;
        let counter = match event {
            Event::TokenRefreshed { .. } => {
                self.note_token_success();
                &totals.tokens_fetched
            }
            Event::RefreshFailed { error, .. } => {
                self.note_token_failure(error);
                &totals.token_failures
            }
            Event::TokenUnchanged { .. } => {
                self.note_token_success();
                &totals.tokens_unchanged
            }
            Event::TokenExpired { .. }
            | Event::LinkRetired { .. }
            | Event::LinkReplaced { .. }
            | Event::LinkDrained { .. }
            | Event::CacheTracking { .. }
            | Event::CacheUntracked { .. } => return,
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

#[cfg(test)]
mod tests;
