//! What a connection manager shows of itself, put together from what each room reports.

use crate::{
    admission::Admission,
    cluster::node::Node,
    error::Error,
    observe::{
        health::Health,
        journal::Journal,
        stats::{Stats, TokenFailure},
    },
    pool::Availability,
    token::Tokens,
};
use std::sync::Arc;
use tokio::time::Instant;

/// Those who report.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) journal: Journal,
    pub(super) tokens: Tokens,
    pub(super) admission: Arc<Admission>,
    pub(super) availability: Arc<Availability>,
    pub(super) node: Arc<Node>,
}

impl Sources {
    pub(super) fn stats(&self) -> Stats {
        let pool = self.node.pool();
        let failure = |(error, at): (Error, Instant)| TokenFailure { error, ago: at.elapsed() };
        Stats {
            pool: self.journal.name().to_string(),
            counters: self.journal.counters(),
            commands: self.admission.stats(),
            token: self.tokens.stats(),
            last_token_error: self.journal.last_token_error(),
            last_token_failure: self.journal.last_token_failure().map(failure),
            links: pool.snapshot().iter().map(|link| link.stats()).collect(),
            pool_size: pool.size(),
            dialing: pool.dialing(),
            draining: pool.draining(),
            last_connect_error: pool.last_error(),
        }
    }

    pub(super) fn health(&self) -> Health {
        let pool = self.node.pool();
        if self.availability.is_closed() || pool.has_ended() {
            return Health::Stopped;
        }
        let (open, wanted) = (pool.open_seats(), pool.size());
        let token_error = self.tokens.dead().or_else(|| self.journal.last_token_error());
        let connect_error = pool.last_error();
        let because = |error: &Option<Error>| error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
        match (&token_error, open) {
            (_, 0) => {
                let reason = token_error.or_else(|| self.tokens.late()).or(connect_error);
                Health::Down(format!("no connection{}", because(&reason)))
            }
            (Some(error), _) => Health::Degraded(format!("the token cannot be renewed: {error}")),
            _ if open < wanted => {
                Health::Degraded(format!("{open} of {wanted} connections{}", because(&connect_error)))
            }
            _ => Health::Healthy,
        }
    }
}
