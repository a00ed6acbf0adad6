//! The figures of a connection manager for the `metrics` facade, by the names of OpenTelemetry's conventions for
//! databases where those have one.
//!
//! Once a second the counters that are there anyway are read and passed on; only durations are recorded as they are
//! measured.

mod cache;
mod nodes;
mod operations;

use crate::observe::{
    event::Event,
    stats::{LinkPurpose, LinkState, LinkStats, Stats, TokenStats},
};
use ::metrics::{
    Counter, Gauge, Histogram, Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use nodes::Nodes;
pub(crate) use operations::{Failure, Operations};

/// How often figures are passed on.
const ROUND: Duration = Duration::from_secs(1);

/// What is read from the statistics under one name.
struct Figure<T> {
    name: &'static str,
    /// What tells it from others of the same name.
    label: Option<(&'static str, &'static str)>,
    unit: Unit,
    about: &'static str,
    read: Read<T>,
}

type Read<T> = fn(&Stats) -> T;

const STATE: &str = "db.client.connection.state";
const CONNECTIONS: &str = "Connections that are up; a used one has commands in flight.";
const ERROR: &str = "error.type";
const FAILED: &str = "Commands that failed on this side, by kind.";

const GAUGES: [Figure<f64>; 10] = [
    Figure {
        name: "db.client.connection.count",
        label: Some((STATE, "idle")),
        unit: Unit::Count,
        about: CONNECTIONS,
        read: |stats| links(stats, |link| link.in_flight == 0),
    },
    Figure {
        name: "db.client.connection.count",
        label: Some((STATE, "used")),
        unit: Unit::Count,
        about: CONNECTIONS,
        read: |stats| links(stats, |link| link.in_flight > 0),
    },
    links_for("shared", |stats| links(stats, |link| link.purpose == LinkPurpose::Shared)),
    links_for("leased", |stats| links(stats, |link| link.purpose == LinkPurpose::Leased)),
    links_for("subscriber", |stats| links(stats, |link| link.purpose == LinkPurpose::Subscriber)),
    Figure {
        name: "db.client.connection.pending_requests",
        label: None,
        unit: Unit::Count,
        about: "Commands that wait for a connection, or for room among those in flight.",
        read: |stats| stats.commands.waiting as f64,
    },
    Figure {
        name: "entra_redis.commands.in_flight",
        label: None,
        unit: Unit::Count,
        about: "Commands without an answer yet.",
        read: |stats| stats.commands.in_flight as f64,
    },
    Figure {
        name: "entra_redis.token.age",
        label: None,
        unit: Unit::Seconds,
        about: "How long ago the newest token was received.",
        read: |stats| token(stats, |token| token.age),
    },
    Figure {
        name: "entra_redis.token.remaining",
        label: None,
        unit: Unit::Seconds,
        about: "How long the token in use is still good; 0 without one.",
        read: |stats| token(stats, |token| token.remaining),
    },
    Figure {
        name: "entra_redis.token.refresh_in",
        label: None,
        unit: Unit::Seconds,
        about: "When the next token is asked for.",
        read: |stats| token(stats, |token| token.refresh_in),
    },
];

const COUNTERS: [Figure<u64>; 18] = [
    total(
        "db.client.connection.timeouts",
        "Commands that never got a connection, or room, within their deadline.",
        |stats| stats.commands.unserved,
    ),
    total("entra_redis.commands.sent", "Commands and pipelines handed to a connection.", |stats| stats.commands.sent),
    total("entra_redis.commands.retried", "Commands that were sent once more.", |stats| stats.commands.retried),
    failed("timed_out", |stats| stats.commands.failed.timed_out),
    failed("lost", |stats| stats.commands.failed.lost),
    failed("unauthenticated", |stats| stats.commands.failed.unauthenticated),
    failed("overloaded", |stats| stats.commands.failed.overloaded),
    failed("closed", |stats| stats.commands.failed.closed),
    failed("refused", |stats| stats.commands.failed.refused),
    total("entra_redis.token.fetched", "New tokens.", |stats| stats.counters.tokens_fetched),
    total("entra_redis.token.unchanged", "Token requests that gave the token in use once more.", |stats| {
        stats.counters.tokens_unchanged
    }),
    total("entra_redis.token.failures", "Token requests that failed.", |stats| stats.counters.token_failures),
    total("entra_redis.reauths", "AUTHs with a new token on live connections.", |stats| stats.counters.reauths),
    total("entra_redis.reauth_failures", "Those that failed.", |stats| stats.counters.reauth_failures),
    total("entra_redis.links.opened", "Connections opened.", |stats| stats.counters.links_opened),
    total("entra_redis.links.lost", "Connections lost: closed by the server, broken, or silent.", |stats| {
        stats.counters.links_lost
    }),
    total("entra_redis.reconnects", "Connections opened in the place of a lost one.", |stats| {
        stats.counters.reconnects
    }),
    total("entra_redis.dial_failures", "Connections that could not be opened.", |stats| stats.counters.dial_failures),
];

const MOST: &str = "db.client.connection.max";
const CREATE_TIME: &str = "db.client.connection.create_time";

const fn links_for(purpose: &'static str, read: Read<f64>) -> Figure<f64> {
    Figure {
        name: "entra_redis.links",
        label: Some(("entra_redis.link.purpose", purpose)),
        unit: Unit::Count,
        about: "Connections that are up, by who uses them: all, one at a time, or one that gets messages.",
        read,
    }
}

const fn total(name: &'static str, about: &'static str, read: fn(&Stats) -> u64) -> Figure<u64> {
    Figure { name, label: None, unit: Unit::Count, about, read }
}

const fn failed(kind: &'static str, read: fn(&Stats) -> u64) -> Figure<u64> {
    let name = "entra_redis.commands.failed";
    Figure { name, label: Some((ERROR, kind)), unit: Unit::Count, about: FAILED, read }
}

fn links(stats: &Stats, wanted: fn(&LinkStats) -> bool) -> f64 {
    stats.links.iter().filter(|link| link.state != LinkState::Down && wanted(link)).count() as f64
}

fn token(stats: &Stats, time: fn(&TokenStats) -> Duration) -> f64 {
    stats.token.as_ref().map_or(0.0, |token| time(token).as_secs_f64())
}

/// How long something takes, from [`start`](Self::start) on.
#[derive(Default)]
pub(crate) struct Stopwatch(Option<std::time::Instant>);

impl Stopwatch {
    pub(crate) fn start(&mut self) {
        self.0 = Some(std::time::Instant::now());
    }

    /// None if it does not run.
    pub(crate) fn stop(&mut self) -> Option<Duration> {
        self.0.take().map(|began| began.elapsed())
    }
}

/// Starts a task that passes on the figures of the pool of this name, connections to `host` and `port`; and tells where
/// durations go. Must be called on a runtime.
pub(crate) fn start(
    (host, port): (&str, u16),
    pool: Arc<str>,
    stats: impl Fn() -> Stats + Send + 'static,
    events: Receiver<Event>,
) -> (Operations, Option<JoinHandle<()>>) {
    let labels = labels(host, port, pool);
    let series = Series::new(&labels);
    (Operations::new(labels), Some(tokio::spawn(run(series, stats, events))))
}

/// What tells the figures of one connection manager from those of another.
fn labels(host: &str, port: u16, pool: Arc<str>) -> Vec<Label> {
    vec![
        Label::from_static_parts("db.system.name", "redis"),
        Label::new("server.address", host.to_owned()),
        Label::new("server.port", port.to_string()),
        Label::new("db.client.connection.pool.name", pool),
    ]
}

/// Where the figures of one connection manager go.
struct Series {
    gauges: Vec<(Gauge, Read<f64>)>,
    /// Each with the total that has been passed on: only what comes on top is added, as the recorder may go on counting
    /// from an earlier manager of the same name.
    counters: Vec<(Counter, Read<u64>, u64)>,
    most: Gauge,
    nodes: Nodes,
    create_time: Histogram,
}

impl Series {
    /// Registers everything with the recorder that is installed now, if any is.
    fn new(labels: &[Label]) -> Self {
        let labelled = |label: Option<(&'static str, &'static str)>| -> Vec<Label> {
            let own = label.map(|(key, value)| Label::from_static_parts(key, value));
            labels.iter().cloned().chain(own).collect()
        };
        let gauge_of = |figure: &Figure<f64>| {
            describe_gauge!(figure.name, figure.unit, figure.about);
            (gauge!(figure.name, labelled(figure.label)), figure.read)
        };
        let counter_of = |figure: &Figure<u64>| {
            describe_counter!(figure.name, figure.unit, figure.about);
            (counter!(figure.name, labelled(figure.label)), figure.read, 0_u64)
        };
        describe_gauge!(MOST, Unit::Count, "Connections that there are to be.");
        describe_histogram!(
            CREATE_TIME,
            Unit::Seconds,
            "How long it took to open a connection: DNS, TCP, TLS and AUTH."
        );
        Self {
            gauges: GAUGES.iter().chain(&cache::GAUGES).map(gauge_of).collect(),
            counters: COUNTERS.iter().chain(&cache::COUNTERS).map(counter_of).collect(),
            most: gauge!(MOST, labelled(None)),
            nodes: Nodes::new(labels),
            create_time: histogram!(CREATE_TIME, labelled(None)),
        }
    }

    fn hand_on(&mut self, stats: &Stats) {
        self.most.set(stats.pool_size as f64);
        self.nodes.hand_on(&stats.nodes);
        for (gauge, read) in &self.gauges {
            gauge.set(read(stats));
        }
        for (counter, read, before) in &mut self.counters {
            let total = read(stats);
            counter.increment(total.saturating_sub(*before));
            // While a cache is being dropped, it is in no sum for a moment, and the total is smaller.
            *before = total.max(*before);
        }
    }

    /// What is gone holds nothing any more, and its gauges must not say so for ever.
    fn end(&mut self) {
        self.nodes.hand_on(&[]);
        self.gauges.iter().map(|(gauge, _)| gauge).chain([&self.most]).for_each(|gauge| gauge.set(0.0));
    }
}

/// Passes on the figures once a second until it is dropped, and a last time then.
async fn run(series: Series, stats: impl Fn() -> Stats, mut events: Receiver<Event>) {
    let mut watch = Watch { series, stats };
    let mut round = interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = round.tick() => watch.look(),
            event = events.recv() => match event {
                Ok(Event::LinkUp { took, .. }) => watch.series.create_time.record(took),
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

struct Watch<F: Fn() -> Stats> {
    series: Series,
    stats: F,
}

impl<F: Fn() -> Stats> Watch<F> {
    fn look(&mut self) {
        let stats = (self.stats)();
        self.series.hand_on(&stats);
    }
}

impl<F: Fn() -> Stats> Drop for Watch<F> {
    fn drop(&mut self) {
        self.look();
        self.series.end();
    }
}
