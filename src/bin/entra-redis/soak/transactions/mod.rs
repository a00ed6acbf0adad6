//! Counters that several tasks raise by optimistic transactions, each of which writes its name into a log with it: the
//! count, the log and what the tasks know of it have to agree.

mod log;

use super::{
    counts::Figure,
    plan::{Plan, RETRY_DELAY},
    servers::{Loss, Servers, cover},
};
use entra_redis::{EntraRedis, Error, ErrorKind};
use log::Log;
use redis::{AsyncCommands, RedisResult};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

const COUNTERS: usize = 4;

/// Each of them raises all of the counters in turn, so that they meet.
const TASKS: usize = 8;

/// Between two transactions of one task.
const PAUSE: Duration = Duration::from_millis(20);

/// So much of a log is read at once.
const PART: isize = 1_000;

struct Counter {
    plan: Arc<Plan>,
    /// On a cluster, the braces keep both keys of a transaction on one node.
    count: String,
    names: String,
    log: Mutex<Log>,
}

impl Counter {
    fn new(plan: &Arc<Plan>, at: usize) -> Arc<Self> {
        let key = |what: &str| format!("{{soak:{:x}:counter:{at}}}:{what}", plan.run);
        let log = Mutex::new(Log::new(TASKS));
        Arc::new(Self { plan: Arc::clone(plan), count: key("count"), names: key("log"), log })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrong(&self, how_many: u64, what: impl FnOnce() -> String) {
        self.plan.counts.fault(Figure::WrongCounts, how_many, || format!("{}: {}", self.count, what()));
    }

    /// Raises the count by one.
    async fn raise(&self, redis: &EntraRedis, task: usize) {
        let name = format!("{task}:{}", self.log().next(task));
        let (count, names) = (self.count.clone(), self.names.clone());
        let expiry = i64::try_from(self.plan.expiry_seconds).unwrap_or(i64::MAX);
        let raised: RedisResult<(u64, u64)> = redis
            .transaction(&[&self.count, &self.names], async move |con, pipe| {
                let before: u64 = con.get::<_, Option<u64>>(&count).await?.unwrap_or(0);
                pipe.set(&count, before + 1).ignore().rpush(&names, &name);
                pipe.expire(&count, expiry).ignore().expire(&names, expiry).ignore();
                let done: Option<(u64,)> = pipe.query_async(con).await?;
                Ok(done.map(|(length,)| (before, length)))
            })
            .await;
        let did_nothing = raised.as_ref().err().and_then(Error::kind_of).is_some_and(|kind| {
            // What they say.
            matches!(kind, ErrorKind::Interrupted | ErrorKind::Conflict)
        });
        match self.plan.tally.noted(raised) {
            Ok((before, length)) => {
                self.log().committed(task);
                self.plan.counts.add(Figure::Transactions, 1);
                self.wrong(u64::from(length != before + 1), || {
                    format!("a transaction that read {before} was number {length} that was committed")
                });
            }
            Err(kind) => {
                if kind.may_have_run() && !did_nothing {
                    self.log().perhaps_committed(task);
                }
                sleep(RETRY_DELAY).await;
            }
        }
    }

    /// Compares the count, the log, and what is known; whether they could be read.
    async fn compare(&self, redis: &EntraRedis, servers: &Servers) -> bool {
        let mut both = redis::pipe();
        both.atomic().get(&self.count).llen(&self.names);
        let both = self.plan.at_last(|| {
            let (both, mut con) = (&both, redis.clone());
            async move { both.query_async::<(Option<u64>, u64)>(&mut con).await }
        });
        let Some((count, length)) = both.await else {
            return false;
        };
        let count = count.unwrap_or(0);
        self.wrong(u64::from(count != length), || format!("{count}, with {length} transactions committed"));
        let mut comparison = self.log().comparison();
        let mut read = 0;
        while read < length {
            let from = isize::try_from(read).unwrap_or(isize::MAX);
            let part = || {
                let mut con = redis.clone();
                async move { con.lrange::<_, Vec<String>>(&self.names, from, from + PART - 1).await }
            };
            match self.plan.at_last(part).await {
                None => return false,
                // It has vanished meanwhile, which the comparison tells.
                Some(part) if part.is_empty() => break,
                Some(part) => {
                    read += part.len() as u64;
                    for name in &part {
                        comparison.name(name);
                    }
                }
            }
        }
        let (disagreement, missing) = comparison.end();
        if disagreement.total() > 0 {
            // What is lost does not come twice.
            let explains = |losses: &[Loss]| {
                disagreement.total() == disagreement.missing && missing.iter().all(|moment| cover(losses, *moment))
            };
            let what = || format!("{count}, and {disagreement:?}");
            if !servers.excuse(&self.count, explains, || format!("{}: {}", self.count, what())).await {
                self.wrong(disagreement.total(), what);
            }
        }
        true
    }
}

/// Until the end of the run; whether all counters could be read in the end.
pub(super) async fn run(plan: Arc<Plan>, redis: EntraRedis, servers: Servers) -> bool {
    let counters: Arc<[_]> = (0..COUNTERS).map(|at| Counter::new(&plan, at)).collect();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (plan, redis, counters) = (Arc::clone(&plan), redis.clone(), Arc::clone(&counters));
        tasks.spawn(async move {
            for turn in 0.. {
                if plan.is_over() {
                    break;
                }
                counters[turn % COUNTERS].raise(&redis, task).await;
                sleep(PAUSE).await;
            }
        });
    }
    _ = tasks.join_all().await;
    let mut were_read = true;
    for counter in counters.iter() {
        were_read &= counter.compare(&redis, &servers).await;
    }
    were_read
}
