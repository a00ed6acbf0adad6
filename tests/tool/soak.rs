//! The workloads of `soak` beside the plain one: through chaos they find no fault, and each finds one that is there.

use common::{
    Azure, SECOND,
    child::{self, Run, Variables},
    cmd, direct, eventually, logs, owner,
};
use entra_redis::{
    EntraRedis,
    emulator::{Cluster, Emulator, EmulatorBuilder},
};
use redis::{AsyncCommands, FromRedisValue};
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// Each workload, what it counts, and what it must not.
const WORKLOADS: [(&str, &str, &[&str]); 4] = [
    ("pubsub", "messages", &["messages_missing", "messages_twice", "messages_out_of_order"]),
    ("blocking", "elements", &["elements_lost", "elements_twice"]),
    ("transactions", "transactions", &["wrong_counts"]),
    ("cached", "cached_reads", &["stale_reads"]),
];

fn figure(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("no {name}: {report}"))
}

fn assert_clean(run: &Run, workloads: &[&str]) {
    let report = run.json();
    assert_eq!(run.code, Some(0), "{workloads:?}: {report} {}", run.complaint);
    assert_eq!(report["workloads"], serde_json::json!([&["plain"], workloads].concat()));
    let is_cached = workloads.contains(&"cached");
    assert_eq!(figure(&report, "cache_hits") > 0, is_cached, "{report}");
    assert_eq!(report["hit_ratio"].as_f64() > Some(0.0), is_cached, "{report}");
    for (name, counted, faults) in WORKLOADS {
        assert_eq!(figure(&report, counted) > 0, workloads.contains(&name), "{counted}: {report}");
        for fault in faults {
            assert_eq!(figure(&report, fault), 0, "{fault}: {report}");
        }
    }
    for none in ["wrong_reads", "unexplained_errors", "tasks_end"] {
        assert_eq!(report[none], 0, "{none}: {report}");
    }
    assert!(report["first_fault"].is_null() && report["recovered"] == true, "{report}");
}

/// All workloads beside the plain one for some seconds, against an emulator that does its worst.
async fn through_chaos(redis: &[&str]) {
    let emulator = [&["emulator", "--chaos", "--seed", "25", "--token-lifetime", "2"], redis].concat();
    let emulator = child::start(&emulator, "# export AZURE_AUTHORITY_HOST=https://").await;
    let variables = emulator.exported();
    let secret = variables.iter().find(|(name, _)| *name == "AZURE_CLIENT_SECRET").unwrap();
    logs::forbid(&secret.1);
    let plain = ["soak", "--chaos", "--seconds", "10", "--tasks", "2", "--command-timeout", "2000", "--json"];
    let options = WORKLOADS.map(|(workload, ..)| format!("--{workload}"));
    let arguments: Vec<_> = plain.into_iter().chain(options.iter().map(String::as_str)).collect();
    let run = child::tool(&arguments, &variables).await;
    assert_clean(&run, &WORKLOADS.map(|(workload, ..)| workload));
    assert_eq!(emulator.interrupt().await, Some(0));
}

#[tokio::test]
async fn through_chaos_no_workload_finds_a_fault() {
    through_chaos(&["--redis-server"]).await;
}

#[tokio::test]
async fn through_chaos_on_a_cluster_no_workload_finds_a_fault() {
    // Without replicas: on a busy machine they would take over from primaries that stand still, and lose writes with
    // that.
    through_chaos(&["--cluster", "3"]).await;
}

/// A replica takes the place of a primary that has died, and does not have what that has acknowledged in its last half
/// second: the connection between the two was down.
async fn lossy_failover(cluster: &Cluster, node: usize) {
    let replica =
        cluster.nodes().await.unwrap().into_iter().find(|other| other.role.replica_of() == Some(node)).unwrap().index;
    let mut con = direct(cluster, replica).await;
    for (setting, value) in [("masteruser", "nobody"), ("masterauth", "nothing")] {
        let _: () = redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).query_async(&mut con).await.unwrap();
    }
    let mut con = direct(cluster, node).await;
    let _: u64 = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("replica").query_async(&mut con).await.unwrap();
    tokio::time::sleep(SECOND / 2).await;
    cluster.kill(node).await.unwrap();
    cluster.promoted(node).await.unwrap();
    cluster.restart(node).await.unwrap();
}

