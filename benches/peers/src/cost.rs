//! What the nodes of a cluster cost our side: CPU time of a command, memory of a node.

use crate::{
    cluster::Cluster,
    contenders::{Kind, ours},
    options::Options,
    report,
    runner::{self, Flavor, Place},
    target::{Outcome, Target, text},
    workload::Workload,
};
use serde::{Deserialize, Serialize};
use std::{env, fs, process::Command};

const TASKS: usize = 256;

/// Handles whose memory is measured together: there is more in a process than them.
const HANDLES: usize = 20;

/// The medians of all rounds, with so many nodes.
#[derive(Serialize, Deserialize)]
pub struct Cost {
    pub nodes: usize,
    pub per_second: f64,
    pub cpu_us: f64,
    /// Resident memory of a handle for each node, with its default pool and nothing in flight.
    pub kib_per_node: f64,
}

/// Each number of nodes in a process of its own: memory that was in use once is used again.
pub fn run(options: &Options) -> Outcome<()> {
    if let [nodes] = options.cost_of_nodes[..] {
        println!("{}", serde_json::to_string(&of(nodes, options)?).map_err(text)?);
        return Ok(());
    }
    let mut costs = Vec::new();
    for nodes in &options.cost_of_nodes {
        let mut command = Command::new(env::current_exe().map_err(text)?);
        command.arg(format!("--cost-of-nodes={nodes}")).args(other_arguments());
        let output = command.output().map_err(text)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        costs.push(serde_json::from_slice(&output.stdout).map_err(text)?);
    }
    report::write_nodes(&costs, options)
}

/// Those of this process but for the numbers of nodes, which may be an argument of their own.
fn other_arguments() -> Vec<String> {
    let mut others = Vec::new();
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--cost-of-nodes" {
            arguments.next();
        } else if !argument.starts_with("--cost-of-nodes=") {
            others.push(argument);
        }
    }
    others
}

fn of(nodes: usize, options: &Options) -> Outcome<Cost> {
    let cluster = Cluster::start(nodes)?;
    let kib_per_node = memory(&cluster.target)?;
    runner::prepare(&cluster.target)?;
    let place = Place { workload: Workload::Get, flavor: Flavor::CurrentThread, tasks: TASKS };
    let runs = (0..options.rounds()).map(|_| runner::run(Kind::OURS, &cluster.target, place, options.timing()));
    let runs = runs.collect::<Outcome<Vec<_>>>()?;
    let median = crate::figures::Figures::median(&runs).ok_or("there was no round")?;
    Ok(Cost { nodes, per_second: median.per_second, cpu_us: median.cpu_us, kib_per_node })
}

fn memory(target: &Target) -> Outcome<f64> {
    Flavor::CurrentThread.runtime()?.block_on(async {
        // The first one finds what a process has only once.
        let mut handles = vec![ours::connect_whole(target).await?];
        let before = resident_kib()?;
        for _ in 0..HANDLES {
            handles.push(ours::connect_whole(target).await?);
        }
        Ok((resident_kib()? - before) / (HANDLES * target.nodes) as f64)
    })
}

fn resident_kib() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status").map_err(text)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    line.trim().trim_end_matches("kB").trim().parse().map_err(text)
}
