//! How the load goes: a bar on a terminal, a line a second elsewhere.

use super::{Options, counts::Figure, plan::Plan};
use crate::terminal::{self, Colour, Lines, Screen, grouped};
use entra_redis::{EntraRedis, NodeStats, Stats};
use std::{
    collections::HashSet,
    io::{Write, stderr, stdout},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often a bar is drawn.
const FRAME: Duration = Duration::from_millis(200);

/// Cells of a bar.
const WIDTH: usize = 30;

pub(super) struct Progress {
    plan: Arc<Plan>,
    redis: EntraRedis,
    used: Arc<Mutex<HashSet<String>>>,
    seconds: u64,
    /// What is run, by name.
    workloads: Vec<&'static str>,
    /// Commands at the last look, and when that was.
    before: (u64, Instant),
}

impl Progress {
    pub(super) fn new(
        plan: &Arc<Plan>,
        redis: &EntraRedis,
        used: &Arc<Mutex<HashSet<String>>>,
        options: &Options,
    ) -> Self {
        let (plan, used) = (Arc::clone(plan), Arc::clone(used));
        let (seconds, workloads) = (options.seconds, options.workloads());
        Self { plan, redis: redis.clone(), used, seconds, workloads, before: (0, Instant::now()) }
    }

    /// Says how it goes, for ever.
    pub(super) async fn run(mut self) {
        let (output, errors) = (terminal::of_output(), terminal::of_errors());
        // Where both are the same terminal, one of the two is enough.
        let lines = !(errors.is_live() && output.is_live());
        let mut bar = errors.is_live().then(Lines::default);
        for frame in 1_u64.. {
            note_used(&self.used, &self.redis.manager().stats());
            sleep(FRAME).await;
            if let Some(bar) = &mut bar {
                let mut drawing = vec![self.bar(errors), format!("  {}", self.figures())];
                drawing.extend(self.others().map(|others| format!("  {others}")));
                // A terminal that has gone is nobody's loss.
                _ = bar.draw(&mut stderr(), &drawing);
            }
            if lines && frame.is_multiple_of(5) {
                let others = self.others().map(|others| format!("  {others}")).unwrap_or_default();
                let seconds = self.plan.tally.elapsed().as_secs_f32();
                _ = writeln!(stdout(), "{seconds:4.0} s  {}{others}", self.figures());
            }
            if frame.is_multiple_of(5) {
                self.before = (self.plan.tally.commands(), Instant::now());
            }
        }
    }

    fn bar(&self, screen: Screen) -> String {
        let elapsed = self.plan.tally.elapsed();
        let part = (elapsed.as_secs_f64() / (self.seconds.max(1) as f64)).min(1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of the width")]
        let full = (part * WIDTH as f64) as usize;
        let bar =
            screen.paint(Colour::Green, &"█".repeat(full)) + &screen.paint(Colour::Grey, &"░".repeat(WIDTH - full));
        let commands = grouped(self.plan.tally.commands());
        format!("{bar} {:3.0} %  {} of {} s  {commands} commands", part * 100.0, elapsed.as_secs(), self.seconds)
    }

    fn figures(&self) -> String {
        let (errors, wrong_reads) = {
            let notes = self.plan.tally.notes();
            (notes.errors(), notes.wrong_reads)
        };
        let (commands, since) = self.before;
        let rate = (self.plan.tally.commands() - commands) as f64 / since.elapsed().as_secs_f64().max(0.001);
        let counters = self.redis.manager().counters();
        format!(
            "{rate:>8.0} commands/s  errors {errors}  wrong reads {wrong_reads}  rotations {}  re-AUTHs {}  reconnects {}",
            counters.rotations, counters.reauths, counters.reconnects,
        )
    }
}

impl Progress {
    /// How the workloads beside the plain one go.
    fn others(&self) -> Option<String> {
        let figures = self.workloads.iter().filter_map(|workload| {
            Some(match *workload {
                "pubsub" => (Figure::Messages, "messages"),
                "blocking" => (Figure::Elements, "elements"),
                "transactions" => (Figure::Transactions, "transactions"),
                "cached" => (Figure::CachedReads, "cached reads"),
                _ => return None,
            })
        });
        let counts = &self.plan.counts;
        let mut parts: Vec<_> =
            figures.map(|(figure, name)| format!("{name} {}", grouped(counts.get(figure)))).collect();
        if parts.is_empty() {
            return None;
        }
        parts.push(format!("faults {}", counts.faults()));
        Some(parts.join("  "))
    }
}

/// Notes the addresses of the nodes that commands go to now; returns how many there have been.
pub(super) fn note_used(used: &Mutex<HashSet<String>>, stats: &Stats) -> usize {
    // A single endpoint has no slots. A node of a cluster without slots gets no keys.
    let takes_keys = |node: &&NodeStats| node.open_links > 0 && (stats.nodes.len() == 1 || !node.slots.is_empty());
    let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
    used.extend(stats.nodes.iter().filter(takes_keys).map(|node| node.address.clone()));
    used.len()
}
