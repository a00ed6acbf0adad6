//! A small Redis in memory, for whoever has none: strings with expiry, counters, hashes, lists, sets, pub/sub,
//! transactions.

#![allow(clippy::unnecessary_wraps, reason = "all commands have one signature, those that cannot fail too")]

mod args;
mod commands;
mod counters;
mod data;
mod expiry;
mod glob;
mod hashes;
mod hub;
mod keys;
mod lists;
mod long_double;
mod server;
mod session;
mod sets;
mod strings;

use data::Data;
use hub::Hub;
use session::Session;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};

/// One database, shared by all its connections.
#[derive(Clone, Default)]
pub(super) struct Store {
    data: Arc<Mutex<Data>>,
    hub: Arc<Mutex<Hub>>,
}

impl Store {
    /// Serves one connection until it closes.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite>(self, stream: S) {
        // Why a connection ended is its client's business, who sees it close.
        _ = Session::new(self).run(stream).await;
    }
}

/// What a store without any data answers to these requests.
#[cfg(feature = "bench-api")]
pub(super) fn answers(requests: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Session::new(Store::default()).answer(&mut requests.to_vec(), &mut out);
    out
}

#[cfg(test)]
mod tests;
