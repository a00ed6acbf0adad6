//! What a connection manager tells of itself: events, spans, figures, health.

pub(crate) mod caches;
pub(crate) mod event;
pub(crate) mod health;
pub(crate) mod journal;
#[cfg(feature = "metrics")]
pub(crate) mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "metrics_off.rs"]
pub(crate) mod metrics;
mod name;
pub(crate) mod stats;
pub(crate) mod trace;
