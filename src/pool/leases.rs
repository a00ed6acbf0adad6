//! Links that one user at a time has alone: how many there may be in all, those that wait for their next user, and the
//! users who wait for one.
//!
//! Whatever comes back goes to whoever has waited for it longest, and not to whoever looks first: a user who gives a
//! link back and wants one again at once would be before all who wait.

mod lease;
mod waiter;

use super::Pool;
use crate::{link::Link, lock::lock};
use futures_util::future::BoxFuture;
use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::Instant,
};
use waiter::Opening;

pub(crate) use lease::Lease;
pub(crate) use waiter::Waiter;

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
    /// As many as there may be links, for users in the order in which they come.
    turns: Arc<Semaphore>,
    /// Users who wait for a turn.
    queued: AtomicUsize,
    state: Mutex<State>,
}

/// The right to look for a link, which one user has until it is through with that.
pub(crate) struct Turn(#[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit);

/// Counts one who waits for a turn, for as long as this lives.
struct Queued<'a>(&'a AtomicUsize);

impl<'a> Queued<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, SeqCst);
        Self(count)
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[derive(Default)]
struct State {
    /// Tickets that are out: links that there are, or that are being opened or closed.
    tickets: usize,
    idle: Vec<Idle>,
    /// Who waits for a link, the first one first.
    waiting: Vec<Waiting>,
    /// Links that are being closed for those who have no ticket. Whichever ticket comes back first is one of these: one
    /// link too many may go for that, and never one too few.
    closing: usize,
    /// The number of the next one who waits.
    next_number: u64,
}

/// A link that waits for its next user.
struct Idle {
    link: Arc<Link>,
    pool: Arc<Pool>,
    since: Instant,
}

/// Somebody who takes the next link of this pool's.
struct Waiting {
    number: u64,
    pool: Arc<Pool>,
    give: oneshot::Sender<Lease>,
    /// Takes the next ticket, if it has none.
    admit: Option<oneshot::Sender<Ticket>>,
}

impl State {
    /// The link of this pool's that was used last.
    fn take_idle(&mut self, pool: &Arc<Pool>) -> Option<Arc<Link>> {
        let at = self.idle.iter().rposition(|idle| Arc::ptr_eq(&idle.pool, pool) && is_well(&idle.link))?;
        Some(self.idle.remove(at).link)
    }

    /// A link to be closed for somebody who has no ticket and for whom none is on its way back; one on which nothing is
    /// under way, and so closes soonest, if there is such.
    fn take_to_close(&mut self) -> Option<Idle> {
        let lack_tickets = self.waiting.iter().filter(|waiting| waiting.admit.is_some()).count();
        if self.idle.is_empty() || self.closing >= lack_tickets {
            return None;
        }
        self.closing += 1;
        let at = self.idle.iter().position(|idle| idle.link.in_flight() == 0).unwrap_or(0);
        Some(self.idle.remove(at))
    }

    /// The one who takes this pool's next link.
    fn next_for(&mut self, pool: &Arc<Pool>) -> Option<Waiting> {
        let at = self.waiting.iter().position(|waiting| Arc::ptr_eq(&waiting.pool, pool))?;
        Some(self.waiting.remove(at))
    }

    /// Whoever has this number does not wait any more.
    fn forget(&mut self, number: u64) -> Option<Waiting> {
        let at = self.waiting.iter().position(|waiting| waiting.number == number)?;
        Some(self.waiting.remove(at))
    }
}

impl Idle {
    fn close(self) {
        self.link.retire(UNUSED);
        if self.link.in_flight() > 0 {
            // It is an `AUTH` or a `PING`, which may not be answered for long.
            self.link.end();
        }
        self.pool.wake_keeper();
    }
}

/// Whether it takes commands, and answers those that it has. One that is silent, or waits for its `AUTH`, may be of use
/// again.
fn is_well(link: &Link) -> bool {
    link.is_open() && !link.is_silent()
}

/// The right to have one leased link; belongs to the link until its connection is closed.
pub(crate) struct Ticket(Arc<Leases>);

