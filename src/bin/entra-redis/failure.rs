//! What ends a command before its time, as a sentence.

use crate::terminal::{self, Colour};
use std::{fmt, io, process::ExitCode};

/// What went wrong, and if something is known that helps, what to do. Nothing is said to whoever has closed the pipe,
/// as `head` does.
pub(crate) struct Failure(Option<String>);

impl Failure {
    pub(crate) fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self(Some(format!("{what}: {why}")))
    }

    /// Tells it on standard error.
    pub(crate) fn tell(&self) -> ExitCode {
        if let Some(sentence) = &self.0 {
            terminal::note(format_args!("{} {sentence}", terminal::of_errors().paint(Colour::Red, "error:")));
        }
        ExitCode::FAILURE
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("standard output was closed"))
    }
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Self(Some(sentence))
    }
}

impl From<entra_redis::Error> for Failure {
    fn from(error: entra_redis::Error) -> Self {
        Self(Some(error.to_string()))
    }
}

impl From<redis::RedisError> for Failure {
    fn from(error: redis::RedisError) -> Self {
        Self::new("a command failed", error)
    }
}

/// Of standard output, which is all that fails without a name of its own.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self(None),
            _ => Self::new("cannot write to standard output", error),
        }
    }
}
