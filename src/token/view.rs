//! What everybody sees of the token actor: the token in use, and how to ask for another.

use super::AccessToken;
use crate::error::{Error, ErrorKind};
use crate::ids::UserName;
use crate::lock::lock;
use crate::observe::stats::TokenStats;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// A plan that is overdue by this much has not been kept because nobody ran the actor: its thread was blocked, or
/// nobody drove its runtime.
pub(super) const STALL: Duration = Duration::from_millis(250);

/// Requests that may wait for the actor, which takes them at once.
const MOST_REQUESTS: usize = 8;

/// The token in use, which number it has, and who it is for.
pub(crate) struct Current {
    pub(crate) token: AccessToken,
    /// Counts the tokens, from 1: a link remembers which one it authenticated with.
    pub(crate) generation: u64,
    pub(crate) username: UserName,
}

#[derive(Clone)]
pub(super) enum State {
    /// The first token has not come yet, and may still come.
    Pending,
    Live(Arc<Current>),
    /// No valid token, and why; the last one, if there was any. The actor goes on trying.
    Dead(Error, Option<Arc<Current>>),
}

/// A view of the newest token, cheap to clone.
#[derive(Clone)]
pub(crate) struct Tokens {
    state: watch::Receiver<State>,
    requests: mpsc::Sender<RefreshReason>,
    plan: Arc<Mutex<Plan>>,
}

/// What the actor is about to do.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// When the next token is asked for.
    pub(super) next_request: Instant,
    /// When the actor acts next at the latest: it asks for a token, or gives up the request under way.
    pub(super) acts_by: Instant,
}

impl Plan {
    pub(super) fn at(moment: Instant) -> Self {
        Self { next_request: moment, acts_by: moment }
    }
}

impl Tokens {
    /// A view, and the ends that the actor has in hand: what it tells, and what it is asked for.
    pub(super) fn new() -> (Self, watch::Sender<State>, mpsc::Receiver<RefreshReason>, Arc<Mutex<Plan>>) {
        let (state, view) = watch::channel(State::Pending);
        let (requests, reasons) = mpsc::channel(MOST_REQUESTS);
        let plan = Arc::new(Mutex::new(Plan::at(Instant::now())));
        (Self { state: view, requests, plan: Arc::clone(&plan) }, state, reasons, plan)
    }

    /// The token in use, if it is still valid.
    pub(crate) fn live(&self) -> Option<Arc<Current>> {
        match &*self.state.borrow() {
            State::Live(current) if current.token.is_usable() => Some(Arc::clone(current)),
            _ => None,
        }
    }

    /// The token that came last, valid or not.
    pub(crate) fn newest(&self) -> Option<Arc<Current>> {
        match &*self.state.borrow() {
            State::Live(current) => Some(Arc::clone(current)),
            State::Dead(_, last) => last.clone(),
            State::Pending => None,
        }
    }

    /// The newest token, as it is shown.
    pub(crate) fn stats(&self) -> Option<TokenStats> {
        let current = self.newest()?;
        let in_use = current.token.is_usable();
        Some(TokenStats {
            generation: current.generation,
            username: current.username.to_string(),
            age: current.token.received_at().elapsed(),
            in_use,
            remaining: if in_use { current.token.remaining() } else { Duration::ZERO },
            refresh_in: self.next_request().saturating_duration_since(Instant::now()),
        })
    }

    /// When the next token is asked for.
    pub(crate) fn next_request(&self) -> Instant {
        lock(&self.plan).next_request
    }

    /// Why there is no valid token, once it is certain that there is none: the last request for one failed.
    ///
    /// While the actor is kept from making the next request nothing is certain, and there is no error: whoever waits on
    /// lets it run.
    pub(crate) fn dead(&self) -> Option<Error> {
        match &*self.state.borrow() {
            State::Dead(error, _) if Instant::now() < lock(&self.plan).acts_by + STALL => Some(error.clone()),
            _ => None,
        }
    }

    /// Whether the last thing told was that there is no valid token.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(*self.state.borrow(), State::Dead(..))
    }

    /// What to say of a token that has expired before it was known whether it can be renewed.
    pub(crate) fn late(&self) -> Option<Error> {
        match &*self.state.borrow() {
            State::Live(current) if !current.token.is_usable() => {
                let text = "the token has expired, and the request for the next one has not been answered yet";
                Some(Error::new(ErrorKind::TokenEndpoint, text).with_transient(true))
            }
            _ => None,
        }
    }

    /// The token in use; waits for the first one, and for the next one if that in use has expired.
    pub(crate) async fn current(&mut self) -> Result<Arc<Current>, Error> {
        let is_settled = |state: &State| match state {
            State::Live(current) => current.token.is_usable(),
            State::Dead(..) => true,
            State::Pending => false,
        };
        let state = self.state.wait_for(is_settled).await.map_err(|_| Error::closed())?;
        match &*state {
            State::Live(current) => Ok(Arc::clone(current)),
            State::Dead(error, _) => Err(error.clone()),
            // Excluded by the wait above.
            State::Pending => Err(Error::closed()),
        }
    }

    /// Waits for a new token, or for the certainty that there is none; false once the actor has ended.
    pub(crate) async fn changed(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }

    /// Asks for a new token because Redis refused the one of this generation. A newer one stays; any number of refusals
    /// make one request.
    pub(crate) fn refused(&self, generation: u64) {
        // A full queue means that a request has been asked for already.
        _ = self.requests.try_send(RefreshReason::Rejected(generation));
    }

    /// Asks for a new token because somebody wants one; any number of calls make one request.
    pub(crate) fn request_refresh(&self) {
        _ = self.requests.try_send(RefreshReason::Requested);
    }
}

/// Why a token is asked for before its time.
pub(super) enum RefreshReason {
    /// The token of this generation was refused.
    Rejected(u64),
    /// The user has asked for one.
    Requested,
}

#[cfg(test)]
mod tests;
