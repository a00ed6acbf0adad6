//! How long the token request that is under way may take, known to whatever it asks.

use super::view::STALL;
use crate::error::{Error, ErrorKind, Stage};
use std::{fmt::Display, time::Duration};
use tokio::time::{Instant, timeout_at};

tokio::task_local! {
    static CURRENT: RequestLimit;
}

/// By how much those who are asked give up earlier than the one who waits for them: what they say then counts, who they are
/// and what they were waiting for.
const AHEAD: Duration = Duration::from_millis(20);

/// The time of one token request. There is none below it that the settings do not know: whoever is asked may use all of it.
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

    /// That of the request under way; none for one that is made by hand.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(|limit| *limit).ok()
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

    /// The outcome of `request`, which knows of this limit; an error about `whom` if it has none in time.
    #[cfg(test)]
    pub(crate) async fn around<T>(
        self,
        whom: &str,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let bounded = timeout_at(self.start + self.allowed, self.known_to(request));
        bounded.await.unwrap_or_else(|_| Err(self.over(whom)))
    }

    /// That `whom` did not answer in time.
    pub(crate) fn over(&self, whom: impl Display) -> Error {
        let Self { allowed, configured, .. } = self;
        let why = if allowed < configured {
            format!(
                "a quarter of the last token's life, which is less than `token_request_execution_timeout` ({configured:?})"
            )
        } else {
            "`token_request_execution_timeout`".to_owned()
        };
        Error::new(ErrorKind::Timeout(Stage::Token), format!("{whom} did not answer within {allowed:?} ({why})"))
    }
}

/// Waits for `answer` of `whom` for as long as the token request under way may take; without end for one made by hand.
pub(crate) async fn in_time<T>(whom: impl Display, answer: impl Future<Output = T>) -> Result<T, Error> {
    let Some(limit) = RequestLimit::current() else {
        return Ok(answer.await);
    };
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
