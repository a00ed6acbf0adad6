//! The names of this process's pools in events, spans and figures: the server, with a number if it has several pools.

use crate::lock::lock;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

/// The names in use: two pools to the same server must not overwrite each other's figures.
static NAMES: Mutex<BTreeSet<Arc<str>>> = Mutex::new(BTreeSet::new());

/// A pool's name, which no other pool has until this is dropped.
#[derive(Debug)]
pub(crate) struct Name(Arc<str>);

impl Name {
    /// The server's name; for a second pool of the same server `server#2`, and so on.
    pub(crate) fn take(server: &str) -> Self {
        let mut names = lock(&NAMES);
        let mut name: Arc<str> = server.into();
        let mut number = 1;
        while !names.insert(Arc::clone(&name)) {
            number += 1;
            name = format!("{server}#{number}").into();
        }
        Self(name)
    }

    pub(crate) fn text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        lock(&NAMES).remove(&self.0);
    }
}

#[cfg(test)]
mod tests;