impl Drop for Ticket {
    fn drop(&mut self) {
        let next = {
            let mut state = lock(&self.0.state);
            state.closing = state.closing.saturating_sub(1);
            let next = state.waiting.iter_mut().find_map(|waiting| waiting.admit.take());
            if next.is_none() {
                state.tickets -= 1;
            }
            next
        };
        if let Some(next) = next {
            // If that one has just gone, it is back, and goes to the one behind.
            _ = next.send(Self(Arc::clone(&self.0)));
        }
    }
}

/// What there is for somebody who wants a link.
pub(crate) enum Offer {
    /// One that is up.
    Link(Lease),
    /// A place among those who wait.
    Wait(Waiter),
}

impl Leases {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let turns = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Arc::new(Self { most, turns, queued: AtomicUsize::new(0), state: Mutex::default() })
    }

    /// How many links there may be.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// A turn, after all who have asked for one before.
    pub(crate) fn turn(self: &Arc<Self>) -> BoxFuture<'static, Turn> {
        let leases = Arc::clone(self);
        Box::pin(async move {
            let _queued = Queued::new(&leases.queued);
            match Arc::clone(&leases.turns).acquire_owned().await {
                Ok(permit) => Turn(permit),
                // Nobody closes it.
                Err(_) => std::future::pending().await,
            }
        })
    }

    /// Whether somebody waits for a turn.
    pub(crate) fn has_queue(&self) -> bool {
        self.queued.load(SeqCst) > 0
    }

    /// A link of this pool's that waits for a user, the last used first.
    pub(crate) fn idle(self: &Arc<Self>, pool: &Arc<Pool>) -> Option<Lease> {
        let link = lock(&self.state).take_idle(pool)?;
        Some(Lease::new(link, Arc::clone(pool), Arc::clone(self)))
    }

    /// The same, or else a place among those who wait, for whom one is opened. If there are as many as there may be,
    /// one that waits elsewhere is closed for that.
    pub(crate) fn offer(self: &Arc<Self>, pool: &Arc<Pool>) -> Offer {
        let mut state = lock(&self.state);
        if let Some(link) = state.take_idle(pool) {
            return Offer::Link(Lease::new(link, Arc::clone(pool), Arc::clone(self)));
        }
        let (number, pool_of) = (state.next_number, Arc::clone(pool));
        state.next_number += 1;
        let (give, returned) = oneshot::channel();
        let opening = if state.tickets < self.most {
            state.tickets += 1;
            state.waiting.push(Waiting { number, pool: pool_of, give, admit: None });
            drop(state);
            Opening::Ordered(pool.order_lease(Ticket(Arc::clone(self))))
        } else {
            let (admit, ticket) = oneshot::channel();
            state.waiting.push(Waiting { number, pool: pool_of, give, admit: Some(admit) });
            Self::make_room(state);
            Opening::Wanted(ticket)
        };
        Offer::Wait(Waiter::new(self, pool, number, returned, opening))
    }

    /// Takes back a link that another user may have.
    fn put(self: &Arc<Self>, link: Arc<Link>, pool: Arc<Pool>) {
        let is_good = link.is_open() || link.is_reauthenticating();
        let mut state = lock(&self.state);
        if !is_good || pool.has_ended() {
            return;
        }
        if let Some(next) = is_well(&link).then(|| state.next_for(&pool)).flatten() {
            drop(state);
            // If that one has just gone, it is back, and goes to the one behind.
            _ = next.give.send(Lease::new(link, pool, Arc::clone(self)));
            return;
        }
        state.idle.push(Idle { link, pool, since: Instant::now() });
        Self::make_room(state);
    }

    /// Closes a link that waits for its next user, if somebody is to have its ticket.
    fn make_room(mut state: MutexGuard<'_, State>) {
        let idle = state.take_to_close();
        drop(state);
        if let Some(idle) = idle {
            idle.close();
        }
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

    /// Lets go of the links that wait in this pool, and of those who wait for one.
    pub(super) fn clear(&self, pool: &Arc<Pool>) {
        let gone: Vec<_> = {
            let mut state = lock(&self.state);
            state.idle.retain(|idle| !Arc::ptr_eq(&idle.pool, pool));
            std::iter::from_fn(|| state.next_for(pool)).collect()
        };
        // They are told when nothing is locked.
        drop(gone);
    }
}

#[cfg(test)]
mod tests;
