//! Links that one user at a time has alone: how many there may be in all, and those that wait for their next user.

use super::Pool;
use crate::{link::Link, lock::lock};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, futures::Notified},
    time::Instant,
};

/// A leased link that nobody has used for so long is closed.
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// Why a link goes that nobody uses any more.
pub(super) const UNUSED: &str = "nobody uses it any more";

/// Why a link goes whose user has left it in a state of which nobody knows.
const LEFT: &str = "its user has left it in the middle of something";

/// Whether a link that is down for this reason was closed by its own client, for no fault of the server's.
pub(super) fn is_given_up(reason: &'static str) -> bool {
    reason == UNUSED || reason == LEFT
}

/// Of all pools together.
pub(crate) struct Leases {
    most: usize,
    /// As many as there may be links, for users in the order in which they come: without it whoever gives a link back
    /// and wants one again would be before all who wait.
    turns: Arc<Semaphore>,
    state: Mutex<State>,
    /// Rung for one who waits, when there may be a link or a ticket for it.
    changed: Notify,
}

/// The right to look for a link, which one user has until it is through with that.
pub(crate) struct Turn(#[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit);

#[derive(Default)]
struct State {
    /// Tickets that are out: links that there are, or that are being opened or closed.
    tickets: usize,
    idle: Vec<Idle>,
}

/// A link that waits for its next user.
struct Idle {
    link: Arc<Link>,
    pool: Arc<Pool>,
    since: Instant,
}

/// The right to have one leased link; belongs to the link until its connection is closed.
pub(crate) struct Ticket(Arc<Leases>);

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.0.state).tickets -= 1;
        self.0.changed.notify_one();
    }
}

/// What there is for somebody who wants a link.
pub(crate) enum Offer {
    /// One that is up.
    Link(Lease),
    /// The right to have one opened.
    Ticket(Ticket),
    /// Nothing now: as many as there may be are in use, or are just being closed.
    Nothing,
}

impl Leases {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { most, turns, state: Mutex::default(), changed: Notify::new() })
    }

    /// How many links there may be.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// A turn, after all who have asked for one before.
    pub(crate) async fn turn(&self) -> Turn {
        match Arc::clone(&self.turns).acquire_owned().await {
            Ok(permit) => Turn(permit),
            // Nobody closes it.
            Err(_) => std::future::pending().await,
        }
    }

    /// Completes when another look may find something, once it has been enabled or polled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// A link of this pool's that waits for a user, the last used first; or else the right to open one. If there are as
    /// many as there may be, one that waits elsewhere is closed for that.
    pub(crate) fn offer(self: &Arc<Self>, pool: &Arc<Pool>) -> Offer {
        let mut state = lock(&self.state);
        // One that is silent, or waits for its AUTH, stays: it may be of use again.
        let is_good = |idle: &Idle| Arc::ptr_eq(&idle.pool, pool) && idle.link.is_open() && !idle.link.is_silent();
        if let Some(at) = state.idle.iter().rposition(is_good) {
            let Idle { link, pool, .. } = state.idle.remove(at);
            return Offer::Link(Lease::new(link, pool, Arc::clone(self)));
        }
        if state.tickets < self.most {
            state.tickets += 1;
            return Offer::Ticket(Ticket(Arc::clone(self)));
        }
        if !state.idle.is_empty() {
            let Idle { link, pool, .. } = state.idle.remove(0);
            drop(state);
            link.retire(UNUSED);
            pool.wake_keeper();
        }
        Offer::Nothing
    }

    /// Takes back a link that another user may have.
    fn put(&self, link: Arc<Link>, pool: Arc<Pool>) {
        let is_good = link.is_open() || link.is_reauthenticating();
        let mut state = lock(&self.state);
        if is_good && !pool.has_ended() {
            state.idle.push(Idle { link, pool, since: Instant::now() });
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Closes what has waited in this pool for too long.
    pub(super) fn tidy(&self, pool: &Arc<Pool>, now: Instant) {
        lock(&self.state).idle.retain(|idle| {
            let stays = !Arc::ptr_eq(&idle.pool, pool) || now.saturating_duration_since(idle.since) < IDLE;
            if !stays {
                idle.link.retire(UNUSED);
            }
            stays && !idle.link.has_ended()
        });
    }

    /// When the next link of this pool's will have waited for too long.
    pub(super) fn next_to_tidy(&self, pool: &Arc<Pool>) -> Option<Instant> {
        let state = lock(&self.state);
        state.idle.iter().filter(|idle| Arc::ptr_eq(&idle.pool, pool)).map(|idle| idle.since + IDLE).min()
    }

    /// Lets go of the links that wait in this pool.
    pub(super) fn clear(&self, pool: &Arc<Pool>) {
        lock(&self.state).idle.retain(|idle| !Arc::ptr_eq(&idle.pool, pool));
        self.changed.notify_one();
    }
}

/// A link that nobody else uses. Dropped by a user, it is closed: only who gives it back says that the next one finds
/// nothing of the last one's on it.
pub(crate) struct Lease {
    link: Arc<Link>,
    pool: Arc<Pool>,
    leases: Arc<Leases>,
    end: End,
    /// Given back after the link.
    turn: Option<Turn>,
}

/// What becomes of a link when its user is through with it.
#[derive(Clone, Copy)]
enum End {
    /// It waits for the next user.
    Kept,
    /// It is closed when what is on its way is answered.
    Drained,
    /// It is closed at once.
    Cut,
}

impl Lease {
    pub(super) fn new(link: Arc<Link>, pool: Arc<Pool>, leases: Arc<Leases>) -> Self {
        Self { link, pool, leases, end: End::Kept, turn: None }
    }

    /// In the hands of a user, who may leave anything behind on it.
    pub(crate) fn begin(mut self) -> Self {
        self.end = End::Cut;
        self
    }

    /// Of a user whose turn ends when the link is free again.
    pub(crate) fn in_turn(mut self, turn: Option<Turn>) -> Self {
        self.turn = turn;
        self
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Lets `AUTH` and `PING` come between the commands from now on.
    pub(crate) fn release(&self) {
        self.link.release();
        self.pool.wake_keeper();
    }

    /// For the next user, who finds nothing of this one's.
    pub(crate) fn give_back(mut self) {
        self.end = End::Kept;
    }

    /// For nobody any more. What its user has sent may be answered yet; none of it may be a command that blocks.
    pub(crate) fn drain(mut self) {
        self.end = End::Drained;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.end {
            End::Kept => {
                self.release();
                self.leases.put(Arc::clone(&self.link), Arc::clone(&self.pool));
            }
            End::Drained => {
                self.link.retire(LEFT);
                self.pool.wake_keeper();
            }
            End::Cut => {
                self.link.retire(LEFT);
                // At once: a command that blocks would go on taking elements which nobody gets.
                self.link.end();
                self.pool.wake_keeper();
            }
        }
    }
}

#[cfg(test)]
mod tests;
