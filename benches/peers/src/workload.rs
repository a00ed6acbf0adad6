//! What the tasks do.

use crate::{contenders::Contender, target::Outcome};
use bytes::Bytes;
use clap::ValueEnum;

pub const SMALL_KEY: &str = "bench:small";
const LARGE_KEY: &str = "bench:large";

const SMALL: usize = 64;
const WRITTEN: usize = 1 << 10;
const LARGE: usize = 1 << 20;
const PIPELINE: usize = 10;

/// Keys that are read in turn on a cluster, so that all nodes have the same to do.
const SPREAD_KEYS: usize = 96;

/// The keys of small values: on a cluster many, in slots of all nodes.
fn small_keys(on_cluster: bool) -> Vec<String> {
    if !on_cluster {
        return vec![SMALL_KEY.to_owned()];
    }
    (0..SPREAD_KEYS).map(|number| format!("{SMALL_KEY}:{number}")).collect()
}

fn filled(length: usize) -> Bytes {
    Bytes::from(vec![b'x'; length])
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Workload {
    /// GET of 64 bytes.
    Get,
    /// SET of 1 KiB, each task its own key.
    Set,
    /// Four GETs of 64 bytes, then a SET of 1 KiB.
    Mixed,
    /// Pipelines of ten GETs of 64 bytes.
    Pipeline,
    /// GET of 64 bytes, on a handle on which 8 more tasks GET 1 MiB.
    BesideLarge,
}

/// Tasks that read the large value, beside those that are measured.
pub const LARGE_READERS: usize = 8;

impl Workload {
    pub const ALL: [Self; 5] = [Self::Get, Self::Set, Self::Mixed, Self::Pipeline, Self::BesideLarge];

    pub fn key(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Mixed => "mixed",
            Self::Pipeline => "pipeline",
            Self::BesideLarge => "beside-large",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Get => "GET of 64 B",
            Self::Set => "SET of 1 KiB",
            Self::Mixed => "80 % GET of 64 B, 20 % SET of 1 KiB",
            Self::Pipeline => "pipelines of 10 GETs of 64 B",
            Self::BesideLarge => "GET of 64 B beside 8 tasks that GET 1 MiB",
        }
    }

    /// Commands in one step of a task.
    pub fn commands(self) -> usize {
        match self {
            Self::Pipeline => PIPELINE,
            _ => 1,
        }
    }
}

/// One task's share of a workload.
pub struct Task {
    workload: Workload,
    keys: Vec<String>,
    /// Where among the keys it begins.
    start: usize,
    written_key: String,
    written: Bytes,
}

impl Task {
    pub fn new(workload: Workload, on_cluster: bool, task: usize) -> Self {
        let keys = small_keys(on_cluster);
        Self { workload, keys, start: task, written_key: format!("bench:written:{task}"), written: filled(WRITTEN) }
    }

    pub async fn step<C: Contender>(&self, client: &mut C, turn: usize) -> Outcome<()> {
        match self.workload {
            Workload::Set => client.set(&self.written_key, &self.written).await,
            Workload::Mixed if turn % 5 == 4 => client.set(&self.written_key, &self.written).await,
            Workload::Pipeline => right_length(client.get_many(SMALL_KEY, PIPELINE).await?, PIPELINE * SMALL),
            Workload::Get | Workload::Mixed | Workload::BesideLarge => {
                let key = &self.keys[(self.start + turn) % self.keys.len()];
                right_length(client.get(key).await?, SMALL)
            }
        }
    }
}

/// Stores what is read.
pub async fn store<C: Contender>(client: &mut C) -> Outcome<()> {
    client.set(SMALL_KEY, &filled(SMALL)).await?;
    client.set(LARGE_KEY, &filled(LARGE)).await
}

/// The same on a cluster.
pub async fn store_spread<C: Contender>(client: &mut C) -> Outcome<()> {
    for key in small_keys(true) {
        client.set(&key, &filled(SMALL)).await?;
    }
    Ok(())
}

/// A step of the tasks that read the large value.
pub async fn read_large<C: Contender>(client: &mut C) -> Outcome<()> {
    right_length(client.get(LARGE_KEY).await?, LARGE)
}

fn right_length(length: usize, expected: usize) -> Outcome<()> {
    if length == expected { Ok(()) } else { Err(format!("read {length} bytes instead of {expected}")) }
}
