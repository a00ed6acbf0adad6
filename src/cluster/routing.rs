//! Where commands go, once that is known.

use super::{node::Node, router::Cluster};
use crate::{error::Error, lock::lock};
use std::sync::{Arc, Mutex, OnceLock};

/// Where commands go.
pub(crate) enum Routing {
    /// All to this one.
    Single(Arc<Node>),
    /// Each to the owner of its keys' slot.
    Cluster(Arc<Cluster>),
}

/// The routing of a connection manager, which with a lazy start may be found after `connect`, and then stays.
#[derive(Clone, Default)]
pub(crate) struct Found(Arc<State>);

#[derive(Default)]
struct State {
    routing: OnceLock<Routing>,
    last_error: Mutex<Option<Error>>,
}

impl Found {
    /// What is known from the beginning.
    pub(crate) fn known(routing: Routing) -> Self {
        Self(Arc::new(State { routing: routing.into(), last_error: Mutex::default() }))
    }

    /// None as long as nobody knows whether the server is a cluster.
    #[inline]
    pub(crate) fn get(&self) -> Option<&Routing> {
        self.0.routing.get()
    }

    /// The first one that is found counts.
    pub(super) fn set(&self, routing: Routing) {
        _ = self.0.routing.set(routing);
        *lock(&self.0.last_error) = None;
    }

    /// Why it has not been found yet.
    pub(crate) fn last_error(&self) -> Option<Error> {
        lock(&self.0.last_error).clone()
    }

    pub(super) fn note_error(&self, error: Error) {
        *lock(&self.0.last_error) = Some(error);
    }
}
