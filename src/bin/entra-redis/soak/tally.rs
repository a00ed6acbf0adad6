//! What has happened: commands, errors by kind, wrong reads.

use entra_redis::{Error, ErrorKind};
use hdrhistogram::Histogram;
use redis::{RedisError, RedisResult};
use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How a command failed.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// No reply, or no connection to send it on, within its deadline.
    TimedOut,
    /// Its connection broke with it on its way.
    Lost,
    /// There was no valid token.
    Unauthenticated,
    /// Too many others were in flight.
    Overloaded,
    /// The client had been shut down.
    Closed,
    /// Redis answered with an error.
    Answered,
    Other,
    /// Redis answered that the command is for another node, or for nobody just now, or that it must not block any more.
    Unsettled,
}

/// The codes of such answers.
const UNSETTLED: [&str; 8] =
    ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "LOADING", "UNBLOCKED"];

impl Kind {
    const ALL: [(Self, &'static str); 8] = [
        (Self::TimedOut, "timed_out"),
        (Self::Lost, "lost"),
        (Self::Unauthenticated, "unauthenticated"),
        (Self::Overloaded, "overloaded"),
        (Self::Closed, "closed"),
        (Self::Answered, "answered"),
        (Self::Other, "other"),
        (Self::Unsettled, "unsettled"),
    ];

    fn of(error: &RedisError) -> Self {
        match Error::kind_of(error) {
            Some(ErrorKind::Timeout(_)) => Self::TimedOut,
            Some(ErrorKind::Overloaded) => Self::Overloaded,
            Some(ErrorKind::Closed) => Self::Closed,
            _ if error.kind() == redis::ErrorKind::AuthenticationFailed => Self::Unauthenticated,
            _ if error.is_connection_dropped() => Self::Lost,
            _ if error.code().is_some_and(|code| UNSETTLED.contains(&code)) => Self::Unsettled,
            // Errors of this side have no code.
            _ if error.code().is_some() => Self::Answered,
            _ => Self::Other,
        }
    }

    /// Whether the command may have run, or may run yet. A proxy in front of Redis may answer with an error of its own
    /// after it has passed the command on.
    pub(super) fn may_have_run(self) -> bool {
        !matches!(self, Self::Unauthenticated | Self::Overloaded | Self::Closed)
    }

    /// Whether that happens when connections are cut or freeze, the server stands still or restarts, a replica takes
    /// its place, or there are no tokens.
    fn is_explained_by_chaos(self) -> bool {
        matches!(self, Self::TimedOut | Self::Lost | Self::Unauthenticated | Self::Unsettled)
    }
}

pub(super) struct Tally {
    began: Instant,
    chaos: bool,
    commands: AtomicU64,
    /// To the microsecond: the histogram rounds.
    slowest_us: AtomicU64,
    notes: Mutex<Notes>,
}

/// What went wrong.
#[derive(Default)]
pub(super) struct Notes {
    by_kind: [u64; Kind::ALL.len()],
    pub(super) first_error: Option<String>,
    pub(super) last_error_at: Option<Duration>,
    /// Errors that nothing explains: without chaos, all of them.
    pub(super) unexplained_errors: u64,
    pub(super) first_unexplained_error: Option<String>,
    pub(super) wrong_reads: u64,
    pub(super) first_wrong_read: Option<String>,
}

impl Notes {
    pub(super) fn errors(&self) -> u64 {
        self.by_kind.iter().sum()
    }

    pub(super) fn errors_by_kind(&self) -> BTreeMap<&'static str, u64> {
        Kind::ALL.iter().map(|(kind, name)| (*name, self.by_kind[*kind as usize])).collect()
    }

    /// Whether nothing went wrong that should not have.
    pub(super) fn are_clean(&self) -> bool {
        self.unexplained_errors == 0 && self.wrong_reads == 0
    }
}

impl Tally {
    /// With `chaos`, things go wrong on the other side, which explains some errors.
    pub(super) fn new(chaos: bool) -> Self {
        Self {
            began: Instant::now(),
            chaos,
            commands: AtomicU64::new(0),
            slowest_us: AtomicU64::new(0),
            notes: Mutex::default(),
        }
    }

    /// Waits for a command, and notes how long that took and how it ended.
    pub(super) async fn timed<T>(
        &self,
        latency: &mut Histogram<u64>,
        command: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, Kind> {
        let sent = Instant::now();
        let result = command.await;
        let took = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        latency.saturating_record(took);
        self.slowest_us.fetch_max(took, Relaxed);
        self.commands.fetch_add(1, Relaxed);
        self.noted(result)
    }

    /// Notes how a command ended that is none of the plain load: it may block, or be several.
    pub(super) fn noted<T>(&self, result: RedisResult<T>) -> Result<T, Kind> {
        result.map_err(|error| {
            let kind = Kind::of(&error);
            self.fail(kind, &error);
            kind
        })
    }

    pub(super) fn fail(&self, kind: Kind, error: &dyn Display) {
        let mut notes = self.notes();
        notes.by_kind[kind as usize] += 1;
        notes.first_error.get_or_insert_with(|| error.to_string());
        notes.last_error_at = Some(self.elapsed());
        if !(self.chaos && kind.is_explained_by_chaos()) {
            notes.unexplained_errors += 1;
            notes.first_unexplained_error.get_or_insert_with(|| error.to_string());
        }
    }

    pub(super) fn wrong_read(&self, what: impl FnOnce() -> String) {
        let mut notes = self.notes();
        notes.wrong_reads += 1;
        notes.first_wrong_read.get_or_insert_with(what);
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn commands(&self) -> u64 {
        self.commands.load(Relaxed)
    }

    pub(super) fn slowest_us(&self) -> u64 {
        self.slowest_us.load(Relaxed)
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no panic while it is locked")
    }
}

/// Of microseconds, up to an hour.
pub(super) fn histogram() -> Histogram<u64> {
    // One per task: with three digits they would be the memory that grows.
    Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("constant bounds")
}
