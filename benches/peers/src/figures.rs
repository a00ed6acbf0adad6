//! What a run gives.

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The measured part of a run; what comes before it warms up.
#[derive(Clone, Copy)]
pub struct Span {
    pub from: Instant,
    pub to: Instant,
}

impl Span {
    pub fn contains(&self, at: Instant) -> bool {
        self.from <= at && at < self.to
    }

    pub fn seconds(&self) -> f64 {
        (self.to - self.from).as_secs_f64()
    }
}

/// One run of one contender, or the medians of several.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    /// CPU time of the whole process for each command, with all of the client's and the runtime's work.
    pub cpu_us: f64,
    /// Large values read beside the commands that are measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large_per_second: Option<f64>,
}

impl Figures {
    pub fn new(per_second: f64, latencies: &Histogram<u64>, cpu_us: f64, large_per_second: Option<f64>) -> Self {
        let at = |quantile: f64| latencies.value_at_quantile(quantile) as f64 / 1e3;
        Self { per_second, p50_us: at(0.5), p99_us: at(0.99), p999_us: at(0.999), cpu_us, large_per_second }
    }

    /// Each figure's own median; none of no runs.
    pub fn median(runs: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        let large: Vec<f64> = runs.iter().filter_map(|run| run.large_per_second).collect();
        Some(Self {
            per_second: of(|run| run.per_second)?,
            p50_us: of(|run| run.p50_us)?,
            p99_us: of(|run| run.p99_us)?,
            p999_us: of(|run| run.p999_us)?,
            cpu_us: of(|run| run.cpu_us)?,
            large_per_second: median(large),
        })
    }
}

/// The middle one, or the mean of the two in the middle; none of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get(values.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// Latencies in nanoseconds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, 5_000_000_000, 3).expect("constant bounds")
}

/// Watches, from a thread of its own, how much CPU time the process uses in the span; in seconds for each second.
///
/// The process is the client alone: the server is another one.
pub fn watch_cpu(span: Span) -> JoinHandle<f64> {
    thread::spawn(move || {
        sleep_until(span.from);
        let (began, before) = (Instant::now(), process_time());
        sleep_until(span.to);
        process_time().saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64()
    })
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}
