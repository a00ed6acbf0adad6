//! The task that keeps a valid token, whatever the identity provider does.

mod outcome;

use super::{
    AccessToken, RequestLimit, TokenManagerConfig, TokenSource, schedule,
    view::{Current, Plan, RefreshReason, STALL, State, Tokens},
};
use crate::{
    error::{Error, ErrorKind},
    ids::UserName,
    lock::lock,
    observe::{
        journal::Journal,
        trace::{outcome, target},
    },
    retry::Backoff,
};
use futures_util::FutureExt;
use std::{
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tracing::{Instrument, Span, field::Empty, info_span};

/// How often the wall clock is looked at: timers stand still while the machine is suspended, tokens do not.
const WALL_CHECK: Duration = Duration::from_secs(10);

/// A wall clock this far past the plan means that the machine slept (or its clock was set).
const WALL_SLACK: Duration = Duration::from_secs(2);

/// While a request is under way, the actor looks this often whether it was kept from running.
const TICK: Duration = Duration::from_millis(500);

/// Fetches tokens, renews them in time and tells everybody. It ends when the last [`Tokens`] is gone, and never before.
pub(crate) struct TokenActor {
    source: Arc<dyn TokenSource>,
    config: TokenManagerConfig,
    username: Option<UserName>,
    journal: Journal,
    wall_clock: fn() -> SystemTime,
    state: watch::Sender<State>,
    requests: mpsc::Receiver<RefreshReason>,
    current: Option<Arc<Current>>,
    last_error: Option<Error>,
    failures: u32,
    unchanged: u32,
    /// Tokens in a row that were fetched because the one before was refused.
    refused: u32,
    /// Until then the identity provider asked to be left alone.
    not_before: Instant,
    backoff: Backoff,
    budget: schedule::Budget,
    last_fetch: Option<Instant>,
    due: Instant,
    /// The same, for others to see.
    plan: Arc<Mutex<Plan>>,
    due_wall: SystemTime,
}

impl TokenActor {
    pub(crate) fn new(
        source: Arc<dyn TokenSource>,
        config: TokenManagerConfig,
        username: Option<UserName>,
        journal: Journal,
    ) -> (Self, Tokens) {
        let (tokens, state, requests, plan) = Tokens::new();
        let actor = Self {
            backoff: Backoff::new(&config.retry_policy),
            budget: schedule::Budget::new(&config, Instant::now()),
            source,
            config,
            username,
            journal,
            wall_clock: SystemTime::now,
            state,
            requests,
            current: None,
            last_error: None,
            failures: 0,
            unchanged: 0,
            refused: 0,
            not_before: Instant::now(),
            last_fetch: None,
            due: Instant::now(),
            plan,
            due_wall: SystemTime::now(),
        };
        (actor, tokens)
    }

    pub(crate) async fn run(mut self) {
        while self.until_due().await.is_some() {
            let attempt = self.failures.saturating_add(1);
            let pool = &*self.journal.name();
            let span = info_span!(target: target::TOKEN, "token_request", pool, attempt, outcome = Empty);
            let Some((result, stalled)) = self.fetch(&span).await else {
                return;
            };
            let result = result.and_then(|token| self.adopt(token));
            span.record("outcome", outcome(&result));
            if let Err(error) = result {
                self.note_failure(error, stalled);
            }
        }
    }

    /// Waits until the next request is due; none when nobody is left to fetch for.
    async fn until_due(&mut self) -> Option<()> {
        let mut refused = false;
        while !self.is_due() {
            let slice = self.due.min(Instant::now() + WALL_CHECK);
            let wake = self.expiry_to_announce().map_or(slice, |end| end.min(slice));
            tokio::select! {
                reason = self.requests.recv() => refused |= self.hasten(&reason?),
                () = sleep_until(wake) => {}
            }
            if Instant::now() >= wake + STALL {
                self.forget_failures();
            }
            self.announce_expiry();
        }
        self.refused = if refused { self.refused.saturating_add(1) } else { 0 };
        Some(())
    }

    fn is_due(&self) -> bool {
        let now = Instant::now();
        let overslept = || (self.wall_clock)() >= self.due_wall + WALL_SLACK && self.budget.wait(now).is_zero();
        now >= self.due || overslept()
    }

    /// Brings the next request forward, as far as the floor allows; true if that is because the newest token was
    /// refused.
    ///
    /// After a failure a retry is on its way, and no refusal changes that.
    fn hasten(&mut self, reason: &RefreshReason) -> bool {
        let refused = match reason {
            RefreshReason::Rejected(generation) if *generation != self.generation() || self.failures > 0 => {
                return false;
            }
            RefreshReason::Rejected(_) => true,
            RefreshReason::Requested => false,
        };
        // Tokens that are refused one after the other are asked for ever more slowly, as those that do not change.
        let repeated = if refused { self.unchanged.max(self.refused) } else { self.unchanged };
        let floor = schedule::floor(repeated, &self.config);
        let earliest = self.last_fetch.map_or_else(Instant::now, |at| at + floor).max(self.not_before);
        self.plan(earliest.min(self.due).saturating_duration_since(Instant::now()));
        refused
    }

    /// One request, within its time limit, and whether it was kept from running meanwhile; none when nobody is left to
    /// fetch for.
    async fn fetch(&mut self, span: &Span) -> Option<(Result<AccessToken, Error>, bool)> {
        self.last_fetch = Some(Instant::now());
        self.budget.spend(Instant::now());
        let source = Arc::clone(&self.source);
        let lifetime = self.current.as_ref().map(|current| current.token.lifetime());
        let allowed = schedule::request_limit(lifetime, &self.config);
        let limit = RequestLimit::new(allowed, self.config.token_request_execution_timeout);
        let fetch = async move { source.fetch().await }.instrument(span.clone());
        // A source that panics must not take everything with it; the future is gone then, so that nothing broken is
        // seen.
        let request = AssertUnwindSafe(limit.known_to(fetch)).catch_unwind();
        tokio::pin!(request);
        let mut deadline = Instant::now() + allowed;
        let mut stalled = false;
        loop {
            // A source that blocks its thread is slow. That is nothing which happens to it, and no reason for more
            // time.
            let mut in_source = Duration::ZERO;
            lock(&self.plan).acts_by = deadline;
            let tick = deadline.min(Instant::now() + TICK);
            let wake = self.expiry_to_announce().map_or(tick, |end| end.min(tick));
            let done = tokio::select! {
                biased;
                result = timed(request.as_mut(), &mut in_source) => Some(result),
                // The request under way serves this one, too.
                reason = self.requests.recv() => { reason?; None }
                () = sleep_until(wake) => None,
            };
            let late = Instant::now().saturating_duration_since(wake).saturating_sub(in_source);
            if late >= STALL {
                // What came meanwhile has not been read: it gets the time that it was kept from running.
                stalled = true;
                deadline += late;
                self.forget_failures();
            }
            if let Some(result) = done {
                let panicked = |_| Err(Error::new(ErrorKind::TokenEndpoint, "the token source panicked"));
                return Some((result.unwrap_or_else(panicked), stalled));
            }
            if Instant::now() >= deadline {
                return Some((Err(limit.over("the token source")), stalled));
            }
            self.announce_expiry();
        }
    }

    /// Plans the next request after `delay`, or when the budget allows it; returns how long that is.
    fn plan(&mut self, delay: Duration) -> Duration {
        let delay = delay.max(self.budget.wait(Instant::now()));
        self.due = Instant::now() + delay;
        *lock(&self.plan) = Plan::at(self.due);
        self.due_wall = (self.wall_clock)() + delay;
        delay
    }

    fn generation(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.generation)
    }
}

/// Does what `future` does, and adds the time that its polls take to `spent`.
async fn timed<T>(mut future: Pin<&mut impl Future<Output = T>>, spent: &mut Duration) -> T {
    poll_fn(|cx| {
        let began = Instant::now();
        let polled = future.as_mut().poll(cx);
        *spent += began.elapsed();
        polled
    })
    .await
}

#[cfg(test)]
mod tests;
