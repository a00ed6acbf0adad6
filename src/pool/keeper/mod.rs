//! The one task that dials, re-authenticates, checks and replaces links.
//!
//! It works level-triggered: after every event it compares how the seats are with how they should be, and starts what
//! is missing. No event carries a meaning of its own, so none can be lost or come too late.

mod outcome;
mod own;
mod rotation;
#[cfg(test)]
pub(super) mod tests;

use super::{
    Availability, DialPace, Pool, Roster, SeatTotal,
    leases::{Leases, Ticket, is_given_up},
    seat::{Gone, Purpose, Seat, Task},
    seat_total::SeatPart,
};
use crate::{
    admission::Admission,
    error::{Error, ErrorKind, Stage},
    link::{Condition, EXPIRED, Link, Setup},
    observe::{
        event::Event,
        journal::Journal,
        trace::{outcome, target},
    },
    token::{Current, Tokens},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until, timeout_at},
};
use tracing::{Instrument, Span, field::Empty, info_span};

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

    /// Takes what is down out of its seat, and shows the commands what there is.
    fn tidy(&mut self) {
        let now = Instant::now();
        self.shared.leases.tidy(&self.pool, now);
        let has_died = |link: &&Arc<Link>| link.authenticated_until() <= now && !link.is_validating();
        for link in self.seats.iter().flat_map(Seat::links).filter(has_died) {
            // The server is about to cut it, and whatever is in flight with it. Not so one whose `AUTH` has been
            // accepted in time, though nobody has read that yet: the end of the `AUTH` says which it is.
            link.retire(EXPIRED);
        }
        if self.seats.iter().flat_map(Seat::links).any(|link| link.is_silent()) {
            // Whether the server is slow or that link alone is stuck, the others' answers tell.
            self.suspect_all(now);
            self.shared.trouble.notify_one();
        }
        let gone: Vec<_> = self.seats.iter_mut().flat_map(Seat::tidy).collect();
        if gone.is_empty() {
            return;
        }
        self.take_out(gone.iter().map(|gone| &gone.link));
        let mut is_fault = false;
        for Gone { link, reason, ticket, is_alone } in gone {
            let (node, id) = (self.node(), link.id());
            self.let_go(link, ticket, is_alone);
            if is_given_up(reason) {
                self.shared.journal.record(Event::LinkRetired { node, link: id });
            } else {
                is_fault = true;
                self.shared.journal.record(Event::LinkDown { node, link: id, reason });
            }
        }
        if !is_fault {
            return;
        }
        self.shared.trouble.notify_one();
        for (link, by) in self.seats.iter_mut().filter_map(Seat::replaced) {
            self.shared.journal.record(Event::LinkReplaced { node: Arc::clone(&self.setup.node), link, by });
        }
        // What took one link may have taken others: better a PING finds out than the commands of somebody.
        self.suspect_all(now);
    }

    /// Has every link answer a `PING`, if that has not just been done.
    fn suspect_all(&mut self, now: Instant) {
        if now >= self.next_doubt {
            self.next_doubt = now + ROUND;
            self.seats.iter().flat_map(Seat::links).for_each(|link| link.suspect());
        }
    }

    /// Takes links out of use that are in no seat any more. What is on its way on them may be answered before their
    /// connections close.
    fn take_out<'a>(&self, links: impl Iterator<Item = &'a Arc<Link>>) {
        // In this order, so that whoever looks for a live link finds it at every moment.
        links.for_each(|link| self.pool.leaves(link));
        self.publish();
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

    /// Has a link that was taken out close when it is through; its `ticket` is good until then.
    fn let_go(&mut self, link: Arc<Link>, ticket: Option<Ticket>, is_alone: bool) {
        let limit = Instant::now() + self.setup.command_timeout.max(self.shared.options.ping_timeout);
        self.tasks.push(Box::pin(async move {
            // What a broken connection has in flight is gone, not answered.
            let drained = timeout_at(limit, link.drained()).await.is_ok() && !link.has_ended();
            let id = link.id();
            if drained && is_alone {
                // Its user may hold it for long, and cannot send anything over it any more.
                link.end();
            }
            drop(link);
            drop(ticket);
            Done::LetGo { link: id, drained }
        }));
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
            standby.retire("stand-in not needed any more");
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

    /// Opens a link, if it is time, and gives up at `deadline`.
    fn dial(&mut self, index: usize, counts: &mut LinkCounts, deadline: Option<Instant>) {
        // The first dial is made all the same: it is how `connect` learns why there is no token.
        let no_token = self.shared.tokens.is_dead() && self.first.is_none();
        let now = Instant::now();
        let newest = self.shared.tokens.live().map_or(0, |current| current.generation);
        let may = self.seats[index].may_dial(now, newest);
        if no_token || !may || self.first.is_some() && counts.dialing > 0 {
            return;
        }
        let Some(dialing) = self.shared.pace.admit(now, counts.dialing) else {
            self.paced_until = self.shared.pace.next(now, counts.dialing);
            return;
        };
        counts.dialing += 1;
        self.pool.dial_began();
        let setup = Arc::clone(&self.setup);
        let mut tokens = self.shared.tokens.clone();
        let (keeper, admission) = (Arc::clone(&self.pool.keeper), Arc::clone(&self.shared.admission));
        let pool = &*self.shared.journal.name();
        let span =
            info_span!(target: target::LINK, "dial", pool, node = &*self.setup.node, seat = index, outcome = Empty);
        let dial = async move {
            let mut generation = 0;
            let token = async {
                let current = tokens.current().await?;
                generation = current.generation;
                Ok(current)
            };
            let open = async {
                let open = Link::open(&setup, token, keeper, admission);
                match deadline {
                    None => open.await,
                    Some(deadline) => timeout_at(deadline, open).await.unwrap_or_else(|_| Err(too_late())),
                }
            };
            let result = open.await;
            Span::current().record("outcome", outcome(&result));
            drop(dialing);
            let result = result.map(|link| (link, now.elapsed()));
            Done::Dialed { seat: index, generation, result }
        };
        let seat = &mut self.seats[index];
        if seat.task == Task::None && seat.link.is_none() {
            seat.task = Task::Dial;
        } else {
            // The link in this place is looked after meanwhile.
            seat.opens_standby = true;
        }
        self.tasks.push(Box::pin(dial.instrument(span)));
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

fn too_late() -> Error {
    Error::new(ErrorKind::Timeout(Stage::Connect), "no second connection came up in time to stand in for the only one")
}
