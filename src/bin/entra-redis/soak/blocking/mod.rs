//! Numbered elements through queues, whose consumers wait for them with commands that block. Those that move an element
//! into a list of their own lose nothing, whatever happens to their connections. Those that pop it may lose it with the
//! connection that its reply is on, as with any client of Redis.

mod consumers;
mod elements;

use super::{
    counts::Figure,
    plan::{BREATH, Plan},
    servers::Servers,
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
    servers: tokio::sync::Mutex<Servers>,
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
            servers: tokio::sync::Mutex::new(servers.clone()),
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

    /// Whether the servers may have lost something: then everything until now is excused.
    async fn is_excused(&self, redis: &EntraRedis) -> bool {
        let is_excused = self.servers.lock().await.have_changed_lately(&self.plan, &mut redis.clone()).await;
        if is_excused {
            self.elements().perhaps_lost();
            self.plan.counts.add(Figure::Excused, 1);
        }
        is_excused
    }

    /// Whether a consumer has got an element as it should.
    async fn judge(&self, redis: &EntraRedis, is_right: impl Fn(&mut Elements) -> bool, what: impl FnOnce() -> String) {
        let mut is_well = is_right(&mut self.elements());
        if !is_well && self.is_excused(redis).await {
            is_well = is_right(&mut self.elements());
        }
        self.plan.counts.fault(Figure::ElementsTwice, u64::from(!is_well), what);
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
                    sleep(BREATH).await;
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
            if may_pop_unheard && empty_since.is_some_and(|since| since.elapsed() > EMPTY) {
                return true;
            }
            if limit.has_passed() {
                return false;
            }
            sleep(10 * BREATH).await;
        }
    }

    /// Counts what nobody has got, of which so many may have been popped for connections that were lost.
    async fn settle(&self, redis: &EntraRedis, may_be_unheard: u64) -> u64 {
        let missing = || self.elements().missing().collect::<Vec<_>>();
        let mut lost = missing();
        let unheard = may_be_unheard.min(lost.len() as u64);
        if lost.len() as u64 > unheard && self.is_excused(redis).await {
            lost = missing();
        }
        let faults = (lost.len() as u64).saturating_sub(unheard);
        self.plan.counts.add(Figure::ElementsUnheard, unheard);
        self.plan.counts.fault(Figure::ElementsLost, faults, || {
            format!(
                "{}: nobody got {lost:?}, of which {unheard} may have been on connections that were lost",
                self.name
            )
        });
        unheard
    }
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
        let unheard = queue.settle(&redis, failed + may_be_unheard).await;
        may_be_unheard -= unheard.saturating_sub(failed);
    }
    for queue in &moved {
        queue.settle(&redis, 0).await;
    }
    for queue in all() {
        let mut lists: Vec<_> = (0..CONSUMERS).map(|consumer| queue.list_of(consumer)).collect();
        lists.push(queue.name.clone());
        // Hardly anything is left, and it is in nobody's way.
        _ = redis.clone().del::<_, u64>(lists).await;
    }
    is_well
}