/// Workloads for some seconds on a cluster with replicas, which take over after such a time, while `meddle` goes on;
/// what came of it.
async fn on_replicas(node_timeout: Duration, workloads: &[&str], meddle: impl AsyncFnOnce(&Cluster)) -> Run {
    let _one_of_two = AT_ONCE.acquire().await.unwrap();
    let builder = Emulator::builder().token_lifetime(2 * SECOND).cluster(3).replicas(1).node_timeout(node_timeout);
    let cache = Cache::on(builder).await;
    let cluster = cache.emulator.cluster().unwrap().clone();
    let mut arguments =
        vec!["soak", "--chaos", "--seconds", "10", "--tasks", "2", "--command-timeout", "2000", "--json"];
    let options: Vec<_> = workloads.iter().map(|workload| format!("--{workload}")).collect();
    arguments.extend(options.iter().map(String::as_str));
    let meddle = async {
        underway(&cluster).await;
        meddle(&cluster).await;
    };
    tokio::join!(child::tool(&arguments, &cache.variables), meddle).0
}

/// More clusters at once, and nodes that are only late would be taken for failed.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// A busy machine does not stop a node for so long.
const PATIENT: Duration = Duration::from_secs(15);

/// Waits until the plain load has written for some time.
async fn underway(cluster: &Cluster) {
    eventually("the load goes on", 30 * SECOND, async || {
        let mut con = direct(cluster, owner(cluster, 8_000).await).await;
        let stats: String = cmd("INFO commandstats").query_async(&mut con).await.ok()?;
        let writes = stats.lines().find_map(|line| line.strip_prefix("cmdstat_setex:calls="))?;
        writes.split(',').next()?.parse::<u64>().ok().filter(|writes| *writes > 100)
    })
    .await;
}

/// Of a primary that hands over nothing may be lost: nothing needs an excuse. Then one stands still while its replica
/// takes its place, and goes on as if it were a primary yet when it can.
#[tokio::test]
async fn through_failovers_no_workload_finds_a_fault() {
    let all = WORKLOADS.map(|(workload, ..)| workload);
    let run = on_replicas(PATIENT, &all, async |cluster| _ = cluster.fail_over(2).await.unwrap()).await;
    assert_failed_over(&run, &all);
    assert_eq!(figure(&run.json(), "excused"), 0, "{}", run.json());
    let run = on_replicas(SECOND, &all, async |cluster| {
        // On a busy machine a replica may have taken over already.
        let node = owner(cluster, 0).await;
        cluster.freeze(node).await.unwrap();
        cluster.promoted(node).await.unwrap();
        cluster.thaw(node).await.unwrap();
    })
    .await;
    assert_failed_over(&run, &all);
}

/// It is clean, though one of the three nodes that it used gave way to another one meanwhile.
fn assert_failed_over(run: &Run, workloads: &[&str]) {
    assert_clean(run, workloads);
    assert!(figure(&run.json(), "nodes") >= 4, "{}", run.json());
}

/// What Redis has lost, and says that it may, is excused: it is seen, and it is no fault.
async fn what_a_replica_has_not_had_is_excused(workload: &str) {
    // All three, so that it is the keys of each workload.
    let run = on_replicas(SECOND, &[workload], async |cluster| {
        for node in 0..3 {
            lossy_failover(cluster, node).await;
        }
    })
    .await;
    assert_clean(&run, &[workload]);
    let report = run.json();
    assert!(figure(&report, "excused") > 0, "{report}");
    assert!(report["first_excused"].as_str().is_some_and(|what| what.contains("soak:")), "{report}");
}

#[tokio::test]
async fn elements_that_a_replica_has_not_had_are_excused() {
    what_a_replica_has_not_had_is_excused("blocking").await;
}

#[tokio::test]
async fn transactions_that_a_replica_has_not_had_are_excused() {
    what_a_replica_has_not_had_is_excused("transactions").await;
}

#[tokio::test]
async fn values_that_a_replica_has_not_had_are_excused() {
    what_a_replica_has_not_had_is_excused("cached").await;
}

/// A replica takes the place of one primary; in the same moment values of another one go back.
#[tokio::test]
async fn what_is_lost_elsewhere_at_the_time_of_a_failover_is_found() {
    let run = on_replicas(PATIENT, &["cached"], async |cluster| {
        let mut con = direct(cluster, 1).await;
        let key = eventually("a key of this node's has been written some times", 30 * SECOND, async || {
            // One of sixteen keys is there, as good as certainly.
            let keys: Vec<String> = con.keys("soak:*:cached:*").await.ok()?;
            for key in keys {
                if con.get::<_, Option<u64>>(&key).await.ok()? > Some(5) {
                    return Some(key);
                }
            }
            None
        })
        .await;
        cluster.fail_over(0).await.unwrap();
        let _: () = con.set(key, 1).await.unwrap();
    })
    .await;
    let report = run.json();
    assert_eq!(run.code, Some(1), "{report} {}", run.complaint);
    assert!(figure(&report, "stale_reads") > 0 && figure(&report, "unexplained_errors") == 0, "{report}");
}

