//! How long things may take.

use super::Config;
use std::time::Duration;

impl Config {
    /// How long `connect` may take in all, reading the files of certificates and keys included; default 30 s. With
    /// [`Startup::Lazy`](crate::Startup::Lazy) the files are all that it waits for.
    pub fn startup_timeout(mut self, timeout: Duration) -> Self {
        self.startup_timeout = timeout;
        self
    }

    /// How long DNS, TCP and TLS may take for one connection; default 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long Redis may take to answer `AUTH`; default 15 s, as the service may validate a token for 10 s.
    pub fn auth_timeout(mut self, timeout: Duration) -> Self {
        self.auth_timeout = timeout;
        self
    }

    /// How long a command may take, from the call to its reply, waiting for a connection included; default 5 s.
    ///
    /// The time is kept on the runtime that called `connect`, wherever the command is polled: on another runtime, on
    /// one without timers, or by any other executor. While nobody drives that runtime, nothing ends; once it has ended,
    /// commands fail as after `shutdown`.
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// How long `shutdown` waits for the commands in flight; default the command timeout, which none of them outlasts.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// How long a connection may be silent before it is checked with a `PING`; default 60 s. Azure closes connections
    /// that are idle for 10 minutes.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }
}
