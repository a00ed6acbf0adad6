//! The one task that dials, re-authenticates, checks and replaces links.
//!
//! It works level-triggered: after every event it compares how the slots are with how they should be, and starts what is
//! missing. No event carries a meaning of its own, so none can be lost or come too late.

mod outcome;
mod pace;

use super::{
    Pool,
    slot::{Slot, Task},
};
use crate::{
    Error, ErrorKind,
    error::Stage,
    event::{Event, Journal, target},
    link::{Condition, Dialer, Link, Reauth},
    token::{Current, Tokens},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use pace::Pace;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};
use tracing::{Instrument, info_span};

/// Azure limits the rate of new connections.
const DIALS_AT_ONCE: usize = 4;

/// The re-AUTHs of a rotation start within this, so that a server does not validate all of them at the same moment.
const LONGEST_SPREAD: Duration = Duration::from_secs(1);

/// How long before its token dies a link whose re-AUTH keeps failing is replaced; a tenth of the token's life if that is
/// shorter.
const LONGEST_MARGIN: Duration = Duration::from_secs(20);

/// The least time that an `AUTH` is given, however little life the old token has left.
const SHORTEST_AUTH: Duration = Duration::from_millis(500);

/// Without anything to do, the keeper looks around this often.
const ROUND: Duration = Duration::from_secs(1);

pub(crate) struct KeeperOptions {
    pub(crate) pool_size: usize,
    pub(crate) auth_timeout: Duration,
    pub(crate) ping_after: Duration,
    pub(crate) ping_timeout: Duration,
}

/// The end of something that was under way.
enum Done {
    /// A link and how long it took to open, or why there is none; and of which token.
    Dialed(usize, u64, Result<(Link, Duration), Error>),
    Reauthenticated(usize, Arc<Link>, Arc<Current>, Reauth),
    Pinged(usize, Arc<Link>, bool),
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
        self.pool.close();
    }
}

pub(crate) struct Keeper {
    pool: Arc<Pool>,
    dialer: Arc<Dialer>,
    tokens: Tokens,
    journal: Journal,
    options: KeeperOptions,
    slots: Vec<Slot>,
    tasks: FuturesUnordered<BoxFuture<'static, Done>>,
    pace: Pace,
    /// Told how the first dial went; until then there is no second one.
    first: Option<oneshot::Sender<Result<(), Error>>>,
}

