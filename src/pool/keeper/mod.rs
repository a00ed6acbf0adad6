//! The one task that dials, re-authenticates, checks and replaces links.
//!
//! It works level-triggered: after every event it compares how the slots are with how they should be, and starts what
//! is missing. No event carries a meaning of its own, so none can be lost or come too late.

mod outcome;
mod pace;
mod rotation;
#[cfg(test)]
mod tests;

use super::{
    Pool,
    slot::{Slot, Task},
};
use crate::{
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
use pace::Pace;
use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};
use tracing::{Instrument, Span, field::Empty, info_span};

/// Azure limits the rate of new connections.
const DIALS_AT_ONCE: usize = 4;

/// Without anything to do, the keeper looks around this often.
const ROUND: Duration = Duration::from_secs(1);

pub(crate) struct KeeperOptions {
    pub(crate) auth_timeout: Duration,
    pub(crate) ping_after: Duration,
    pub(crate) ping_timeout: Duration,
}

/// The end of something that was under way.
enum Done {
    /// A link and how long it took to open, or why there is none; and of which token.
    Dialed(usize, u64, Result<(Link, Duration), Error>),
    Reauthenticated(usize, Arc<Link>, Arc<Current>, Result<(), Error>),
    /// Whether a link is of use, and if not, why.
    Checked(usize, Arc<Link>, Result<(), &'static str>),
    /// A link that was taken out, and whether everything on it was answered.
    LetGo(u64, bool),
}

/// Counts over all slots, taken once for a look at them and kept right during it.
struct Census {
    dialing: usize,
    open: usize,
    aside: usize,
}

impl Census {
    /// How many links are open, and aside, without counting one in this condition.
    fn without(&self, condition: Condition) -> (usize, usize) {
        let is = |other| usize::from(condition == other);
        (self.open.saturating_sub(is(Condition::Open)), self.aside.saturating_sub(is(Condition::Aside)))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.pool.dialing.store(0, SeqCst);
        self.pool.close();
    }
}

pub(crate) struct Keeper {
    pool: Arc<Pool>,
    setup: Arc<Setup>,
    tokens: Tokens,
    journal: Journal,
    options: KeeperOptions,
    slots: Vec<Slot>,
    tasks: FuturesUnordered<BoxFuture<'static, Done>>,
    pace: Pace,
    /// The loss or the silence of a link makes all others suspect, but not more often than this.
    next_doubt: Instant,
    /// Told how the first dial went; until then there is no second one.
    first: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Keeper {
    pub(crate) fn new(
        pool: Arc<Pool>,
        setup: Setup,
        tokens: Tokens,
        journal: Journal,
        options: KeeperOptions,
    ) -> (Self, oneshot::Receiver<Result<(), Error>>) {
        let (first, ready) = oneshot::channel();
        let keeper = Self {
            slots: (0..pool.size()).map(|_| Slot::new()).collect(),
            pool,
            setup: Arc::new(setup),
            tokens,
            journal,
            options,
            tasks: FuturesUnordered::new(),
            pace: Pace::new(),
            next_doubt: Instant::now(),
            first: Some(first),
        };
        (keeper, ready)
    }

    /// Works until the token actor has ended or the task is aborted; the pool is closed then, for want of a keeper.
    pub(crate) async fn run(mut self) {
        let rung = Arc::clone(&self.pool.keeper);
        loop {
            self.tidy();
            self.reconcile();
            let wake = self.next_wake();
            tokio::select! {
                Some(done) = self.tasks.next() => {
                    self.settle(done);
                    // All that are through before the next look, which is at every slot.
                    while let Some(Some(done)) = self.tasks.next().now_or_never() {
                        self.settle(done);
                    }
                }
                alive = self.tokens.changed() => {
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

    /// Takes what is down out of its slot, and shows the commands what there is.
    fn tidy(&mut self) {
        let now = Instant::now();
        let has_died = |link: &&Arc<Link>| link.authenticated_until() <= now && !link.is_validating();
        for link in self.slots.iter().flat_map(Slot::links).filter(has_died) {
            // The server is about to cut it, and whatever is in flight with it. Not so one whose `AUTH` has been
            // accepted in time, though nobody has read that yet: the end of the `AUTH` says which it is.
            link.retire(EXPIRED);
        }
        if self.slots.iter().flat_map(Slot::links).any(|link| link.is_silent()) {
            // Whether the server is slow or that link alone is stuck, the others' answers tell.
            self.suspect_all(now);
        }
        let gone: Vec<_> = self.slots.iter_mut().flat_map(Slot::tidy).collect();
        if gone.is_empty() {
            return;
        }
        self.take_out(gone.iter().map(|(link, _)| link));
        for (link, reason) in gone {
            self.journal.record(Event::LinkDown { link: link.id(), reason });
        }
        for (link, by) in self.slots.iter_mut().filter_map(Slot::replaced) {
            self.journal.record(Event::LinkReplaced { link, by });
        }
        // What took one link may have taken others: better a PING finds out than the commands of somebody.
        self.suspect_all(now);
    }

    /// Has every link answer a `PING`, if that has not just been done.
    fn suspect_all(&mut self, now: Instant) {
        if now >= self.next_doubt {
            self.next_doubt = now + ROUND;
            self.slots.iter().flat_map(Slot::links).for_each(|link| link.suspect());
        }
    }

    /// Takes links out of use that are in no slot any more. What is on its way on them may be answered before their
    /// connections close.
    fn take_out<'a>(&mut self, links: impl Iterator<Item = &'a Arc<Link>> + Clone) {
        // In this order, so that whoever looks for a live link finds it at every moment.
        links.clone().for_each(|link| self.pool.leaves(link));
        self.publish();
        links.for_each(|link| self.let_go(Arc::clone(link)));
    }

    fn publish(&self) {
        let links = self.slots.iter().flat_map(Slot::links);
        let filled = self.slots.iter().filter(|slot| slot.link.is_some()).count();
        self.pool.publish(links.map(Arc::clone).collect(), filled);
    }

    fn let_go(&mut self, link: Arc<Link>) {
        let limit = Instant::now() + self.setup.command_timeout.max(self.options.ping_timeout);
        self.tasks.push(Box::pin(async move {
            // What a broken connection has in flight is gone, not answered.
            let drained = timeout_at(limit, link.drained()).await.is_ok() && !link.has_ended();
            Done::LetGo(link.id(), drained)
        }));
    }

    fn census(&self) -> Census {
        let count =
            |condition| self.slots.iter().flat_map(Slot::links).filter(|link| link.condition() == condition).count();
        Census {
            dialing: self.slots.iter().filter(|slot| slot.is_dialing()).count(),
            open: count(Condition::Open),
            aside: count(Condition::Aside),
        }
    }

    fn reconcile(&mut self) {
        let mut census = self.census();
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.task == Task::None {
                match slot.link.clone() {
                    // What is being opened takes the place.
                    None if slot.opens_spare => {}
                    None => self.dial(index, &mut census, None),
                    Some(link) => self.maintain(index, &link, &mut census),
                }
            } else if slot.auth_is_late(Instant::now()) {
                // Should the AUTH not be answered in time, its successor is there.
                self.open_spare(index, &mut census, None);
            }
        }
    }

    /// Brings a live link to where it should be: on the newest token, and known to be alive.
    fn maintain(&mut self, index: usize, link: &Arc<Link>, census: &mut Census) {
        if let Some(current) = self.tokens.live()
            && link.generation() < current.generation
        {
            self.rotate(index, link, current, census);
        } else if let Some(spare) = self.slots[index].spare.take() {
            spare.retire("stand-in not needed any more");
            self.take_out(std::iter::once(&spare));
            self.journal.record(Event::LinkRetired { link: spare.id() });
        }
        // One that waits for its `AUTH` is looked after meanwhile. One that is aside has an unanswered `AUTH`, and
        // would not answer before that.
        let slot = &self.slots[index];
        let due = link.is_suspect() || link.idle() >= self.options.ping_after || link.has_claims() && slot.may_verify();
        if due && slot.task == Task::None && link.is_open() {
            self.check(index, link);
        }
    }

    /// Opens a link, if it is time, and gives up at `deadline`.
    fn dial(&mut self, index: usize, census: &mut Census, deadline: Option<Instant>) {
        let at_once = if self.first.is_some() { 1 } else { DIALS_AT_ONCE };
        // The first dial is made all the same: it is how `connect` learns why there is no token.
        let no_token = self.tokens.is_dead() && self.first.is_none();
        let now = Instant::now();
        let newest = self.tokens.live().map_or(0, |current| current.generation);
        let may = self.slots[index].may_dial(now, newest);
        if no_token || census.dialing >= at_once || !may || !self.pace.admits(now) {
            return;
        }
        census.dialing += 1;
        self.pool.dialing.fetch_add(1, SeqCst);
        let setup = Arc::clone(&self.setup);
        let mut tokens = self.tokens.clone();
        let (keeper, load) = (Arc::clone(&self.pool.keeper), Arc::clone(&self.pool.load));
        let pool = &*self.journal.name();
        let span = info_span!(target: target::LINK, "dial", pool, slot = index, outcome = Empty);
        let dial = async move {
            let mut generation = 0;
            let token = async {
                let current = tokens.current().await?;
                generation = current.generation;
                Ok(current)
            };
            let open = async {
                let open = Link::open(&setup, token, keeper, load);
                match deadline {
                    None => open.await,
                    Some(deadline) => timeout_at(deadline, open).await.unwrap_or_else(|_| Err(too_late())),
                }
            };
            // A resolver or verifier of the user's that panics must not take everything with it; what it broke is
            // dropped.
            let result = AssertUnwindSafe(open).catch_unwind().await.unwrap_or_else(|_| Err(panicked()));
            Span::current().record("outcome", outcome(&result));
            Done::Dialed(index, generation, result.map(|link| (link, now.elapsed())))
        };
        let slot = &mut self.slots[index];
        if slot.task == Task::None && slot.link.is_none() {
            slot.task = Task::Dial;
        } else {
            // The link in this place is looked after meanwhile.
            slot.opens_spare = true;
        }
        self.tasks.push(Box::pin(dial.instrument(span)));
    }

    fn check(&mut self, index: usize, link: &Arc<Link>) {
        let (link, limit) = (Arc::clone(link), self.options.ping_timeout);
        self.start(index, Task::Check, async move {
            let result = link.check(limit).await;
            Done::Checked(index, link, result)
        });
    }

    fn start(&mut self, index: usize, task: Task, work: impl Future<Output = Done> + Send + 'static) {
        self.slots[index].task = task;
        self.tasks.push(Box::pin(work));
    }

    /// When to look around without being told to.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let idle = self.slots.iter().filter(|slot| slot.task == Task::None);
        let planned = idle.clone().flat_map(|slot| [slot.reauth_after, slot.alone_after, slot.verify_after]);
        let dials = self.slots.iter().flat_map(|slot| slot.auth_is_late.into_iter().chain([slot.dial_after]));
        let rotation = idle.filter_map(|slot| slot.link.as_ref()).flat_map(|link| self.turning_points(link));
        let ends = self.slots.iter().flat_map(Slot::links).map(|link| link.authenticated_until());
        let paced = self.pace.next(now);
        let next = planned.chain(dials).chain(rotation).chain(ends).chain(paced).filter(|at| *at > now).min();
        next.map_or(now + ROUND, |at| at.min(now + ROUND))
    }
}

fn panicked() -> Error {
    Error::new(ErrorKind::Connect, "opening a connection panicked: a resolver or certificate verifier of yours did")
}

fn too_late() -> Error {
    Error::new(ErrorKind::Timeout(Stage::Connect), "no second connection came up in time to stand in for the only one")
}
