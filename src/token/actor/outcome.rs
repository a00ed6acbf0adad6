//! What is made of the end of a request: a token for everybody, or a failure, which is kept back while the token in use
//! is good.

use super::TokenActor;
use crate::{
    error::{Error, ErrorKind},
    ids::UserName,
    observe::event::Event,
    token::{
        AccessToken, schedule,
        view::{Current, State},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// No identity provider may silence the client for longer (MSAL's bound for `Retry-After`).
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// However short the policy's delays are: no hot loop.
const SHORTEST_RETRY: Duration = Duration::from_millis(10);

impl TokenActor {
    /// Makes `token` the one in use, if it can be used, and plans its renewal.
    pub(super) fn adopt(&mut self, token: AccessToken) -> Result<(), Error> {
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
        // A source that renews late must be asked again before the token dies.
        let floor = floor.min((token.remaining() / 2).max(self.config.min_refresh_interval));
        let next_refresh = self.plan(schedule::delay(token.lifetime(), age, floor, &self.config));
        if same {
            self.journal.record(Event::TokenUnchanged { next_refresh });
            let has_died = |current: &Arc<Current>| !current.token.is_usable();
            if self.announced() || self.current.as_ref().is_some_and(has_died) {
                // Its issuer has given it out again, so that it is good: it has expired by our clock only.
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

    fn publish(&mut self, token: AccessToken, generation: u64, username: UserName) {
        let current = Arc::new(Current { token, generation, username });
        self.current = Some(Arc::clone(&current));
        self.state.send_replace(State::Live(current));
    }

    fn username_for(&self, token: &AccessToken) -> Result<UserName, Error> {
        if let Some(configured) = &self.username {
            return Ok(configured.clone());
        }
        token.user_name().cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::MalformedToken,
                "the token has no `oid` claim, or none that is a text, to take the Redis user name from; set it with `Config::username` or \
                 `EntraCredentials::start_with_username`",
            )
        })
    }

    /// `stalled`: this process did not run meanwhile, so that the failure may not be the identity provider's.
    pub(super) fn note_failure(&mut self, error: Error, stalled: bool) {
        self.failures = self.failures.saturating_add(1);
        let backoff = self.backoff.next_delay();
        let asked = error.retry_after().unwrap_or_default();
        let asked = asked.min(LONGEST_RETRY_AFTER);
        self.not_before = Instant::now() + asked;
        let retry_in = self.plan(backoff.min(self.retry_bound(&error)).max(asked).max(SHORTEST_RETRY));
        self.last_error = (!stalled || !error.is_transient()).then(|| error.clone());
        self.journal.record(Event::RefreshFailed { error: error.clone(), attempt: self.failures, retry_in });
        let spent = self.failures >= self.config.retry_policy.max_attempts;
        let without_any = self.current.is_none() && (spent || !error.is_transient());
        if without_any || self.announced() {
            self.state.send_replace(State::Dead(error, self.current.clone()));
        } else {
            self.announce_expiry();
        }
    }

    /// The longest delay after this failure.
    fn retry_bound(&self, error: &Error) -> Duration {
        match &self.current {
            // Commands fail meanwhile: whoever brings the identity provider back waits for nothing else.
            Some(current) if !current.token.is_usable() && error.is_transient() => {
                let interval = self.config.min_refresh_interval.mul_f64(0.75 + fastrand::f64() / 2.0);
                let since = self.last_fetch.map_or(Duration::ZERO, |at| at.elapsed());
                interval.saturating_sub(since)
            }
            current => {
                let lifetime = current.as_ref().map(|current| current.token.lifetime());
                schedule::retry_bound(lifetime, &self.config)
            }
        }
    }

    /// Whether everybody has been told that there is no valid token.
    fn announced(&self) -> bool {
        matches!(*self.state.borrow(), State::Dead(..))
    }

    /// When the token in use expires, if its renewal has failed and nobody has been told.
    ///
    /// If its renewal has not failed, the next token is only late: whoever needs one waits for it.
    pub(super) fn expiry_to_announce(&self) -> Option<Instant> {
        let current = self.current.as_ref()?;
        (self.last_error.is_some() && !self.announced()).then(|| current.token.usable_until())
    }

    /// Tells everybody that there is no valid token, once the token in use has expired and its renewal has failed.
    /// Until then errors are kept back.
    pub(super) fn announce_expiry(&mut self) {
        if self.expiry_to_announce().is_some_and(|end| end <= Instant::now())
            && let Some(error) = self.last_error.clone()
        {
            self.journal.record(Event::TokenExpired { error: error.clone() });
            self.state.send_replace(State::Dead(error, self.current.clone()));
        }
    }

    /// After a time in which this process did not run, only a failure from now on says that there is no token to be
    /// had.
    pub(super) fn forget_failures(&mut self) {
        self.last_error = None;
        if self.announced() {
            self.state.send_replace(self.current.clone().map_or(State::Pending, State::Live));
        }
    }
}
