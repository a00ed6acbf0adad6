//! What is said at the end: a line of JSON, or sentences and the same, indented.

use super::{Options, counts::Figure, plan::Plan, tally::histogram};
use crate::terminal::grouped;
use entra_redis::Counters;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// What is known at the end besides what has been counted.
pub(super) struct End {
    pub(super) counters: Counters,
    pub(super) retried: u64,
    pub(super) latency: Histogram<u64>,
    /// Whether every task could read all of its keys in the end, and each other workload got what was left.
    pub(super) recovered: bool,
    /// Memory of this process after the warm-up and at the end, in KiB.
    pub(super) resident: [Option<u64>; 2],
    pub(super) tasks: usize,
    pub(super) nodes: usize,
}

impl End {
    /// That of a run that has not come to anything.
    pub(super) fn of_none(tasks: usize) -> Self {
        Self {
            counters: Counters::default(),
            retried: 0,
            latency: histogram(),
            recovered: false,
            resident: [None; 2],
            tasks,
            nodes: 0,
        }
    }
}

pub(super) fn json(options: &Options, plan: &Plan, end: &End) -> Value {
    let End { counters, retried, latency, recovered, resident, tasks, nodes } = end;
    let notes = plan.tally.notes();
    let mut report = json!({
        "commands": plan.tally.commands(),
        "errors": notes.errors(),
        "wrong_reads": notes.wrong_reads,
        "tokens_fetched": counters.tokens_fetched,
        "rotations": counters.rotations,
        "reauths": counters.reauths,
        "reconnects": counters.reconnects,
        "p50_us": latency.value_at_quantile(0.5),
        "p99_us": latency.value_at_quantile(0.99),
        "max_us": plan.tally.slowest_us(),
        "first_error": notes.first_error,
        "last_error_at_s": notes.last_error_at.map(|at| at.as_secs_f64()),
        "errors_by_kind": notes.errors_by_kind(),
        "unexplained_errors": notes.unexplained_errors,
        "first_unexplained_error": notes.first_unexplained_error,
        "first_wrong_read": notes.first_wrong_read,
        "recovered": recovered,
        "faults_met": {
            "links_lost": counters.links_lost,
            "dial_failures": counters.dial_failures,
            "token_failures": counters.token_failures,
            "reauth_failures": counters.reauth_failures,
        },
        "retried": retried,
        "rss_start_kib": resident[0],
        "rss_end_kib": resident[1],
        "tasks_end": tasks,
        "nodes": nodes,
        "workloads": options.workloads(),
        "first_fault": plan.counts.first_fault(),
        "first_excused": plan.counts.first_excused(),
    });
    if let Some(report) = report.as_object_mut() {
        report.extend(plan.counts.report());
    }
    report
}

/// What each workload has come to, a sentence each.
pub(super) fn sentences(options: &Options, plan: &Plan) -> Vec<String> {
    let (errors, wrong_reads) = {
        let notes = plan.tally.notes();
        (notes.errors(), notes.wrong_reads)
    };
    let number = |figure| grouped(plan.counts.get(figure));
    let mut sentences = vec![format!(
        "{} commands of the plain load, with {} wrong reads; {} errors of all workloads.",
        grouped(plan.tally.commands()),
        grouped(wrong_reads),
        grouped(errors)
    )];
    if options.pubsub {
        sentences.push(format!(
            "{} messages were heard, with {} gaps: {} are missing that no gap tells of, {} came twice, {} out of order.",
            number(Figure::Messages),
            number(Figure::Gaps),
            number(Figure::MessagesMissing),
            number(Figure::MessagesTwice),
            number(Figure::MessagesOutOfOrder),
        ));
    }
    if options.blocking {
        sentences.push(format!(
            "{} elements were taken: {} were lost, {} came twice; {} were popped for connections that were lost.",
            number(Figure::Elements),
            number(Figure::ElementsLost),
            number(Figure::ElementsTwice),
            number(Figure::ElementsUnheard),
        ));
    }
    if options.transactions {
        sentences.push(format!(
            "{} transactions were committed; {} counts were wrong.",
            number(Figure::Transactions),
            number(Figure::WrongCounts),
        ));
    }
    if options.cached {
        sentences.push(format!(
            "{} reads went by way of the near cache, {:.1} % of them were answered from memory; {} were stale.",
            number(Figure::CachedReads),
            100.0 * plan.counts.hit_ratio(),
            number(Figure::StaleReads),
        ));
    }
    sentences.extend(plan.counts.first_fault().map(|fault| format!("The first fault: {fault}.")));
    sentences
}
