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
    written_key: String,
    written: Bytes,
}

impl Task {
    pub fn new(workload: Workload, task: usize) -> Self {
        Self { workload, written_key: format!("bench:written:{task}"), written: filled(WRITTEN) }
    }

    pub async fn step<C: Contender>(&self, client: &mut C, turn: usize) -> Outcome<()> {
        match self.workload {
            Workload::Set => client.set(&self.written_key, &self.written).await,
            Workload::Mixed if turn % 5 == 4 => client.set(&self.written_key, &self.written).await,
            Workload::Pipeline => right_length(client.get_many(SMALL_KEY, PIPELINE).await?, PIPELINE * SMALL),
            Workload::Get | Workload::Mixed | Workload::BesideLarge => {
                right_length(client.get(SMALL_KEY).await?, SMALL)
            }
        }
    }
}

/// Stores what is read.
pub async fn store<C: Contender>(client: &mut C) -> Outcome<()> {
    client.set(SMALL_KEY, &filled(SMALL)).await?;
    client.set(LARGE_KEY, &filled(LARGE)).await
}

/// A step of the tasks that read the large value.
pub async fn read_large<C: Contender>(client: &mut C) -> Outcome<()> {
    right_length(client.get(LARGE_KEY).await?, LARGE)
}

fn right_length(length: usize, expected: usize) -> Outcome<()> {
    if length == expected { Ok(()) } else { Err(format!("read {length} bytes instead of {expected}")) }
}
