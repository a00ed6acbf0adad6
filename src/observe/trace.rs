//! What is told to `tracing`. Targets, names and fields stay when code moves: the guide lists them all.

use crate::{
    error::{Error, ErrorKind},
    observe::event::Event,
};
use std::time::Duration;

/// The targets of everything that is told to `tracing`.
pub(crate) mod target {
    /// Tokens: fetched, renewed, expired.
    pub(crate) const TOKEN: &str = "entra_redis::token";
    /// Links: dialed, re-authenticated, lost.
    pub(crate) const LINK: &str = "entra_redis::link";
    /// Near caches: whether a node tells of changes.
    pub(crate) const CACHE: &str = "entra_redis::cache";
}

/// How something ended, as the field `outcome` of its span has it.
pub(crate) fn outcome<T>(result: &Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => match error.kind() {
            ErrorKind::Timeout(_) => "timed_out",
            ErrorKind::AuthenticationRejected | ErrorKind::CredentialRejected => "rejected",
            _ => "failed",
        },
    }
}

/// Tells `tracing`. The message is the event's name, with spaces.
pub(crate) fn event(pool: &str, event: &Event) {
    use target::{CACHE, LINK, TOKEN};
    use tracing::{debug, error, info, warn};
    let seconds = Duration::as_secs_f64;
    match event {
        Event::TokenRefreshed { generation, lifetime, next_refresh } => {
            let (lifetime_s, next_refresh_s) = (seconds(lifetime), seconds(next_refresh));
            info!(name: "token_refreshed", target: TOKEN, pool, generation, lifetime_s, next_refresh_s, "token refreshed");
        }
        Event::TokenUnchanged { next_refresh } => {
            let next_refresh_s = seconds(next_refresh);
            debug!(name: "token_unchanged", target: TOKEN, pool, next_refresh_s, "token unchanged");
        }
        Event::RefreshFailed { error, attempt, retry_in } => {
            let retry_in_s = seconds(retry_in);
            warn!(name: "token_refresh_failed", target: TOKEN, pool, %error, attempt, retry_in_s, "token refresh failed");
        }
        Event::TokenExpired { error } => {
            error!(name: "token_expired", target: TOKEN, pool, %error, "token expired");
        }
        Event::LinkUp { node, link, generation, reconnect, took } => {
            let took_s = seconds(took);
            info!(name: "link_up", target: LINK, pool, node = &**node, link, generation, reconnect, took_s, "link up");
        }
        Event::LinkDown { node, link, reason } => {
            warn!(name: "link_down", target: LINK, pool, node = &**node, link, reason = &**reason, "link down");
        }
        Event::LinkReplaced { node, link, by } => {
            info!(name: "link_replaced", target: LINK, pool, node = &**node, link, by, "link replaced");
        }
        Event::LinkDrained { node, link } => {
            debug!(name: "link_drained", target: LINK, pool, node = &**node, link, "link drained");
        }
        Event::LinkRetired { node, link } => {
            debug!(name: "link_retired", target: LINK, pool, node = &**node, link, "link retired");
        }
        Event::DialFailed { node, error, retry_in } => {
            let retry_in_s = seconds(retry_in);
            warn!(name: "dial_failed", target: LINK, pool, node = &**node, %error, retry_in_s, "dial failed");
        }
        Event::Reauthenticated { node, link, generation } => {
            debug!(name: "link_reauthenticated", target: LINK, pool, node = &**node, link, generation, "link reauthenticated");
        }
        Event::ReauthFailed { node, link, error } => {
            warn!(name: "link_reauth_failed", target: LINK, pool, node = &**node, link, %error, "link reauth failed");
        }
        Event::CacheTracking { node, link } => {
            info!(name: "cache_tracking", target: CACHE, pool, node = &**node, link, "cache tracking");
        }
        Event::CacheUntracked { node, reason } => {
            warn!(name: "cache_untracked", target: CACHE, pool, node = &**node, reason = &**reason, "cache untracked");
        }
    }
}

#[cfg(test)]
mod tests;