/// The emulator on a real redis-server, and the variables that lead to it.
struct Cache {
    emulator: Azure,
    variables: Variables,
    _dir: TempDir,
}

impl Cache {
    async fn start() -> Self {
        Self::on(Emulator::builder().redis_server()).await
    }

    async fn on(builder: EmulatorBuilder) -> Self {
        let emulator = common::start(builder).await;
        let dir = tempfile::tempdir().unwrap();
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, emulator.ca_pem()).unwrap();
        let mut variables = emulator.env();
        variables.push(("REDIS_CA_CERT", ca_file.display().to_string()));
        Self { emulator, variables, _dir: dir }
    }

    /// Runs one workload, and does `meddle` meanwhile.
    async fn soak(&self, option: &str, meddle: impl AsyncFnOnce(EntraRedis)) -> Run {
        let arguments = ["soak", "--seconds", "5", "--tasks", "1", "--recovery", "3", "--json", option];
        let soak = child::tool(&arguments, &self.variables);
        let redis = self.emulator.connect(self.emulator.config()).await;
        tokio::join!(soak, meddle(redis)).0
    }
}

/// What a command gives at last.
async fn at_last<T: FromRedisValue>(redis: &EntraRedis, line: &str, is_it: impl Fn(&T) -> bool) -> T {
    let mut words = line.split(' ');
    let mut cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    eventually(line, 10 * SECOND, async || cmd.query_async(&mut redis.clone()).await.ok().filter(&is_it)).await
}

/// The name of a key or channel of the soak's.
async fn name(redis: &EntraRedis, command: &str) -> String {
    at_last(redis, command, |names: &Vec<String>| !names.is_empty()).await.swap_remove(0)
}

/// It has counted this fault, says what it was, and ends with the status of a failure.
fn assert_found(run: &Run, fault: &str, said: &str) {
    let report = run.json();
    assert_eq!(run.code, Some(1), "{report} {}", run.complaint);
    assert!(figure(&report, fault) > 0, "{report}");
    assert!(report["first_fault"].as_str().unwrap().contains(said), "{report}");
    assert_eq!(report["errors"], 0, "{report}");
}

#[tokio::test]
async fn a_message_that_comes_again_is_found() {
    let cache = Cache::start().await;
    let run = cache
        .soak("--pubsub", async |mut redis| {
            let channel = name(&redis, "PUBSUB CHANNELS soak:*:news:*").await;
            // The first of the numbers has been sent by the second time.
            for _ in 0..2 {
                at_last(&redis, &format!("PUBLISH {channel} 1"), |receivers: &u64| *receivers > 0).await;
            }
            _ = redis.publish::<_, _, u64>(&channel, "nonsense").await;
        })
        .await;
    assert_found(&run, "messages_twice", "twice");
}

#[tokio::test]
async fn an_element_that_somebody_steals_or_doubles_is_found() {
    let cache = Cache::start().await;
    let run = cache
        .soak("--blocking", async |mut redis| {
            let list = name(&redis, "KEYS {soak:*:moved:*}:queue*").await;
            let queue = list[..list.find("}:queue").unwrap() + "}:queue".len()].to_owned();
            let _: Option<(String, u64)> = redis.blpop(queue, 5.0).await.unwrap();
        })
        .await;
    assert_found(&run, "elements_lost", "nobody got");
    let run = cache
        .soak("--blocking", async |mut redis| {
            let list = name(&redis, "KEYS {soak:*:popped:*}:queue").await;
            let _: u64 = redis.rpush(list, 0).await.unwrap();
        })
        .await;
    assert_found(&run, "elements_twice", "twice");
}

#[tokio::test]
async fn a_count_that_somebody_changes_is_found() {
    let cache = Cache::start().await;
    let run = cache
        .soak("--transactions", async |mut redis| {
            let count = name(&redis, "KEYS {soak:*}:count").await;
            let _: u64 = redis.incr(count, 1).await.unwrap();
        })
        .await;
    assert_found(&run, "wrong_counts", ":count: ");
}

#[tokio::test]
async fn a_value_that_goes_back_is_found() {
    let cache = Cache::start().await;
    let run = cache
        .soak("--cached", async |mut redis| {
            let key = name(&redis, "KEYS soak:*:cached:*").await;
            at_last(&redis, &format!("GET {key}"), |value: &u64| *value > 5).await;
            let _: () = redis.set(key, 1).await.unwrap();
        })
        .await;
    assert_found(&run, "stale_reads", "was known");
}
