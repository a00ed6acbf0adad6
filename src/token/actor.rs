//! The task that keeps a valid token, whatever the identity provider does.

use super::{AccessToken, TokenManagerConfig, TokenSource, schedule};
use crate::{
    Error, ErrorKind,
    error::Stage,
    event::{Event, Journal},
    retry::Backoff,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};

/// How often the wall clock is looked at: timers stand still while the machine is suspended, tokens do not.
const WALL_CHECK: Duration = Duration::from_secs(10);

/// A wall clock this far past the plan means that the machine slept (or its clock was set).
const WALL_SLACK: Duration = Duration::from_secs(2);

/// No identity provider may silence the client for longer (MSAL's bound for `Retry-After`).
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The token in use, which number it has, and who it is for.
pub(crate) struct Current {
    pub(crate) token: AccessToken,
    /// Counts the tokens, from 1: a link remembers which one it authenticated with.
    pub(crate) generation: u64,
    pub(crate) username: Arc<str>,
}

#[derive(Clone)]
enum State {
    /// The first token has not come yet, and may still come.
    Pending,
    Live(Arc<Current>),
    /// No valid token, and why. The actor goes on trying.
    Dead(Error),
}

/// A view of the newest token, cheap to clone.
#[derive(Clone)]
pub(crate) struct Tokens {
    state: watch::Receiver<State>,
    requests: mpsc::Sender<u64>,
}

impl Tokens {
    /// The token in use, if it is still valid.
    pub(crate) fn live(&self) -> Option<Arc<Current>> {
        match &*self.state.borrow() {
            State::Live(current) if current.token.is_usable() => Some(Arc::clone(current)),
            _ => None,
        }
    }

