//! The one task that dials, re-authenticates, checks and replaces links.
//!
//! It works level-triggered: after every event it compares how the slots are with how they should be, and starts what is
//! missing. No event carries a meaning of its own, so none can be lost or come too late.

use super::{
    Pool,
    slot::{Slot, Task},
};
use crate::{
    Error, ErrorKind,
    event::{Event, Journal},
    link::{Condition, Dialer, Link, Reauth},
    token::{Current, Tokens},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

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
    Dialed(usize, u64, Result<Link, Error>),
    Reauthenticated(usize, Arc<Link>, Arc<Current>, Reauth),
    Pinged(usize, Arc<Link>, bool),
}

pub(crate) struct Keeper {
    pool: Arc<Pool>,
    dialer: Arc<Dialer>,
    tokens: Tokens,
    journal: Journal,
    options: KeeperOptions,
    slots: Vec<Slot>,
    tasks: FuturesUnordered<BoxFuture<'static, Done>>,
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
            first: Some(first),
        };
        (keeper, ready)
    }

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
        let gone: Vec<_> = self.slots.iter_mut().flat_map(Slot::tidy).collect();
        if gone.is_empty() {
            return;
        }
        self.publish();
        for (link, reason) in gone {
            let link = link.id();
            self.journal.record(Event::LinkDown { link, reason });
        }
        // What took one link may have taken others: better a PING finds out than the commands of somebody.
        self.slots.iter().flat_map(Slot::links).for_each(|link| link.suspect());
    }

    fn publish(&self) {
        let links = self.slots.iter().flat_map(Slot::links);
        self.pool.publish(links.map(Arc::clone).collect());
    }

    fn reconcile(&mut self) {
        for index in 0..self.slots.len() {
            if self.slots[index].task == Task::None {
                match self.slots[index].link.clone() {
                    None => self.dial(index),
                    Some(link) => self.maintain(index, &link),
                }
            }
        }
    }

    /// Brings a live link to where it should be: on the newest token, and known to be alive.
    fn maintain(&mut self, index: usize, link: &Arc<Link>) {
        if link.authenticated_until() <= Instant::now() {
            // The server is about to cut it, and whatever is in flight with it.
            link.retire("its token has expired");
            self.pool.wake_keeper();
        } else if let Some(current) = self.tokens.live()
            && link.generation() < current.generation
        {
            self.rotate(index, link, current);
        } else if let Some(spare) = self.slots[index].spare.take() {
            spare.retire("stand-in not needed any more");
            self.publish();
            self.journal.record(Event::LinkRetired { link: spare.id() });
        } else if link.is_suspect() || link.idle() >= self.options.ping_after {
            self.ping(index, link);
        }
    }

    /// Gives the link the new token; replaces it if that fails until the old one is nearly dead.
    fn rotate(&mut self, index: usize, link: &Arc<Link>, current: Arc<Current>) {
        let now = Instant::now();
        let margin = LONGEST_MARGIN.min(current.token.lifetime() / 10);
        let old_life = link.authenticated_until().saturating_duration_since(now);
        let slot = &mut self.slots[index];
        slot.rotate(current.generation, LONGEST_SPREAD.min(old_life / 10));
        slot.doomed |= slot.reauth_failed_before() && old_life <= margin;
        if slot.doomed {
            return self.dial(index);
        }
        if now < slot.reauth_after {
            return;
        }
        let (may_dial, has_spare) = (now >= slot.dial_after, slot.spare.is_some());
        let (open, aside) = (self.count(Condition::Open, link), self.count(Condition::Aside, link));
        if aside > 0 && aside >= (open + aside).div_ceil(2) {
            // Half of the links keep up the service; those that are aside will be back.
            return;
        }
        let alone = open == 0;
        if alone && !has_spare && may_dial {
            // A second link first, so that no command waits for this one's AUTH.
            return self.dial(index);
        }
        if !alone {
            // At once, so that the next slot counts it.
            link.step_aside();
        }
        let limit = old_life.saturating_sub(margin).max(SHORTEST_AUTH).min(self.options.auth_timeout);
        let link = Arc::clone(link);
        self.start(index, Task::Reauth, async move {
            let outcome = link.reauthenticate(&current, now + limit).await;
            Done::Reauthenticated(index, link, current, outcome)
        });
    }

    /// How many links other than `link` are in `condition`.
    fn count(&self, condition: Condition, link: &Arc<Link>) -> usize {
        let links = self.slots.iter().flat_map(Slot::links);
        links.filter(|other| other.condition() == condition && !Arc::ptr_eq(other, link)).count()
    }

    fn dial(&mut self, index: usize) {
        let busy = |task| self.slots.iter().filter(|slot| slot.task == task).count();
        let at_once = if self.first.is_some() { 1 } else { DIALS_AT_ONCE };
        // The first dial is made all the same: it is how `connect` learns why there is no token.
        let no_token = self.tokens.dead().is_some() && self.first.is_none();
        if no_token || busy(Task::Dial) >= at_once || Instant::now() < self.slots[index].dial_after {
            return;
        }
        let dialer = Arc::clone(&self.dialer);
        let mut tokens = self.tokens.clone();
        let keeper = Arc::clone(&self.pool.keeper);
        self.start(index, Task::Dial, async move {
            let mut generation = 0;
            let token = async {
                let current = tokens.current().await?;
                generation = current.generation;
                Ok(current)
            };
            let result = Link::open(&dialer, token, keeper).await;
            Done::Dialed(index, generation, result)
        });
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

    fn settle(&mut self, done: Done) {
        match done {
            Done::Dialed(index, _, Ok(link)) => self.dialed(index, Arc::new(link)),
            Done::Dialed(index, generation, Err(error)) => {
                self.dial_failed(index, generation, error);
            }
            Done::Reauthenticated(index, link, current, outcome) => {
                self.reauthenticated(index, &link, &current, outcome);
            }
            Done::Pinged(index, link, alive) => {
                self.slots[index].task = Task::None;
                if !alive {
                    link.retire("PING was not answered");
                }
            }
        }
    }

    fn dialed(&mut self, index: usize, link: Arc<Link>) {
        // A token that came while the link was being opened is seen by the next look at this slot.
        let (id, generation) = (link.id(), link.generation());
        let slot = &mut self.slots[index];
        slot.task = Task::None;
        let reconnect = slot.dialed(link);
        self.publish();
        self.pool.note_error(None);
        self.journal.record(Event::LinkUp { link: id, generation, reconnect });
        if let Some(first) = self.first.take() {
            // A caller that has given up on `connect` has dropped everything else, too.
            _ = first.send(Ok(()));
        }
    }

    fn dial_failed(&mut self, index: usize, generation: u64, error: Error) {
        self.slots[index].task = Task::None;
        let retry_in = self.slots[index].dial_failed();
        if error.kind() == ErrorKind::AuthenticationRejected {
            self.tokens.request_refresh(generation);
        }
        self.pool.note_error(Some(error.clone()));
        self.journal.record(Event::DialFailed { error: error.clone(), retry_in });
        if let Some(first) = self.first.take() {
            _ = first.send(Err(error));
        }
    }

    fn reauthenticated(&mut self, index: usize, link: &Arc<Link>, current: &Current, outcome: Reauth) {
        let slot = &mut self.slots[index];
        slot.task = Task::None;
        let (id, generation) = (link.id(), current.generation);
        let error = match outcome {
            Reauth::Done => {
                slot.reauthenticated();
                let event = Event::Reauthenticated { link: id, generation };
                return self.journal.record(event);
            }
            Reauth::Rejected(error) => {
                slot.reauth_failed();
                self.tokens.request_refresh(generation);
                error
            }
            Reauth::Failed(error) => {
                slot.reauth_failed();
                error
            }
            Reauth::Silent(error) => {
                link.retire("AUTH was not answered");
                error
            }
        };
        self.journal.record(Event::ReauthFailed { link: id, error });
    }

    /// When to look around without being told to.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let idle = self.slots.iter().filter(|slot| slot.task == Task::None);
        let planned = idle.flat_map(|slot| [slot.dial_after, slot.reauth_after]);
        let ends = self.slots.iter().flat_map(Slot::links).map(|link| link.authenticated_until());
        let next = planned.chain(ends).filter(|at| *at > now).min();
        next.map_or(now + ROUND, |at| at.min(now + ROUND))
    }
}
