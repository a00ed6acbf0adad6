//! One answer to whether all is well.

use std::fmt;

/// How the connection manager is, from [`ConnectionManager::health`](crate::ConnectionManager::health).
///
/// For Kubernetes: [`is_ready`](Self::is_ready) fits a readiness probe, [`is_alive`](Self::is_alive) a liveness probe.
/// A cache or an identity provider that is down is no reason to restart a service, which would not bring it back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Every connection is up, and the token is renewed in time.
    Healthy,
    /// Commands are served, but something is wrong that may become worse.
    #[non_exhaustive]
    Degraded {
        /// All that is wrong, in words.
        reason: String,
    },
    /// No command is served now; it goes on trying.
    #[non_exhaustive]
    Down {
        /// Why, in words.
        reason: String,
    },
    /// No command is served any more: it has been shut down.
    Stopped,
}

impl Health {
    /// Whether commands are served.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Healthy | Self::Degraded { .. })
    }

    /// Whether commands are served or may be served again without a restart.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !matches!(self, Self::Stopped)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Degraded { reason } => write!(f, "degraded: {reason}"),
            Self::Down { reason } => write!(f, "down: {reason}"),
            Self::Stopped => f.write_str("shut down"),
        }
    }
}
