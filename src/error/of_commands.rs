//! This crate's errors as commands end with them: as errors of the `redis` crate, and back.

use super::{CLOSED, Error, ErrorKind, Stage};
use std::{error::Error as StdError, sync::Arc};

impl Error {
    /// The error of this crate that a command's error carries: that of a timeout, an overload, or a connection that did
    /// not come up.
    #[must_use]
    pub fn from_redis(error: &redis::RedisError) -> Option<&Self> {
        // The redis crate shows the `Arc` that it keeps its source in, not the source.
        let kept: &Arc<dyn StdError + Send + Sync> = error.source()?.downcast_ref()?;
        kept.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref()
    }

    /// The kind of the error of this crate that a command's error stands for: that of [`from_redis`](Self::from_redis),
    /// or [`ErrorKind::Closed`] after `shutdown`.
    #[must_use]
    pub fn kind_of(error: &redis::RedisError) -> Option<ErrorKind> {
        let is_closed = || error.kind() == redis::ErrorKind::Client && error.detail() == Some(CLOSED);
        Self::from_redis(error).map(Self::kind).or_else(|| is_closed().then_some(ErrorKind::Closed))
    }

    /// Whether a command that ended with this error, which is not Redis's answer, may have run.
    pub(crate) fn leaves_open(error: &redis::RedisError) -> bool {
        match Self::from_redis(error) {
            Some(error) => error.may_have_run(),
            // Without a token, and after `shutdown`, nothing is sent.
            None => {
                error.kind() != redis::ErrorKind::AuthenticationFailed
                    && Self::kind_of(error) != Some(ErrorKind::Closed)
            }
        }
    }
}

impl From<Error> for redis::RedisError {
    /// Keeps the kinds that users of the `redis` crate match on: authentication failure, timeout, dropped connection.
    fn from(error: Error) -> Self {
        use std::io::{Error as IoError, ErrorKind as Io};
        match error.kind() {
            ErrorKind::Configuration => {
                (redis::ErrorKind::InvalidClientConfig, "invalid configuration", error.to_string()).into()
            }
            ErrorKind::CredentialUnavailable
            | ErrorKind::CredentialRejected
            | ErrorKind::TokenEndpoint
            | ErrorKind::MalformedToken
            | ErrorKind::AuthenticationRejected
            | ErrorKind::Timeout(Stage::Token) => {
                (redis::ErrorKind::AuthenticationFailed, "no valid token", error.to_string()).into()
            }
            ErrorKind::Timeout(_) => IoError::new(Io::TimedOut, error).into(),
            ErrorKind::Overloaded | ErrorKind::Conflict => IoError::new(Io::ResourceBusy, error).into(),
            ErrorKind::Interrupted => IoError::new(Io::ConnectionAborted, error).into(),
            // Not an I/O error: a loop that reconnects on those must end here.
            ErrorKind::Closed => (redis::ErrorKind::Client, "closed", error.to_string()).into(),
            ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Server => IoError::new(Io::NotConnected, error).into(),
        }
    }
}
