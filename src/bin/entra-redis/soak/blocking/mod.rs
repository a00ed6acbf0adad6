//! Numbered elements through queues, whose consumers wait for them with commands that block. Those that move an element
//! into a list of their own lose nothing, whatever happens to their connections. Those that pop it may lose it with the
//! connection that its reply is on, as with any client of Redis.

mod consumers;
mod elements;

use super::{
    counts::Figure,
    plan::{Plan, RETRY_DELAY},
    servers::{Loss, Servers, cover},
};
use consumers::{Mover, Popper};
use elements::Elements;
use entra_redis::EntraRedis;
use redis::{AsyncCommands, RedisResult};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinSet, time::sleep};

/// Queues of each of the two kinds.
const QUEUES: usize = 2;
const PRODUCERS: usize = 2;
const CONSUMERS: usize = 4;

/// Between two elements of one producer.
const PAUSE: Duration = Duration::from_millis(5);

/// A queue that is empty for so long has nothing on its way any more.
const EMPTY: Duration = Duration::from_secs(2);

/// What producers and consumers of one queue share.
struct Queue {
    plan: Arc<Plan>,
    /// On a cluster, the braces keep all its lists on one node, as commands of several keys want them.
    name: String,
    elements: Mutex<Elements>,
    servers: Servers,
    /// Pops that failed, of which each may have taken an element.
    failed_pops: AtomicU64,
    stage: watch::Sender<Stage>,
}

/// How far the run is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    /// Nothing is pushed any more.
    Draining,
    Ended,
}

impl Queue {
    fn new(plan: &Arc<Plan>, servers: &Servers, kind: &str, at: usize) -> Arc<Self> {
        Arc::new(Self {
            plan: Arc::clone(plan),
            name: format!("{{soak:{:x}:{kind}:{at}}}:queue", plan.run),
            elements: Mutex::default(),
            servers: servers.clone(),
            failed_pops: AtomicU64::new(0),
            stage: watch::Sender::new(Stage::Running),
        })
    }

    fn elements(&self) -> MutexGuard<'_, Elements> {
        self.elements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The list of a consumer that moves what it takes.
    fn list_of(&self, consumer: usize) -> String {
        format!("{}:{consumer}", self.name)
    }

    fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Whether a consumer gets an element as it should: for the first time, or after its server may have lost that it
    /// was taken.
    async fn judge(&self, is_right: bool, number: u64, consumer: usize, what: impl Fn() -> String) {
        let explains =
            |losses: &[Loss]| self.elements().take_after_loss(number, consumer, |moment| cover(losses, moment));
        let is_well = is_right || self.servers.excuse(&self.name, explains, &what).await;
        self.plan.counts.fault(Figure::ElementsTwice, u64::from(!is_well), what);
    }

    /// Whether its server may have lost that a consumer has moved an element into its list.
    async fn may_have_gone(&self, number: u64, what: impl FnOnce() -> String) -> bool {
        let explains = |losses: &[Loss]| self.elements().may_have_gone(number, |moment| cover(losses, moment));
        self.servers.excuse(&self.name, explains, what).await
    }

