//! A small Redis in memory, for whoever has none: strings with expiry, counters, hashes, lists, sets, streams with
//! consumer groups, pub/sub, transactions, and commands that wait.

#![allow(clippy::unnecessary_wraps, reason = "all commands have one signature, those that cannot fail too")]

mod args;
mod cluster;
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
mod places;
mod server;
mod session;
mod sets;
mod streams;
mod strings;
mod waiting;
mod watches;

use crate::lock::lock;
use data::Data;
use hub::Hub;
use session::Session;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};
use tokio::io::{AsyncRead, AsyncWrite};

pub(super) use cluster::{Layout, Member};

/// One database, shared by all its connections.
#[derive(Clone, Default)]
pub(super) struct Store {
    data: Arc<Mutex<Data>>,
    /// Messages reach all nodes of a cluster.
    hub: Arc<Mutex<Hub>>,
    /// Its place in a cluster, if it is a node of one.
    member: Option<Member>,
}

impl Store {
    /// An empty node of a cluster, whose messages reach this one's subscribers, too.
    pub(super) fn node(&self, member: Member) -> Self {
        Self { data: Arc::default(), hub: Arc::clone(&self.hub), member: Some(member) }
    }

    /// Forgets all data, as a server that is started again.
    pub(super) fn clear(&self) {
        lock(&self.data).clear();
    }

    /// Moves keys of these slots to another store, at most so many, then does what is to be seen together with that;
    /// returns how many it moved.
    pub(super) fn hand_over(&self, to: &Self, keys: &Handed<'_>, then: impl FnOnce()) -> usize {
        let (mut ours, mut theirs) = (lock(&self.data), lock(&to.data));
        let moved = ours.hand_over(&mut theirs, keys);
        then();
        // Who waits for what has gone is sent after it, and who waits for what has come gets it.
        for (store, data) in [(self, &mut ours), (to, &mut theirs)] {
            if let Some(member) = &store.member {
                data.waiting.redirect(|keys| member.moved(keys));
            }
            data.serve_waiting();
        }
        moved
    }

    /// Serves one connection until it closes.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite>(self, stream: S) {
        // Why a connection ended is its client's business, who sees it close.
        _ = Session::new(self).run(stream).await;
    }
}

/// Which keys go to another node.
pub(super) enum Handed<'a> {
    /// This one.
    Key(&'a [u8]),
    /// At most so many of those in these slots.
    Some(&'a BTreeSet<u16>, usize),
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
