//! What goes wrong, and where: the words that the fault proxy and the fault matrix share.

use std::time::Duration;

/// What is being done with the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Dns,
    Tcp,
    Tls,
    /// The first words on a connection: `HELLO` with the token.
    Auth,
    /// An `AUTH` with a new token, on a connection that is in use.
    Reauth,
    /// The request for a token.
    Token,
    Command,
}

/// What the other side does then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Ok,
    /// It says no, in the form that the stage has for that.
    Error,
    /// It answers after [`SLOW`], which is within every limit.
    Slow,
    /// It takes what it is sent and never answers.
    Never,
    Reset,
    /// Nothing passes any more in either direction, and nobody says so.
    HalfOpen,
    Garbage,
    /// It begins to answer, and hangs up.
    Truncated,
}

/// How late a slow answer is.
pub const SLOW: Duration = Duration::from_millis(200);

impl Stage {
    pub const ALL: [Self; 7] = [Self::Dns, Self::Tcp, Self::Tls, Self::Auth, Self::Reauth, Self::Token, Self::Command];

    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Reauth => "reauth",
            Self::Token => "token",
            Self::Command => "command",
        }
    }

    /// Whether it is a part of opening a connection.
    pub fn is_dial(self) -> bool {
        matches!(self, Self::Dns | Self::Tcp | Self::Tls | Self::Auth)
    }
}

impl Behaviour {
    pub const ALL: [Self; 8] =
        [Self::Ok, Self::Error, Self::Slow, Self::Never, Self::Reset, Self::HalfOpen, Self::Garbage, Self::Truncated];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Never => "never",
            Self::Reset => "reset",
            Self::HalfOpen => "half-open",
            Self::Garbage => "garbage",
            Self::Truncated => "truncated",
        }
    }

    /// Whether what was asked for comes, and in time.
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::Ok | Self::Slow)
    }
}
