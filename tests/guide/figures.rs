//! Figures of speed are those of the last full run of the benches.

use crate::page::{Page, read};
use serde_json::Value;

const TASKS: [&str; 4] = ["1", "16", "256", "2048"];

/// A row's figures, compared with those under this key of the runtime's summary.
fn compare(page: &Page, row: &[&str], summary: &Value, runtime: &str, key: &str) {
    let tasks = &TASKS[TASKS.len() - (row.len() - 1)..];
    for (shown, tasks) in row[1..].iter().zip(tasks) {
        let measured = summary[runtime][tasks][key].as_f64().unwrap_or_else(|| panic!("{runtime} {tasks} {key}"));
        let shown: f64 = shown.parse().unwrap();
        // Two digits are shown of three.
        assert!((shown - measured).abs() < 0.0051, "{}: {row:?}: {tasks} tasks: {measured}", page.path.display());
    }
}

/// The rows of a table: the first ones of the multi-thread runtime, as many of the current-thread one, by these keys.
fn compare_table(page: &Page, head: &str, results: &str, keys: &[&str]) {
    let results: Value = serde_json::from_str(&read(format!("benches/results/{results}"))).unwrap();
    let rows = page.table(head);
    assert_eq!(rows.len(), 2 * keys.len(), "{head}");
    for (runtime, rows) in ["mt", "ct"].into_iter().zip(rows.chunks(keys.len())) {
        let name = if runtime == "mt" { "multi-thread" } else { "current-thread" };
        assert!(rows[0][0].starts_with(name), "{:?}", rows[0]);
        for (row, key) in rows.iter().zip(keys) {
            compare(page, row, &results["summary"], runtime, key);
        }
    }
}

#[test]
fn the_tables_are_those_of_the_last_run() {
    let performance = Page::open("src/guide/performance.md");
    let one = "| tasks that share the client | 1 | 16 | 256 | 2,048 |";
    compare_table(&performance, one, "throughput.json", &["vs_best_peer", "p99_vs_best_peer", "cpu_vs_best_peer"]);
    let head = "| tasks that share the client | 16 | 256 | 2,048 |";
    compare_table(&performance, head, "cluster.json", &["vs_cluster_connection", "vs_best_other", "p99_vs_best_peer"]);
    compare_table(&Page::open("README.md"), head, "throughput.json", &["vs_best_peer", "p99_vs_best_peer"]);
}

/// Our throughput in this workload of `throughput.json`, divided by that of the best other client.
fn to_best_peer(results: &Value, workload: &str, runtime: &str, tasks: &str) -> f64 {
    let runs = results["runs"].as_array().unwrap();
    let tasks: u64 = tasks.parse().unwrap();
    let is_one = |run: &&Value| run["workload"] == workload && run["runtime"] == runtime && run["tasks"] == tasks;
    let per_second = |run: &Value| run["medians"]["per_second"].as_f64().unwrap();
    let ours = runs.iter().filter(is_one).find(|run| run["client"] == "entra-redis").map(per_second).unwrap();
    let peers = runs.iter().filter(is_one).filter(|run| !run["client"].as_str().unwrap().starts_with("entra-redis"));
    ours / peers.map(per_second).max_by(f64::total_cmp).unwrap()
}

#[test]
fn the_workloads_are_those_of_the_last_run_and_nobody_is_faster_in_any() {
    let results: Value = serde_json::from_str(&read("benches/results/throughput.json")).unwrap();
    let head = "| workload, and tasks that share the client | 1 | 16 | 256 | 2,048 |";
    let page = Page::open("src/guide/performance.md");
    let rows = page.table(head);
    let workloads = ["set", "mixed", "pipeline", "beside-large"];
    assert_eq!(rows.len(), 2 * workloads.len());
    for (runtime, rows) in ["mt", "ct"].into_iter().zip(rows.chunks(workloads.len())) {
        for (row, workload) in rows.iter().zip(workloads) {
            for (shown, tasks) in row[1..].iter().zip(TASKS) {
                let measured = to_best_peer(&results, workload, runtime, tasks);
                let shown: f64 = shown.parse().unwrap();
                assert!((shown - measured).abs() < 0.0051, "{row:?}: {tasks} tasks: {measured}");
                assert!(
                    measured >= 1.0,
                    "the page says that nobody is faster: {workload}, {runtime}, {tasks} tasks: {measured}"
                );
            }
        }
    }
    for runtime in ["mt", "ct"] {
        assert!(TASKS.iter().all(|tasks| to_best_peer(&results, "get", runtime, tasks) >= 1.0), "{runtime}");
    }
}
