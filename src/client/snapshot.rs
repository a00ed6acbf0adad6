//! What a connection manager shows of itself, put together from what each room reports.

use crate::{
    error::Error,
    observe::{
        health::Health,
        journal::Journal,
        stats::{Stats, TokenFailure},
    },
    pool::Pool,
    token::Tokens,
};
use tokio::time::Instant;

pub(super) fn stats(journal: &Journal, pool: &Pool, tokens: &Tokens) -> Stats {
    let failure = |(error, at): (Error, Instant)| TokenFailure { error, ago: at.elapsed() };
    Stats {
        pool: journal.name().to_string(),
        counters: journal.counters(),
        commands: pool.admission().stats(),
        token: tokens.stats(),
        last_token_error: journal.last_token_error(),
        last_token_failure: journal.last_token_failure().map(failure),
        links: pool.links().iter().map(|link| link.stats()).collect(),
        pool_size: pool.size(),
        dialing: pool.dialing(),
        draining: pool.draining(),
        last_connect_error: pool.last_error(),
    }
}

pub(super) fn health(journal: &Journal, pool: &Pool, tokens: &Tokens) -> Health {
    if pool.is_closed() {
        return Health::Stopped;
    }
    let (open, wanted) = (pool.open_places(), pool.size());
    let token_error = tokens.dead().or_else(|| journal.last_token_error());
    let connect_error = pool.last_error();
    let because = |error: &Option<Error>| error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    match (&token_error, open) {
        (_, 0) => {
            let reason = token_error.or_else(|| tokens.late()).or(connect_error);
            Health::Down(format!("no connection{}", because(&reason)))
        }
        (Some(error), _) => Health::Degraded(format!("the token cannot be renewed: {error}")),
        _ if open < wanted => Health::Degraded(format!("{open} of {wanted} connections{}", because(&connect_error))),
        _ => Health::Healthy,
    }
}
