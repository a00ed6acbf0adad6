//! Waiting until it is known where commands go: with a lazy start it is not from the beginning.

use super::{
    core::Core,
    record::{Record, failed},
    texts::not_sent_in_time,
};
use crate::{
    command::Operation,
    error::{Error, ErrorKind, Stage},
};
use redis::RedisResult;
use tokio::time::Instant;

impl Core {
    /// Whether it is known where commands go; with a lazy start it is not from the beginning.
    #[inline]
    pub(crate) fn is_found(&self) -> bool {
        self.routing.get().is_some()
    }

    /// Waits until it is known where commands go, until `deadline` at most.
    #[cold]
    async fn until_found(&self, deadline: Instant) -> Result<(), Error> {
        let _waiting = self.admission.wait();
        // A command that waits for a link has a permit; so does this.
        let _permit = self.permit(deadline, self.overload, false).await?;
        self.look_until_found(deadline).await
    }

    /// The same for an operation that begins with it. If this fails, the operation counts as failed.
    #[cold]
    pub(crate) async fn begin_once_found(&self, operation: Operation, deadline: Instant) -> RedisResult<()> {
        let mut record = Record::of(self, operation);
        match self.until_found(deadline).await {
            Ok(()) => {
                // What is sent now is recorded by itself.
                record.discard();
                Ok(())
            }
            Err(error) => {
                let error = failed(self, error);
                record.end_with(Err(&error));
                Err(error)
            }
        }
    }

    /// The same, for what blocks: it may wait for long, and is not to keep a permit from others meanwhile.
    #[cold]
    pub(super) async fn until_found_without_permit(&self, deadline: Instant) -> Result<(), Error> {
        let _waiting = self.admission.wait();
        self.look_until_found(deadline).await
    }

    async fn look_until_found(&self, deadline: Instant) -> Result<(), Error> {
        loop {
            let changed = self.availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_closed() {
                return Err(Error::closed());
            }
            if self.is_found() {
                return Ok(());
            }
            if let Some(error) = self.tokens.dead() {
                return Err(error.for_want_of_a_token());
            }
            if self.timers.timeout_at(deadline, changed).await.is_none() {
                if self.is_closed() {
                    return Err(Error::closed());
                }
                let text = "no connection to Redis has come up yet; the command was not sent";
                return Err(not_sent_in_time(text, self.routing.last_error()));
            }
        }
    }

    /// What a command's `work` yields, or an error at `deadline`, which is counted.
    pub(crate) async fn within<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = redis::RedisResult<T>>,
    ) -> redis::RedisResult<T> {
        self.timers.timeout_at(deadline, work).await.unwrap_or_else(|| {
            let text = "no reply came within the command's deadline; the command may have run";
            Err(failed(self, Error::new(ErrorKind::Timeout(Stage::Command), text)))
        })
    }
}

#[cfg(test)]
mod tests;
