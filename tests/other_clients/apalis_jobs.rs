//! apalis-redis over our handle, which is the connection that it is generic over.

use super::{TOKENS, cluster, single, start};
use apalis::prelude::*;
use apalis_redis::RedisStorage;
use common::{SECOND, by_ratio, eventually};
use entra_redis::{EntraRedis, emulator::EmulatorBuilder};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

#[derive(Debug, Serialize, Deserialize)]
struct Job {
    number: u32,
}

/// How often each job was run.
type Runs = Arc<Mutex<BTreeMap<u32, u32>>>;

async fn run(job: Job, runs: Data<Runs>) -> Result<(), BoxDynError> {
    *runs.lock().unwrap().entry(job.number).or_default() += 1;
    Ok(())
}

async fn jobs_through_rotations(builder: EmulatorBuilder) {
    let (azure, _) = start(builder).await;
    let redis: EntraRedis = azure.connect(azure.config().token_manager(by_ratio(0.5))).await;
    let runs = Runs::default();
    // On a cluster all keys of a script have to be in one slot: those of the queue, and the one list of all queues.
    let config = apalis_redis::Config::default().queue("{core:apalis:queues:list}:jobs");
    let storage = RedisStorage::<Job, EntraRedis>::new(redis.clone()).with_config(config);

    let worker = WorkerBuilder::new("worker").backend(storage.clone()).data(Arc::clone(&runs)).build(run);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = tokio::spawn(worker.run_until(async move {
        _ = stopped.await;
        Ok::<_, std::io::Error>(())
    }));

    let (mut producer, mut pushed) = (storage, 0);
    while azure.identity().requests() < TOKENS {
        producer.push(Job { number: pushed }).await.unwrap();
        pushed += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A worker that fails ends.
    assert!(!worker.is_finished(), "{:?}", worker.await);
    eventually("all jobs have run", 30 * SECOND, async || {
        (runs.lock().unwrap().len() == pushed as usize).then_some(())
    })
    .await;
    stop.send(()).unwrap();
    worker.await.unwrap().unwrap();

    assert!(pushed > 300, "{pushed}");
    assert!(runs.lock().unwrap().values().all(|&runs| runs == 1), "{runs:?}");
    let counters = redis.manager().counters();
    assert!(counters.rotations >= 3, "{counters:?}");
    assert_eq!((counters.reconnects, counters.reauth_failures), (0, 0), "{counters:?}");
    let stats = super::seen(&azure);
    assert_eq!((stats.expired, stats.rejected), (0, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_runs_once_through_rotations() {
    jobs_through_rotations(single()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_does_on_a_cluster() {
    jobs_through_rotations(cluster()).await;
}
