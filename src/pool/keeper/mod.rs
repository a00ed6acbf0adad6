//! The one task that dials, re-authenticates, checks and replaces links.
//!
//! It works level-triggered: after every event it compares how the seats are with how they should be, and starts what
//! is missing. No event carries a meaning of its own, so none can be lost or come too late.

mod dialing;
mod leaving;
mod outcome;
mod own;
mod rotation;
#[cfg(test)]
pub(super) mod tests;

use super::{
    Availability, DialPace, Pool, Roster, SeatTotal,
    leases::Leases,
    seat::{Purpose, Seat, Task},
    seat_total::SeatPart,
};
use crate::{
    admission::Admission,
    error::Error,
    link::{Condition, Link, Setup},
    observe::{event::Event, journal::Journal, trace::target},
    token::{Current, Tokens},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};
use tracing::{Span, field::Empty, info_span};

/// Without anything to do, the keeper looks around this often.
const ROUND: Duration = Duration::from_secs(1);

/// What the keepers of all nodes have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) tokens: Tokens,
    pub(crate) journal: Journal,
    pub(crate) admission: Arc<Admission>,
    pub(crate) availability: Arc<Availability>,
    pub(crate) pace: Arc<DialPace>,
    pub(crate) seats: SeatTotal,
    pub(crate) leases: Arc<Leases>,
    /// Rung when a link is lost or silent, or cannot be opened: a cluster may have changed then.
    pub(crate) trouble: Arc<Notify>,
    pub(crate) options: KeeperOptions,
}

#[derive(Clone, Copy)]
pub(crate) struct KeeperOptions {
    pub(crate) auth_timeout: Duration,
    pub(crate) ping_after: Duration,
    pub(crate) ping_timeout: Duration,
}

/// The end of something that was under way.
enum Done {
    /// A link and how long it took to open, or why there is none; `generation` is that of the token.
    Dialed {
        seat: usize,
        generation: u64,
        result: Result<(Link, Duration), Error>,
    },
    Reauthenticated {
        seat: usize,
        link: Arc<Link>,
        current: Arc<Current>,
        result: Result<(), Error>,
    },
    /// Whether a link is of use, and if not, why.
    Checked {
        seat: usize,
        link: Arc<Link>,
        result: Result<(), &'static str>,
    },
    /// A link that was taken out, and whether everything on it was answered.
    LetGo {
        link: u64,
        drained: bool,
    },
}

/// Counts over all seats, taken once for a look at them and kept right during it.
struct LinkCounts {
    dialing: usize,
    open: usize,
    reauthenticating: usize,
}

impl LinkCounts {
    /// How many links are open, and being re-authenticated, without counting one in this condition.
    fn without(&self, condition: Condition) -> (usize, usize) {
        let is = |other| usize::from(condition == other);
        (
            self.open.saturating_sub(is(Condition::Open)),
            self.reauthenticating.saturating_sub(is(Condition::Reauthenticating)),
        )
    }
}

