//! What is run.

use crate::{
    contenders::Kind,
    runner::{Flavor, Place, Timing},
    workload::Workload,
};
use clap::Parser;
use std::{path::PathBuf, time::Duration};

/// Compares entra-redis with the other Redis clients for Rust, over TLS, in one interleaved run.
#[derive(Parser)]
pub struct Options {
    /// GETs of 64 bytes only, in short windows: under 3 minutes on 2 cores, nothing written, one line of JSON at the
    /// end.
    #[arg(long)]
    quick: bool,
    /// Rounds; in each, every contender has one run at every place. Default 10: many short ones tell more than few long
    /// ones, because what disturbs a machine lasts for seconds.
    #[arg(long)]
    rounds: Option<usize>,
    /// Milliseconds that a run measures. Default 200, with `--quick` 100.
    #[arg(long, value_name = "MS")]
    window: Option<u64>,
    /// Milliseconds that a run warms up before that. Default 60, with `--quick` 30.
    #[arg(long, value_name = "MS")]
    warm_up: Option<u64>,
    /// Numbers of tasks. Default 1, 16, 256 and 2,048; on a cluster without the 1.
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<usize>,
    /// Runtimes. Default both.
    #[arg(long, value_delimiter = ',')]
    runtimes: Vec<Flavor>,
    /// Workloads. Default all, with `--quick` `get`.
    #[arg(long, value_delimiter = ',')]
    workloads: Vec<Workload>,
    /// Only the contenders whose names contain one of these.
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Measures on a cluster of so many nodes instead: GETs of 64 bytes, in slots of all nodes, beside the cluster
    /// clients.
    #[arg(long, value_name = "NODES", num_args = 0..=1, default_missing_value = "3")]
    pub cluster: Option<usize>,
    /// Measures instead what a cluster's nodes cost our side, with each of these numbers of them.
    #[arg(long, value_name = "NODES", value_delimiter = ',', num_args = 0..=1, default_missing_value = "1,3,6,12")]
    pub cost_of_nodes: Vec<usize>,
    /// Leaves out the latencies through rotations, or measures nothing else.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Rotations::Too)]
    rotations: Rotations,
    /// Where the results go. Default `benches/results`.
    #[arg(long, value_name = "DIRECTORY", hide_default_value = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../results"))]
    pub out: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Rotations {
    Too,
    Without,
    Alone,
}

impl Options {
    /// Whether results are written.
    pub fn writes(&self) -> bool {
        !self.quick
    }

    /// Whether the run ends with a line for programs.
    pub fn ends_with_json(&self) -> bool {
        self.quick
    }

    pub fn compares(&self) -> bool {
        self.rotations != Rotations::Alone
    }

    pub fn rotates(&self) -> bool {
        !self.quick && self.cluster.is_none() && self.rotations != Rotations::Without
    }

    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(10)
    }

    pub fn timing(&self) -> Timing {
        let (warm_up, window) = if self.quick { (30, 100) } else { (60, 200) };
        Timing {
            warm_up: Duration::from_millis(self.warm_up.unwrap_or(warm_up)),
            window: Duration::from_millis(self.window.unwrap_or(window)),
        }
    }

    /// Requests of one run of `redis-benchmark`: less than a second's with `--quick`, more than one otherwise.
    pub fn limit_requests(&self) -> u64 {
        if self.quick { 600_000 } else { 2_000_000 }
    }

    pub fn contenders(&self) -> Vec<Kind> {
        let wanted = |kind: &Kind| self.only.is_empty() || self.only.iter().any(|name| kind.name().contains(name));
        let all: &[Kind] = if self.cluster.is_some() { &Kind::ON_CLUSTERS } else { &Kind::ALL };
        all.iter().copied().filter(wanted).collect()
    }

    /// Every workload on every runtime with every number of tasks.
    pub fn places(&self) -> Vec<Place> {
        let workloads: &[Workload] = match self.workloads.as_slice() {
            _ if self.cluster.is_some() => &[Workload::Get],
            [] if self.quick => &[Workload::Get],
            [] => &Workload::ALL,
            chosen => chosen,
        };
        let flavors: &[Flavor] = if self.runtimes.is_empty() { &Flavor::ALL } else { &self.runtimes };
        let tasks: &[usize] = match self.tasks.as_slice() {
            [] if self.cluster.is_some() => &[16, 256, 2048],
            [] => &[1, 16, 256, 2048],
            chosen => chosen,
        };
        let mut places = Vec::new();
        for &workload in workloads {
            for &flavor in flavors {
                places.extend(tasks.iter().map(|&tasks| Place { workload, flavor, tasks }));
            }
        }
        places
    }
}