    /// Pushes elements, one after the other.
    async fn produce(self: Arc<Self>, mut redis: EntraRedis) {
        let mut at_the_end = false;
        while !self.plan.is_over() {
            let number = self.elements().pushing();
            let pushed: RedisResult<u64> =
                if at_the_end { redis.rpush(&self.name, number).await } else { redis.lpush(&self.name, number).await };
            at_the_end = !at_the_end;
            match self.plan.tally.noted(pushed) {
                Ok(_) => self.elements().pushed(number),
                Err(kind) => {
                    if !kind.may_have_run() {
                        self.elements().not_pushed(number);
                    }
                    sleep(RETRY_DELAY).await;
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until everything has been taken, or is known not to be there; whether that comes in time.
    async fn drain(&self, redis: &EntraRedis, may_pop_unheard: bool) -> bool {
        let limit = self.plan.recovers_until();
        let mut redis = redis.clone();
        let mut empty_since: Option<Instant> = None;
        loop {
            if self.elements().missing().next().is_none() {
                return true;
            }
            match self.plan.tally.noted(redis.llen::<_, u64>(&self.name).await) {
                Ok(0) => _ = empty_since.get_or_insert_with(Instant::now),
                _ => empty_since = None,
            }
            let is_empty = empty_since.is_some_and(|since| since.elapsed() > EMPTY);
            // What a server has lost is not waited for.
            if is_empty && (may_pop_unheard || self.may_be_lost().await) {
                return true;
            }
            if limit.has_passed() {
                return false;
            }
            sleep(10 * RETRY_DELAY).await;
        }
    }

    /// Whether the server may have lost all that is missing, or nothing is. What that excuses is counted at the end.
    async fn may_be_lost(&self) -> bool {
        let explains = |losses: &[Loss]| self.elements().missing().all(|(_, pushed)| cover(losses, pushed));
        self.servers.explain(&self.name, explains).await
    }

    /// Counts what nobody has got, of which so many may have been popped for connections that were lost.
    async fn settle(&self, may_be_unheard: u64) -> u64 {
        let mut lost: Vec<_> = self.elements().missing().collect();
        let unheard = may_be_unheard.min(lost.len() as u64);
        if lost.len() as u64 > unheard {
            let rest = |losses: &[Loss]| {
                lost.iter().filter(|(_, pushed)| !cover(losses, *pushed)).copied().collect::<Vec<_>>()
            };
            let left = Mutex::new(lost.clone());
            let explains = |losses: &[Loss]| {
                let rest = rest(losses);
                let is_enough = rest.len() as u64 <= unheard;
                *left.lock().unwrap_or_else(PoisonError::into_inner) = rest;
                is_enough
            };
            let what = || format!("{}: nobody got {:?}", self.name, numbers(&lost));
            self.servers.excuse(&self.name, explains, what).await;
            lost = left.into_inner().unwrap_or_else(PoisonError::into_inner);
        }
        let faults = (lost.len() as u64).saturating_sub(unheard);
        self.plan.counts.add(Figure::ElementsUnheard, unheard);
        self.plan.counts.fault(Figure::ElementsLost, faults, || {
            format!(
                "{}: nobody got {:?}, of which {unheard} may have been on connections that were lost",
                self.name,
                numbers(&lost)
            )
        });
        unheard
    }
}

fn numbers(elements: &[(u64, Instant)]) -> Vec<u64> {
    elements.iter().map(|(number, _)| *number).collect()
}

/// Until the end of the run; whether everything was taken in the end.
pub(super) async fn run(plan: Arc<Plan>, redis: EntraRedis, servers: Servers) -> bool {
    let queues = |kind| (0..QUEUES).map(|at| Queue::new(&plan, &servers, kind, at)).collect::<Vec<_>>();
    let (moved, popped) = (queues("moved"), queues("popped"));
    let all = || moved.iter().chain(&popped);
    let (mut producers, mut consumers) = (JoinSet::new(), JoinSet::new());
    for queue in all() {
        for _ in 0..PRODUCERS {
            producers.spawn(Arc::clone(queue).produce(redis.clone()));
        }
    }
    for consumer in 0..CONSUMERS {
        for queue in &moved {
            consumers.spawn(Mover::new(queue, &redis, consumer).run());
        }
        for queue in &popped {
            consumers.spawn(Popper::new(queue, &redis, consumer).run());
        }
    }
    _ = producers.join_all().await;
    all().for_each(|queue| _ = queue.stage.send_replace(Stage::Draining));
    let mut is_well = true;
    for (queue, may_pop_unheard) in moved.iter().map(|queue| (queue, false)).chain(popped.iter().map(|q| (q, true))) {
        is_well &= queue.drain(&redis, may_pop_unheard).await;
    }
    all().for_each(|queue| _ = queue.stage.send_replace(Stage::Ended));
    _ = consumers.join_all().await;
    // Each connection that was lost may have had one.
    let mut may_be_unheard = redis.manager().counters().links_lost;
    for queue in &popped {
        let failed = queue.failed_pops.load(Relaxed);
        let unheard = queue.settle(failed + may_be_unheard).await;
        may_be_unheard -= unheard.saturating_sub(failed);
    }
    for queue in &moved {
        queue.settle(0).await;
    }
    for queue in all() {
        let mut lists: Vec<_> = (0..CONSUMERS).map(|consumer| queue.list_of(consumer)).collect();
        lists.push(queue.name.clone());
        // Hardly anything is left, and it is in nobody's way.
        _ = redis.clone().del::<_, u64>(lists).await;
    }
    is_well
}
