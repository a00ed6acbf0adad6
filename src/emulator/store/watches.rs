//! What `WATCH` is for: which sessions watch which keys, and for whom something has changed.

use super::data::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// Keys, with those who want to know of changes, by their numbers.
#[derive(Default)]
pub(super) struct Interest(BTreeMap<Bytes, BTreeSet<u64>>);

impl Interest {
    pub(super) fn add(&mut self, key: &[u8], who: u64) {
        self.0.entry(key.to_vec()).or_default().insert(who);
    }

    pub(super) fn remove(&mut self, key: &[u8], who: u64) {
        if let Some(others) = self.0.get_mut(key) {
            others.remove(&who);
            if others.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.0.contains_key(key)
    }

    /// Those who are interested in the key, in the order of their numbers.
    pub(super) fn of(&self, key: &[u8]) -> Vec<u64> {
        self.0.get(key).into_iter().flatten().copied().collect()
    }
}

#[derive(Default)]
pub(super) struct Watches {
    interest: Interest,
    sessions: BTreeMap<u64, Watched>,
}

#[derive(Default)]
struct Watched {
    keys: Vec<Bytes>,
    changed: bool,
}

impl Watches {
    pub(super) fn add(&mut self, session: u64, key: &[u8]) {
        self.interest.add(key, session);
        self.sessions.entry(session).or_default().keys.push(key.to_vec());
    }

    pub(super) fn touch(&mut self, key: &[u8]) {
        for session in self.interest.of(key) {
            if let Some(watched) = self.sessions.get_mut(&session) {
                watched.changed = true;
            }
        }
    }

    /// The keys that the session watches.
    pub(super) fn of(&self, session: u64) -> Vec<Bytes> {
        self.sessions.get(&session).map_or_else(Vec::new, |watched| watched.keys.clone())
    }

    /// Forgets them; whether none of them has changed.
    pub(super) fn remove(&mut self, session: u64) -> bool {
        let Watched { keys, changed } = self.sessions.remove(&session).unwrap_or_default();
        for key in keys {
            self.interest.remove(&key, session);
        }
        !changed
    }
}
