//! What can go wrong, and what to look at next.

// By its path, because the models in loom/ take this file by its own.
#[path = "error/of_commands.rs"]
mod of_commands;

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

/// What kind of thing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is missing, malformed, or contradicts another; the message names it.
    Configuration,
    /// The credential cannot be used here: nothing to authenticate with, or no identity endpoint to ask.
    CredentialUnavailable,
    /// Microsoft Entra ID refused the credential; it will not be accepted until somebody changes something.
    CredentialRejected,
    /// The token endpoint failed or answered with something that is not a token; it may well work again later.
    TokenEndpoint,
    /// A token came, but it cannot be used: not a JWT, expired, without an expiry or without a user name.
    MalformedToken,
    /// No TCP connection to Redis.
    Connect,
    /// TCP works, TLS does not.
    Tls,
    /// Redis refused the user name and token.
    AuthenticationRejected,
    /// Redis answered the handshake with an error that is not about the credentials.
    Server,
    /// A deadline passed.
    Timeout(Stage),
    /// More commands are in flight than `max_in_flight`; this one was not sent.
    Overloaded,
    /// A transaction that was under way step by step has ended with its connection, before its `EXEC`: nothing of it
    /// has been done, and it may be begun again on another [`Dedicated`](crate::Dedicated).
    Interrupted,
    /// What a transaction watches was changed by others in each of its attempts; nothing of it has been done.
    Conflict,
    /// The connection manager has been shut down.
    Closed,
}

/// What was being waited for when a deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The answer to a token request (`token_request_execution_timeout`).
    Token,
    /// DNS, TCP and TLS (`connect_timeout`).
    Connect,
    /// The reply to `HELLO` or `AUTH` (`auth_timeout`).
    Auth,
    /// The reply to a command, or a link to send it on (`command_timeout`).
    Command,
    /// All that `connect` waits for: files of certificates and keys, and the first usable connection
    /// (`startup_timeout`).
    Startup,
}

/// What to look at when a file that a setting names cannot be read.
pub(crate) const FILE_MISSING: &str = "check that the file is there, and that this process may read it";

const CLOSED: &str =
    "the connection manager has been shut down, by `shutdown` or with the runtime that `connect` was called on";

/// An error of this crate: cheap to clone, with its source chain, and free of secrets.
///
/// Commands return [`redis::RedisError`], as every [`ConnectionLike`](redis::aio::ConnectionLike) does; this type comes
/// from `connect`, from token sources, and in [`Stats`](crate::Stats) and [`Event`](crate::Event)s.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<&'static str>,
    transient: bool,
    /// Of a command's error: it has certainly not run.
    not_run: bool,
    status: Option<u16>,
    aadsts: Option<u32>,
    correlation_id: Option<String>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind`; `message` says what failed, where, and what to look at, and must not hold a secret.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let transient = matches!(
            kind,
            ErrorKind::Connect
                | ErrorKind::Timeout(_)
                | ErrorKind::Server
                | ErrorKind::TokenEndpoint
                | ErrorKind::Overloaded
                | ErrorKind::Interrupted
                | ErrorKind::Conflict
        );
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            transient,
            not_run: kind == ErrorKind::Overloaded,
            status: None,
            aadsts: None,
            correlation_id: None,
            retry_after: None,
            source: None,
        }))
    }

    pub(crate) fn config(setting: &str, problem: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Configuration, format!("`{setting}` {problem}"))
    }

    pub(crate) fn closed() -> Self {
        Self::new(ErrorKind::Closed, CLOSED)
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Attaches what caused this error.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.edit(|inner| inner.source = Some(Arc::new(source)))
    }

    /// Says whether the same request may well succeed soon; by default timeouts, overload, conflicts, and errors of
    /// connections, servers and token endpoints are transient.
    #[must_use]
    pub fn with_transient(self, transient: bool) -> Self {
        self.edit(|inner| inner.transient = transient)
    }

    /// Sets how long the other side asked to be left alone (`Retry-After`).
    #[must_use]
    pub fn with_retry_after(self, delay: Duration) -> Self {
        self.edit(|inner| inner.retry_after = Some(delay))
    }

    /// The same error, for a command that is not sent because of it: there is no valid token, for this reason.
    ///
    /// A source of tokens chooses the kinds of its errors. As the kind of a command's error some of them would say
    /// something else: that its connection was lost, that it came after `shutdown`, that it was not answered in time.
    pub(crate) fn for_want_of_a_token(self) -> Self {
        self.edit(|inner| inner.kind = ErrorKind::TokenEndpoint)
    }

    /// The same error, of a command that has certainly not run.
    pub(crate) fn not_run(self) -> Self {
        self.edit(|inner| inner.not_run = true)
    }

    /// Whether the command with this error may have run.
    pub(crate) fn may_have_run(&self) -> bool {
        !self.0.not_run
    }

    /// The same error, of what has been tried until then, with the `source` of the last attempt's failure.
    pub(crate) fn after(self, source: Option<Self>) -> Self {
        match source {
            Some(source) => {
                let message = format!("{self}; the last attempt: {source}");
                self.with_message(message).with_source(source)
            }
            None => self,
        }
    }

    /// The same error with another message.
    pub(crate) fn with_message(self, message: impl Into<String>) -> Self {
        self.edit(|inner| inner.message = message.into())
    }

    /// What failed, without correlation id and hint.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    /// Attaches the error of this crate that caused this one, and takes over its hint, HTTP status, `AADSTS` number and
    /// correlation id.
    pub(crate) fn explained_by(self, source: Self) -> Self {
        let Inner { hint, status, aadsts, .. } = *source.0;
        let correlation_id = source.0.correlation_id.clone();
        let told = self.edit(|inner| {
            (inner.hint, inner.status, inner.aadsts, inner.correlation_id) = (hint, status, aadsts, correlation_id);
        });
        told.with_source(source)
    }

    pub(crate) fn with_hint(self, hint: &'static str) -> Self {
        self.edit(|inner| inner.hint = Some(hint))
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        self.edit(|inner| inner.status = Some(status))
    }

    pub(crate) fn with_aadsts(self, code: Option<u32>) -> Self {
        self.edit(|inner| inner.aadsts = code)
    }

    pub(crate) fn with_correlation_id(self, id: Option<String>) -> Self {
        self.edit(|inner| inner.correlation_id = id)
    }

    /// What kind of thing failed.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same request may well succeed soon.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.0.transient
    }

    /// The `AADSTS` number of a Microsoft Entra ID error.
    #[must_use]
    pub fn aadsts(&self) -> Option<u32> {
        self.0.aadsts
    }

    /// The HTTP status of the token endpoint's answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// Microsoft's correlation id, to be quoted to its support.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.0.correlation_id.as_deref()
    }

    /// What to look at next, for the mistakes people make most.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint
    }

    /// How long the other side asked to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.write_str(&inner.message)?;
        if let Some(id) = &inner.correlation_id {
            write!(f, " [correlation id {id}]")?;
        }
        if let Some(hint) = inner.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests;
