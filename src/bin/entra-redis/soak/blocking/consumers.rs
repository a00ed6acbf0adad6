//! Those who wait for elements.

use super::{
    super::{counts::Figure, plan::RETRY_DELAY},
    Queue, Stage,
};
use entra_redis::EntraRedis;
use redis::{AsyncCommands, Direction, RedisResult};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Timeouts of commands that block, in turn. A zero is for ever.
const TIMEOUTS: [f64; 2] = [0.0, 1.0];

/// How often a consumer looks into its list for what it was not told of.
const LOOK: Duration = Duration::from_secs(1);

/// Moves each element into its own list, from which it removes it once it has it.
pub(super) struct Mover {
    queue: Arc<Queue>,
    redis: EntraRedis,
    consumer: usize,
    list: String,
    looked: Instant,
}

impl Mover {
    pub(super) fn new(queue: &Arc<Queue>, redis: &EntraRedis, consumer: usize) -> Self {
        let list = queue.list_of(consumer);
        Self { queue: Arc::clone(queue), redis: redis.clone(), consumer, list, looked: Instant::now() }
    }

    pub(super) async fn run(mut self) {
        let mut stage = self.queue.stage.subscribe();
        for turn in 0.. {
            if self.queue.stage() == Stage::Ended {
                break;
            }
            let taken = tokio::select! {
                taken = take(&mut self.redis, &self.queue.name, &self.list, turn + self.consumer) => taken,
                // It may have been moved in that moment, or long ago, with the reply on a connection that was lost, and
                // nothing else may come.
                () = drained(&mut stage) => {
                    self.look().await;
                    continue;
                }
            };
            match self.queue.plan.tally.noted(taken) {
                Ok(Some(number)) => {
                    let is_right = self.queue.elements().take(number, self.consumer);
                    self.queue
                        .judge(is_right, number, self.consumer, || {
                            format!("{}: {number} has come twice, to {}", self.queue.name, self.consumer)
                        })
                        .await;
                    self.queue.plan.counts.add(Figure::Elements, 1);
                    self.remove(number, true).await;
                    if self.looked.elapsed() > LOOK {
                        self.look().await;
                    }
                }
                Ok(None) => self.look().await,
                Err(_) => {
                    sleep(RETRY_DELAY).await;
                    self.look().await;
                }
            }
        }
    }

    /// Takes what lies in its list, though it was not told of it, or could not remove it.
    async fn look(&mut self) {
        self.looked = Instant::now();
        let found = self.redis.lrange::<_, Vec<u64>>(&self.list, 0, -1).await;
        let Ok(found) = self.queue.plan.tally.noted(found) else {
            return;
        };
        for number in found {
            let is_new = !self.queue.elements().is_taken(number);
            let is_right = self.queue.elements().find(number, self.consumer);
            self.queue
                .judge(is_right, number, self.consumer, || {
                    format!("{}: {number} has come again, into the list of {}", self.queue.name, self.consumer)
                })
                .await;
            self.queue.plan.counts.add(Figure::Elements, u64::from(is_new));
            self.remove(number, false).await;
        }
    }

    /// Removes an element that it has from its list, where it must be, or if `is_there` is false, may be.
    async fn remove(&mut self, number: u64, is_there: bool) {
        let removed = self.redis.lrem::<_, _, u64>(&self.list, 1, number).await;
        match self.queue.plan.tally.noted(removed) {
            Ok(removed) => {
                self.queue.elements().settle(number);
                let what = || format!("{}: {number} has gone from the list of {}", self.queue.name, self.consumer);
                if removed == 0 && is_there && !self.queue.may_have_gone(number, what).await {
                    self.queue.plan.counts.fault(Figure::ElementsLost, 1, what);
                }
            }
            // It is found again if it is still there.
            Err(_) => sleep(RETRY_DELAY).await,
        }
    }
}

/// Waits for an element, each time in another way.
async fn take(redis: &mut EntraRedis, queue: &str, list: &str, turn: usize) -> RedisResult<Option<u64>> {
    let timeout = TIMEOUTS[turn % TIMEOUTS.len()];
    match turn % 3 {
        0 => redis.blmove(queue, list, Direction::Left, Direction::Right, timeout).await,
        1 => redis.blmove(queue, list, Direction::Right, Direction::Left, timeout).await,
        _ => redis.brpoplpush(queue, list, timeout).await,
    }
}

/// Waits for a while, or until the end, once nothing is pushed any more.
async fn drained(stage: &mut tokio::sync::watch::Receiver<Stage>) {
    // It ends with its queue, which the consumer has.
    _ = stage.wait_for(|stage| *stage >= Stage::Draining).await;
    tokio::select! {
        _ = stage.wait_for(|stage| *stage == Stage::Ended) => {}
        () = sleep(LOOK) => {}
    }
}

/// Pops elements.
pub(super) struct Popper {
    queue: Arc<Queue>,
    redis: EntraRedis,
    consumer: usize,
}

impl Popper {
    pub(super) fn new(queue: &Arc<Queue>, redis: &EntraRedis, consumer: usize) -> Self {
        Self { queue: Arc::clone(queue), redis: redis.clone(), consumer }
    }

    pub(super) async fn run(mut self) {
        let mut stage = self.queue.stage.subscribe();
        for turn in self.consumer.. {
            let timeout = TIMEOUTS[turn % TIMEOUTS.len()];
            let queue = &self.queue.name;
            let pop = async {
                match turn % 4 {
                    0 | 1 => self.redis.blpop::<_, Option<(String, u64)>>(queue, timeout).await,
                    _ => self.redis.brpop(queue, timeout).await,
                }
            };
            // Nothing is left then that it could take with it.
            let popped = tokio::select! {
                popped = pop => popped,
                _ = stage.wait_for(|stage| *stage == Stage::Ended) => break,
            };
            match self.queue.plan.tally.noted(popped) {
                Ok(Some((_, number))) => {
                    let is_right = self.queue.elements().take(number, self.consumer);
                    self.queue
                        .judge(is_right, number, self.consumer, || {
                            format!("{queue}: {number} has been popped twice, the second time by {}", self.consumer)
                        })
                        .await;
                    self.queue.elements().settle(number);
                    self.queue.plan.counts.add(Figure::Elements, 1);
                }
                Ok(None) => {}
                Err(kind) => {
                    self.queue.failed_pops.fetch_add(u64::from(kind.may_have_run()), Relaxed);
                    sleep(RETRY_DELAY).await;
                }
            }
        }
    }
}
