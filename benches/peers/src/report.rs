//! The results for people and for programs.

use crate::{
    charts,
    contenders::Kind,
    cost::Cost,
    figures::Figures,
    options::Options,
    results::{Comparison, Results},
    rotation::Scenario,
    runner::{Flavor, Place},
    server,
    target::{Outcome, text},
    workload::Workload,
};
use serde_json::{Map, Value, json};
use std::{fs, path::Path, thread};

/// Everything, as text.
pub fn table(results: &Results) {
    for place in results.places() {
        println!("\n{}; {}; {}", place.workload.title(), place.flavor.title(), tasks(place.tasks));
        println!(
            "{:34} {:>11} {:>9} {:>9} {:>10} {:>11}",
            "", "commands/s", "p50 µs", "p99 µs", "p99.9 µs", "CPU µs/cmd"
        );
        let mut rows = results.at(place);
        rows.sort_by(|(_, a), (_, b)| b.per_second.total_cmp(&a.per_second));
        for (kind, figures) in rows {
            let mark = if kind == Kind::OURS { "* " } else { "  " };
            let large = figures.large_per_second.map(|rate| format!("   {rate:.0} large/s")).unwrap_or_default();
            println!(
                "{mark}{:32} {:>11.0} {:>9.1} {:>9.1} {:>10.1} {:>11.2}{large}",
                kind.name(),
                figures.per_second,
                figures.p50_us,
                figures.p99_us,
                figures.p999_us,
                figures.cpu_us
            );
        }
        println!("  {}", in_words(results.compare(place)));
    }
    if let (Some(limit), Some(ratio)) = (results.limit(), results.vs_limit()) {
        println!("\nredis-benchmark -c 4 -P 64: {limit:.0} GET/s; entra-redis, at its best, {ratio:.2} of that");
    }
}

fn tasks(tasks: usize) -> String {
    if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") }
}

fn in_words(comparison: Comparison) -> String {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "?".to_owned(), |ratio| format!("{ratio:.2}"));
    let (name, manager) = match comparison.vs_cluster_connection {
        Some(_) => ("ClusterConnection", comparison.vs_cluster_connection),
        None => ("ConnectionManager", comparison.vs_connection_manager),
    };
    format!(
        "ours / {name} {}; ours / best peer: throughput {}, p99 {}, CPU {}",
        ratio(manager),
        ratio(comparison.vs_best_peer),
        ratio(comparison.p99_vs_best_peer),
        ratio(comparison.cpu_vs_best_peer),
    )
}

/// The GETs, on one line.
pub fn one_line(results: &Results) -> Value {
    let mut line = Map::new();
    for flavor in Flavor::ALL {
        let here = |place: &Place| place.workload == Workload::Get && place.flavor == flavor;
        let by_tasks = results.places().into_iter().filter(here);
        let by_tasks: Map<_, _> =
            by_tasks.map(|place| (place.tasks.to_string(), json!(results.compare(place)))).collect();
        line.insert(flavor.key().to_owned(), Value::Object(by_tasks));
    }
    if let Some(ratio) = results.vs_limit() {
        line.insert("vs_redis_benchmark".to_owned(), json!(ratio));
    }
    Value::Object(line)
}

/// The figures and the charts of throughput.
pub fn write_results(results: &Results, options: &Options) -> Outcome<()> {
    let runs: Vec<_> = results.places().into_iter().flat_map(|place| runs_at(results, place)).collect();
    let timing = options.timing();
    let document = json!({
        "settings": {
            "rounds": options.rounds(),
            "warm_up_s": timing.warm_up.as_secs_f64(),
            "window_s": timing.window.as_secs_f64(),
            "cores": thread::available_parallelism().map_or(0, usize::from),
            "redis_server": server::version()?,
            "nodes": options.cluster,
        },
        "summary": one_line(results),
        "redis_benchmark_per_second": results.limit(),
        "runs": runs,
    });
    let name = if options.cluster.is_some() { "cluster" } else { "throughput" };
    write_json(&document, &options.out.join(format!("{name}.json")))?;
    for flavor in Flavor::ALL {
        let path = options.out.join(format!("{name}-{}.svg", flavor.key()));
        charts::throughput(results, flavor, options.cluster, &path)?;
    }
    Ok(())
}

fn runs_at(results: &Results, place: Place) -> Vec<Value> {
    let row = |(kind, figures): (Kind, Figures)| {
        json!({
            "workload": place.workload.key(),
            "runtime": place.flavor.key(),
            "tasks": place.tasks,
            "client": kind.name(),
            "medians": figures,
        })
    };
    results.at(place).into_iter().map(row).collect()
}

/// The latencies through rotations, and their charts.
pub fn write_rotations(scenarios: &[Scenario], out: &Path) -> Outcome<()> {
    write_json(&json!(scenarios), &out.join("rotation.json"))?;
    for scenario in scenarios {
        charts::latency(scenario, &out.join(format!("rotation-{}.svg", scenario.key)))?;
    }
    Ok(())
}

/// What the nodes of a cluster cost.
pub fn write_nodes(costs: &[Cost], options: &Options) -> Outcome<()> {
    println!("{:>6} {:>11} {:>11} {:>13}", "nodes", "commands/s", "CPU µs/cmd", "KiB per node");
    for cost in costs {
        println!("{:>6} {:>11.0} {:>11.2} {:>13.0}", cost.nodes, cost.per_second, cost.cpu_us, cost.kib_per_node);
    }
    write_json(&json!(costs), &options.out.join("nodes.json"))
}

fn write_json(document: &Value, path: &Path) -> Outcome<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(text)?;
    }
    fs::write(path, format!("{document:#}\n")).map_err(|error| format!("{}: {error}", path.display()))
}