pub(crate) struct Keeper {
    pool: Roster,
    setup: Arc<Setup>,
    shared: Shared,
    seats: Vec<Seat>,
    /// Of the seats of all pools, these.
    part: SeatPart,
    tasks: FuturesUnordered<BoxFuture<'static, Done>>,
    /// The loss or the silence of a link makes all others suspect, but not more often than this.
    next_doubt: Instant,
    /// When a dial may start that the pace of dials has not admitted at the last look.
    paced_until: Option<Instant>,
    /// Told how the first dial went; until then there is no second one.
    first: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Keeper {
    /// A keeper of a new pool of `size` seats; the receiver is told how the first dial went.
    pub(crate) fn new(
        size: usize,
        setup: Setup,
        shared: Shared,
    ) -> (Self, Arc<Pool>, oneshot::Receiver<Result<(), Error>>) {
        let (first, ready) = oneshot::channel();
        let (pool, roster) = Pool::new(size, Arc::clone(&shared.availability), Arc::clone(&shared.leases));
        let keeper = Self {
            seats: Vec::new(),
            pool: roster,
            setup: Arc::new(setup),
            part: shared.seats.part(),
            shared,
            tasks: FuturesUnordered::new(),
            next_doubt: Instant::now(),
            paced_until: None,
            first: Some(first),
        };
        (keeper, pool, ready)
    }

    /// Works until the token actor has ended or the task is aborted; the pool has ended then.
    pub(crate) async fn run(mut self) {
        let rung = Arc::clone(&self.pool.keeper);
        loop {
            let shared = self.seats.iter().filter(|seat| seat.is_shared()).count();
            let missing = self.pool.size().saturating_sub(shared);
            self.seats.extend((0..missing).map(|_| Seat::new(Purpose::Shared)));
            self.tidy();
            self.take_orders();
            self.part.set(self.seats.iter().filter(|seat| seat.is_wanted()).count());
            self.reconcile();
            let wake = self.next_wake();
            tokio::select! {
                Some(done) = self.tasks.next() => {
                    self.settle(done);
                    // All that are through before the next look, which is at every seat.
                    while let Some(Some(done)) = self.tasks.next().now_or_never() {
                        self.settle(done);
                    }
                }
                alive = self.shared.tokens.changed() => {
                    if !alive {
                        return;
                    }
                    // Commands that wait for a link learn that there is no token for one.
                    self.pool.wake_commands();
                }
                () = rung.notified() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    /// The address of the node, as events name it.
    fn node(&self) -> Arc<str> {
        Arc::clone(&self.setup.node)
    }

    fn publish(&self) {
        let own = self.seats.iter().filter(|seat| !seat.is_shared());
        let own = own.flat_map(|seat| seat.links().map(|link| (seat.purpose, Arc::clone(link))));
        self.pool.publish_own(own.collect());
        let shared = self.seats.iter().filter(|seat| seat.is_shared());
        let filled = shared.clone().filter(|seat| seat.link.is_some()).count();
        let links = shared.flat_map(Seat::links);
        self.pool.publish(links.map(Arc::clone).collect(), filled);
    }

    fn counts(&self) -> LinkCounts {
        let shared = || self.seats.iter().filter(|seat| seat.is_shared());
        let count = |condition| shared().flat_map(Seat::links).filter(|link| link.condition() == condition).count();
        LinkCounts {
            dialing: self.seats.iter().filter(|seat| seat.is_dialing()).count(),
            open: count(Condition::Open),
            reauthenticating: count(Condition::Reauthenticating),
        }
    }

    fn reconcile(&mut self) {
        self.paced_until = None;
        let mut counts = self.counts();
        for index in 0..self.seats.len() {
            let seat = &self.seats[index];
            if seat.task == Task::None {
                match seat.link.clone() {
                    // What is being opened takes the place.
                    None if seat.opens_standby => {}
                    None if !seat.is_shared() => self.fill(index, &mut counts),
                    None => self.dial(index, &mut counts, None),
                    Some(link) if !seat.is_shared() => self.maintain_own(index, &link),
                    Some(link) => self.maintain(index, &link, &mut counts),
                }
            } else if seat.is_shared() && seat.auth_is_late(Instant::now()) {
                // Should the AUTH not be answered in time, its successor is there.
                self.open_standby(index, &mut counts, None);
            }
        }
    }

    /// Brings a live link to where it should be: on the newest token, and known to be alive.
    fn maintain(&mut self, index: usize, link: &Arc<Link>, counts: &mut LinkCounts) {
        if let Some(current) = self.shared.tokens.live()
            && link.generation() < current.generation
        {
            self.rotate(index, link, current, counts);
        } else if let Some(standby) = self.seats[index].standby.take() {
            standby.retire("standby not needed any more");
            self.take_out(std::iter::once(&standby));
            self.shared.journal.record(Event::LinkRetired { node: self.node(), link: standby.id() });
            self.let_go(standby, None, false);
        }
        // One that waits for its `AUTH` is looked after meanwhile. One whose state is `Reauthenticating` has an
        // unanswered `AUTH`, and would not answer before that.
        let seat = &self.seats[index];
        let due = link.is_suspect()
            || link.idle() >= self.shared.options.ping_after
            || link.has_claims() && seat.may_verify();
        if due && seat.task == Task::None && link.is_open() {
            if link.has_claims() {
                // What nobody waits for may have been answered `MOVED`.
                self.shared.trouble.notify_one();
            }
            self.check(index, link);
        }
    }

    fn check(&mut self, index: usize, link: &Arc<Link>) {
        let (link, limit) = (Arc::clone(link), self.shared.options.ping_timeout);
        self.start(index, Task::Check, async move {
            let result = link.check(limit).await;
            Done::Checked { seat: index, link, result }
        });
    }

    fn start(&mut self, index: usize, task: Task, work: impl Future<Output = Done> + Send + 'static) {
        self.seats[index].task = task;
        self.tasks.push(Box::pin(work));
    }

    /// When to look around without being told to.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let idle = self.seats.iter().filter(|seat| seat.task == Task::None);
        let planned = idle.clone().flat_map(|seat| [seat.reauth_after, seat.alone_after, seat.verify_after]);
        let dials = self.seats.iter().flat_map(|seat| seat.auth_is_late.into_iter().chain([seat.dial_after]));
        let rotation = idle.filter_map(|seat| seat.link.as_ref()).flat_map(|link| self.turning_points(link));
        let ends = self.seats.iter().flat_map(Seat::links).map(|link| link.authenticated_until());
        let next =
            planned.chain(dials).chain(rotation).chain(ends).chain(self.paced_until).filter(|at| *at > now).min();
        let next = next.into_iter().chain(self.shared.leases.next_to_tidy(&self.pool)).min();
        next.map_or(now + ROUND, |at| at.min(now + ROUND))
    }
}

/// The span of an `AUTH` with a new token.
fn reauth_span(shared: &Shared, setup: &Setup, link: &Link, current: &Current) -> Span {
    let (pool, node) = (&*shared.journal.name(), &*setup.node);
    let generation = current.generation;
    info_span!(target: target::LINK, "reauth", pool, node, link = link.id(), generation, outcome = Empty)
}