impl Keeper {
    pub(crate) fn new(
        pool: Arc<Pool>,
        dialer: Dialer,
        tokens: Tokens,
        journal: Journal,
        options: KeeperOptions,
    ) -> (Self, oneshot::Receiver<Result<(), Error>>) {
        let (first, ready) = oneshot::channel();
        let keeper = Self {
            slots: (0..options.pool_size).map(|_| Slot::new()).collect(),
            pool,
            dialer: Arc::new(dialer),
            tokens,
            journal,
            options,
            tasks: FuturesUnordered::new(),
            pace: Pace::new(),
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
                Some(done) = self.tasks.next() => self.settle(done),
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
        for link in self.slots.iter().flat_map(Slot::links).filter(|link| link.authenticated_until() <= now) {
            // The server is about to cut it, and whatever is in flight with it.
            link.retire("its token has expired");
        }
        let gone: Vec<_> = self.slots.iter_mut().flat_map(Slot::tidy).collect();
        if gone.is_empty() {
            return;
        }
        self.publish();
        for (link, reason) in gone {
            self.journal.record(Event::LinkDown { link: link.id(), reason });
            self.let_go(link);
        }
        for (link, by) in self.slots.iter_mut().filter_map(Slot::replaced) {
            self.journal.record(Event::LinkReplaced { link, by });
        }
        // What took one link may have taken others: better a PING finds out than the commands of somebody.
        self.slots.iter().flat_map(Slot::links).for_each(|link| link.suspect());
    }

    fn publish(&self) {
        let links = self.slots.iter().flat_map(Slot::links);
        self.pool.publish(links.map(Arc::clone).collect());
    }

    /// Lets what is on its way on a link that was taken out reach Redis before its connection closes.
    fn let_go(&mut self, link: Arc<Link>) {
        let limit = Instant::now() + self.options.ping_timeout;
        self.tasks.push(Box::pin(async move {
            let drained = link.drained(limit).await;
            Done::LetGo(link.id(), drained)
        }));
    }

    fn census(&self) -> Census {
        let count =
            |condition| self.slots.iter().flat_map(Slot::links).filter(|link| link.condition() == condition).count();
        Census {
            dialing: self.slots.iter().filter(|slot| slot.task == Task::Dial).count(),
            open: count(Condition::Open),
            aside: count(Condition::Aside),
        }
    }

    fn reconcile(&mut self) {
        let mut census = self.census();
        for index in 0..self.slots.len() {
            if self.slots[index].task == Task::None {
                match self.slots[index].link.clone() {
                    None => self.dial(index, &mut census, None),
                    Some(link) => self.maintain(index, &link, &mut census),
                }
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
            self.publish();
            self.journal.record(Event::LinkRetired { link: spare.id() });
            self.let_go(spare);
        } else if link.is_suspect() || link.idle() >= self.options.ping_after {
            self.ping(index, link);
        }
    }

    /// Gives the link the new token; replaces it if that fails until the old one is nearly dead.
    fn rotate(&mut self, index: usize, link: &Arc<Link>, current: Arc<Current>, census: &mut Census) {
        let now = Instant::now();
        let tenth = current.token.lifetime() / 10;
        let margin = LONGEST_MARGIN.min(tenth);
        let old_life = link.authenticated_until().saturating_duration_since(now);
        let slot = &mut self.slots[index];
        slot.rotate(current.generation, LONGEST_SPREAD.min(old_life / 10));
        slot.doomed |= slot.reauth_failed_before() && old_life <= margin;
        if slot.doomed {
            return self.dial(index, census, None);
        }
        if now < slot.reauth_after {
            return;
        }
        let has_spare = slot.spare.is_some();
        let is_open = link.condition() == Condition::Open;
        let (open, aside) = census.without(link.condition());
        if aside > 0 && aside >= (open + aside).div_ceil(2) {
            // Half of the links keep up the service; those that are aside will be back.
            return;
        }
        let alone = open == 0;
        let patience = old_life.saturating_sub(margin + self.options.auth_timeout.min(tenth));
        if alone && !has_spare && !patience.is_zero() {
            // A second link first, so that no command waits for this one's AUTH; while there is time for one.
            return self.dial(index, census, Some(now + patience));
        }
        if !alone && is_open {
            // At once, so that the next slot counts it.
            link.step_aside();
            (census.open, census.aside) = (open, aside + 1);
        }
        let limit = old_life.saturating_sub(margin).max(SHORTEST_AUTH).min(self.options.auth_timeout);
        let link = Arc::clone(link);
        let generation = current.generation;
        let span = info_span!(target: target::LINK, "reauth", link = link.id(), generation);
        let reauth = async move {
            let outcome = link.reauthenticate(&current, now + limit).await;
            Done::Reauthenticated(index, link, current, outcome)
        };
        self.start(index, Task::Reauth, reauth.instrument(span));
    }

    /// Opens a link, if it is time, and gives up at `deadline`.
    fn dial(&mut self, index: usize, census: &mut Census, deadline: Option<Instant>) {
        let at_once = if self.first.is_some() { 1 } else { DIALS_AT_ONCE };
        // The first dial is made all the same: it is how `connect` learns why there is no token.
        let no_token = self.tokens.dead().is_some() && self.first.is_none();
        let now = Instant::now();
        if no_token || census.dialing >= at_once || now < self.slots[index].dial_after || !self.pace.admits(now) {
            return;
        }
        census.dialing += 1;
        let dialer = Arc::clone(&self.dialer);
        let mut tokens = self.tokens.clone();
        let (keeper, load) = (Arc::clone(&self.pool.keeper), Arc::clone(&self.pool.load));
        let span = info_span!(target: target::LINK, "dial", slot = index);
        let dial = async move {
            let mut generation = 0;
            let token = async {
                let current = tokens.current().await?;
                generation = current.generation;
                Ok(current)
            };
            let open = Link::open(&dialer, token, keeper, load);
            let result = match deadline {
                None => open.await,
                Some(deadline) => timeout_at(deadline, open).await.unwrap_or_else(|_| Err(too_late())),
            };
            Done::Dialed(index, generation, result.map(|link| (link, now.elapsed())))
        };
        self.start(index, Task::Dial, dial.instrument(span));
    }

    fn ping(&mut self, index: usize, link: &Arc<Link>) {
        let (link, limit) = (Arc::clone(link), self.options.ping_timeout);
        self.start(index, Task::Ping, async move {
            let alive = link.ping(limit).await;
            Done::Pinged(index, link, alive)
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
        let planned = idle.flat_map(|slot| [slot.dial_after, slot.reauth_after]);
        let ends = self.slots.iter().flat_map(Slot::links).map(|link| link.authenticated_until());
        let paced = self.pace.next(now);
        let next = planned.chain(ends).chain(paced).filter(|at| *at > now).min();
        next.map_or(now + ROUND, |at| at.min(now + ROUND))
    }
}

fn too_late() -> Error {
    Error::new(ErrorKind::Timeout(Stage::Connect), "no second connection came up in time to stand in for the only one")
}
