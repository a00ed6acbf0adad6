//! Waiting for what the nodes of a cluster do in their own time.

use std::{io, time::Duration};
use tokio::time::{Instant, sleep};

/// How long anything may take, on a busy machine as well.
const LIMIT: Duration = Duration::from_secs(30);

const BETWEEN: Duration = Duration::from_millis(10);

/// How long something is tried again.
pub(super) struct Patience<'a> {
    what: &'a str,
    deadline: Instant,
}

impl<'a> Patience<'a> {
    pub(super) fn new(what: &'a str) -> Self {
        Self { what, deadline: Instant::now() + LIMIT }
    }

    /// Waits for the next attempt after this failure of the last one; an error once there is to be no other.
    pub(super) async fn after(&self, failure: io::Error) -> io::Result<()> {
        if Instant::now() < self.deadline {
            sleep(BETWEEN).await;
            return Ok(());
        }
        let text = format!("not within {} s: {}; at last: {failure}", LIMIT.as_secs(), self.what);
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    }
}

/// What has not come yet.
pub(super) fn not_yet(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, what.into())
}