    /// Why there is no valid token, once it is certain that there is none.
    pub(crate) fn dead(&self) -> Option<Error> {
        match &*self.state.borrow() {
            State::Dead(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// The token in use; waits for the first one.
    pub(crate) async fn current(&mut self) -> Result<Arc<Current>, Error> {
        let state = self.state.wait_for(|state| !matches!(state, State::Pending)).await.map_err(|_| Error::closed())?;
        match &*state {
            State::Live(current) => Ok(Arc::clone(current)),
            State::Dead(error) => Err(error.clone()),
            // Excluded by the wait above.
            State::Pending => Err(Error::closed()),
        }
    }

    /// Waits for a new token, or for the certainty that there is none; false once the actor has ended.
    pub(crate) async fn changed(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }

    /// Asks for a new token because this one was refused or is not wanted any more. A newer token than `generation`
    /// stays; any number of requests make one refresh.
    pub(crate) fn request_refresh(&self, generation: u64) {
        // A full queue means that a refresh has been asked for already.
        _ = self.requests.try_send(generation);
    }
}

/// Fetches tokens, renews them in time and tells everybody. It ends when the last [`Tokens`] is gone, and never before.
pub(crate) struct TokenActor {
    source: Arc<dyn TokenSource>,
    config: TokenManagerConfig,
    username: Option<Arc<str>>,
    journal: Journal,
    wall_clock: fn() -> SystemTime,
    state: watch::Sender<State>,
    requests: mpsc::Receiver<u64>,
    current: Option<Arc<Current>>,
    last_error: Option<Error>,
    failures: u32,
    unchanged: u32,
    backoff: Backoff,
    last_fetch: Option<Instant>,
    due: Instant,
    due_wall: SystemTime,
}

impl TokenActor {
    pub(crate) fn new(
        source: Arc<dyn TokenSource>,
        config: TokenManagerConfig,
        username: Option<Arc<str>>,
        journal: Journal,
    ) -> (Self, Tokens) {
        let (state, state_view) = watch::channel(State::Pending);
        let (request, requests) = mpsc::channel(1);
        let actor = Self {
            backoff: Backoff::new(&config.retry_policy),
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
            last_fetch: None,
            due: Instant::now(),
            due_wall: SystemTime::now(),
        };
        let tokens = Tokens { state: state_view, requests: request };
        (actor, tokens)
    }

    pub(crate) async fn run(mut self) {
        while self.until_due().await.is_some() {
            let Some(result) = self.fetch().await else {
                return;
            };
            match result.and_then(|token| self.adopt(token)) {
                Ok(()) => {}
                Err(error) => self.note_failure(error),
            }
        }
    }

    /// Waits until the next request is due; none when nobody is left to fetch for.
    async fn until_due(&mut self) -> Option<()> {
        while !self.is_due() {
            let slice = self.due.min(Instant::now() + WALL_CHECK);
            let wake = self.expiry_to_announce().map_or(slice, |end| end.min(slice));
            tokio::select! {
                request = self.requests.recv() => self.hasten(request?),
                () = sleep_until(wake) => self.announce_expiry(),
            }
        }
        Some(())
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.due || (self.wall_clock)() >= self.due_wall + WALL_SLACK
    }

    /// Brings the next request forward, as far as the floor allows, if it is the newest token that was refused. After a
    /// failure the plan stands: a retry is on its way, and the identity provider may have asked to be left alone.
    fn hasten(&mut self, generation: u64) {
        if self.generation() == generation && self.failures == 0 {
            let floor = schedule::floor(self.unchanged, &self.config);
            let earliest = self.last_fetch.map_or_else(Instant::now, |at| at + floor);
            self.plan(earliest.min(self.due).saturating_duration_since(Instant::now()));
        }
    }

    /// One request, within its time limit; none when nobody is left to fetch for.
    async fn fetch(&mut self) -> Option<Result<AccessToken, Error>> {
        self.last_fetch = Some(Instant::now());
        let source = Arc::clone(&self.source);
        let limit = self.config.token_request_execution_timeout;
        let request = timeout(limit, source.fetch());
        tokio::pin!(request);
        loop {
            let expiry = self.expiry_to_announce();
            tokio::select! {
                result = &mut request => return Some(result.unwrap_or_else(|_| Err(timed_out(limit)))),
                // The request under way serves this wish too.
                wish = self.requests.recv() => { wish?; }
                () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => self.announce_expiry(),
            }
        }
    }

    /// Makes `token` the one in use, if it can be used, and plans its renewal.
    fn adopt(&mut self, token: AccessToken) -> Result<(), Error> {
        if !token.is_usable() {
            return Err(Error::new(ErrorKind::MalformedToken, "the token had already expired when it came")
                .with_transient(true));
        }
        let username = self.username_for(&token)?;
        let same = self.current.as_ref().is_some_and(|current| current.token.secret() == token.secret());
        self.unchanged = if same { self.unchanged.saturating_add(1) } else { 0 };
        self.failures = 0;
        self.backoff.reset();
        self.last_error = None;

        let age = token.received_at().elapsed();
        let floor = schedule::floor(self.unchanged, &self.config);
        let next_refresh = schedule::delay(token.lifetime(), age, floor, &self.config);
        self.plan(next_refresh);
        if same {
            self.journal.record(Event::TokenUnchanged { next_refresh });
            if self.announced() {
                // Its issuer vouches for it once more: it was our clock that buried it.
                self.publish(token, self.generation(), username);
            }
            return Ok(());
        }
        let lifetime = token.lifetime();
        let generation = self.generation() + 1;
        self.publish(token, generation, username);
        self.journal.record(Event::TokenRefreshed { generation, lifetime, next_refresh });
        Ok(())
    }

    fn publish(&mut self, token: AccessToken, generation: u64, username: Arc<str>) {
        let current = Arc::new(Current { token, generation, username });
        self.current = Some(Arc::clone(&current));
        self.state.send_replace(State::Live(current));
    }

    fn username_for(&self, token: &AccessToken) -> Result<Arc<str>, Error> {
        if let Some(configured) = &self.username {
            return Ok(Arc::clone(configured));
        }
        token.username().map(Arc::from).ok_or_else(|| {
            Error::new(
                ErrorKind::MalformedToken,
                "the token has no `oid` claim to take the Redis user name from; set it with `Config::username`",
            )
        })
    }

    fn note_failure(&mut self, error: Error) {
        self.failures = self.failures.saturating_add(1);
        let lifetime = self.current.as_ref().map(|current| current.token.lifetime());
        let backoff = self.backoff.next_delay();
        let asked = error.retry_after().unwrap_or_default();
        let retry_in = backoff.min(schedule::retry_bound(lifetime, &self.config)).max(asked.min(LONGEST_RETRY_AFTER));
        self.plan(retry_in);
        self.last_error = Some(error.clone());
        self.journal.record(Event::RefreshFailed { error: error.clone(), attempt: self.failures, retry_in });
        let spent = self.failures >= self.config.retry_policy.max_attempts;
        let without_any = self.current.is_none() && (spent || !error.is_transient());
        if without_any || self.announced() {
            self.state.send_replace(State::Dead(error));
        } else {
            self.announce_expiry();
        }
    }

    fn plan(&mut self, delay: Duration) {
        self.due = Instant::now() + delay;
        self.due_wall = (self.wall_clock)() + delay;
    }

    fn generation(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.generation)
    }

    /// Whether everybody knows that there is no valid token.
    fn announced(&self) -> bool {
        matches!(*self.state.borrow(), State::Dead(_))
    }

    /// When the token in use expires, unless everybody knows that it has.
    fn expiry_to_announce(&self) -> Option<Instant> {
        let current = self.current.as_ref()?;
        (!self.announced()).then(|| current.token.usable_until())
    }

    /// Errors are nobody's business while the token in use is good; from its expiry on they are everybody's.
    fn announce_expiry(&mut self) {
        if self.expiry_to_announce().is_some_and(|end| end <= Instant::now()) {
            let error = self.last_error.clone().unwrap_or_else(|| {
                Error::new(ErrorKind::TokenEndpoint, "the token expired before its renewal was answered")
            });
            self.journal.record(Event::TokenExpired { error: error.clone() });
            self.state.send_replace(State::Dead(error));
        }
    }
}

fn timed_out(limit: Duration) -> Error {
    Error::new(
        ErrorKind::Timeout(Stage::Token),
        format!("the token source did not answer within {limit:?} (`token_request_execution_timeout`)"),
    )
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
