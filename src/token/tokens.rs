//! What everybody sees of the token actor: the token in use, and how to ask for another.

use super::AccessToken;
use crate::Error;
use crate::lock::lock;
use std::sync::{Arc, Mutex};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// Wishes that may wait for the actor, which takes them at once.
const WISHES: usize = 8;

/// The token in use, which number it has, and who it is for.
pub(crate) struct Current {
    pub(crate) token: AccessToken,
    /// Counts the tokens, from 1: a link remembers which one it authenticated with.
    pub(crate) generation: u64,
    pub(crate) username: Arc<str>,
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
    requests: mpsc::Sender<Wish>,
    due: Due,
}

/// When the next token is asked for.
pub(super) type Due = Arc<Mutex<Instant>>;

impl Tokens {
    /// A view, and the ends that the actor has in hand: what it tells, and what it is asked for.
    pub(super) fn new() -> (Self, watch::Sender<State>, mpsc::Receiver<Wish>, Due) {
        let (state, view) = watch::channel(State::Pending);
        let (requests, wishes) = mpsc::channel(WISHES);
        let due = Arc::new(Mutex::new(Instant::now()));
        (Self { state: view, requests, due: Arc::clone(&due) }, state, wishes, due)
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

    /// When the next token is asked for.
    pub(crate) fn next_request(&self) -> Instant {
        *lock(&self.due)
    }

    /// Why there is no valid token, once it is certain that there is none.
    pub(crate) fn dead(&self) -> Option<Error> {
        match &*self.state.borrow() {
            State::Dead(error, _) => Some(error.clone()),
            _ => None,
        }
    }

    /// The token in use; waits for the first one.
    pub(crate) async fn current(&mut self) -> Result<Arc<Current>, Error> {
        let state = self.state.wait_for(|state| !matches!(state, State::Pending)).await.map_err(|_| Error::closed())?;
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
        _ = self.requests.try_send(Wish::Instead(generation));
    }

    /// Asks for a new token because somebody wants one; any number of wishes make one request.
    pub(crate) fn wish_refresh(&self) {
        _ = self.requests.try_send(Wish::Anyway);
    }
}

/// Why a token is asked for before its time.
pub(super) enum Wish {
    /// The token of this generation was refused.
    Instead(u64),
    /// Somebody says so.
    Anyway,
}
