//! How long the token request that is under way may take, known to whatever it asks.

use super::{TokenManagerConfig, schedule::SHORTEST_REQUEST, view::STALL};
use crate::error::{Error, ErrorKind, Stage};
use std::{cmp::Ordering, fmt::Display, time::Duration};
use tokio::time::{Instant, timeout_at};

tokio::task_local! {
    static CURRENT: RequestLimit;
}

/// By how much those who are asked give up earlier than the one who waits for them, so that the error is theirs: it
/// says who did not answer.
const AHEAD: Duration = Duration::from_millis(20);

/// The limit of a request that no connection manager has made. Whoever makes it may have a limit that is not known
/// here, and may have to wait for slow tools: this one only keeps the request from waiting for ever.
const BY_HAND: Duration = Duration::from_secs(120);

/// The time limit of one token request. Whoever is asked may use all of it: no part of a request has a shorter limit,
/// but for those that the settings name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestLimit {
    start: Instant,
    /// How long this request may take.
    allowed: Duration,
    /// What `token_request_execution_timeout` says.
    configured: Duration,
}

impl RequestLimit {
    /// From now on.
    pub(crate) fn new(allowed: Duration, configured: Duration) -> Self {
        Self { start: Instant::now(), allowed, configured }
    }

    /// That of the request under way, or of one that is made by hand.
    pub(crate) fn current() -> Self {
        let by_hand = || Self::new(BY_HAND, TokenManagerConfig::default().token_request_execution_timeout);
        CURRENT.try_with(|limit| *limit).unwrap_or_else(|_| by_hand())
    }

    /// What `token_request_execution_timeout` says.
    pub(crate) fn configured(&self) -> Duration {
        self.configured
    }

    /// When those who are asked give up.
    pub(crate) fn end(&self) -> Instant {
        self.start + self.allowed.saturating_sub(AHEAD.min(self.allowed / 10))
    }

    /// `request`, with whatever it asks knowing of this limit.
    pub(crate) fn known_to<R: Future>(self, request: R) -> impl Future<Output = R::Output> {
        CURRENT.scope(self, request)
    }

    /// That `whom` did not answer in time.
    pub(crate) fn over(&self, whom: impl Display) -> Error {
        let Self { allowed, configured, .. } = self;
        let setting = "`token_request_execution_timeout`";
        let why = match allowed.cmp(configured) {
            Ordering::Equal => setting.to_owned(),
            Ordering::Greater => "no connection manager made the request, and so no setting limits it".to_owned(),
            Ordering::Less if *allowed == SHORTEST_REQUEST => format!(
                "the least that a request gets: a quarter of the last token's life is less, {setting} is {configured:?}"
            ),
            Ordering::Less => {
                format!("a quarter of the last token's life, which is less than {setting} ({configured:?})")
            }
        };
        Error::new(ErrorKind::Timeout(Stage::Token), format!("{whom} did not answer within {allowed:?} ({why})"))
    }
}

/// Waits for `answer` of `whom` for as long as the token request under way may take.
pub(crate) async fn in_time<T>(whom: impl Display, answer: impl Future<Output = T>) -> Result<T, Error> {
    let limit = RequestLimit::current();
    tokio::pin!(answer);
    let mut end = limit.end();
    loop {
        if let Ok(answer) = timeout_at(end, &mut answer).await {
            return Ok(answer);
        }
        let late = end.elapsed();
        if late < STALL {
            return Err(limit.over(whom));
        }
        // What came meanwhile has not been read: it gets the time that it was kept from running.
        end = Instant::now() + late;
    }
}

#[cfg(test)]
mod tests;
