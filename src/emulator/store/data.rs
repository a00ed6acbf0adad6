//! Keys, their values, and when they expire.

use super::{
    Handed,
    args::{Outcome, Problem},
    streams::Stream,
    waiting::Waiting,
    watches::Watches,
};
use crate::emulator::{resp::Reply, slots::slot_of, tokens::since_epoch};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::SystemTime,
};

const WRONGTYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

pub(super) type Bytes = Vec<u8>;
pub(super) type Hash = BTreeMap<Bytes, Bytes>;
pub(super) type List = VecDeque<Bytes>;
pub(super) type Set = BTreeSet<Bytes>;

#[derive(Clone)]
pub(super) enum Value {
    String(Bytes),
    Hash(Hash),
    List(List),
    Set(Set),
    Stream(Stream),
}

pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) expires: Option<Moment>,
}

/// Milliseconds since 1970, as Redis counts them: it takes moments that no clock can show.
pub(super) type Moment = i64;

pub(super) fn now() -> Moment {
    i64::try_from(since_epoch(SystemTime::now()).as_millis()).unwrap_or(i64::MAX)
}

/// A type of value that keys can hold.
pub(super) trait Kind: Default {
    fn of(value: &mut Value) -> Option<&mut Self>;
    fn wrap(self) -> Value;
    fn is_empty(&self) -> bool;
}

macro_rules! kind {
    ($type:ty, $variant:ident, $is_empty:expr) => {
        impl Kind for $type {
            fn of(value: &mut Value) -> Option<&mut Self> {
                match value {
                    Value::$variant(inner) => Some(inner),
                    _ => None,
                }
            }

            fn wrap(self) -> Value {
                Value::$variant(self)
            }

            fn is_empty(&self) -> bool {
                $is_empty(self)
            }
        }
    };
}

// An empty string is a value; an empty collection is none.
kind!(Bytes, String, |_: &Bytes| false);
kind!(Hash, Hash, Hash::is_empty);
kind!(List, List, List::is_empty);
kind!(Set, Set, Set::is_empty);
// A stream without entries still has its groups, and the id of its last entry.
kind!(Stream, Stream, |_: &Stream| false);

/// The database.
#[derive(Default)]
pub(super) struct Data {
    entries: BTreeMap<Bytes, Entry>,
    pub(super) watches: Watches,
    pub(super) waiting: Waiting,
}

impl Data {
    /// The key's entry, unless it has expired. Who changes something in it [touches](Self::touch) the key.
    pub(super) fn entry(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let expired = |entry: &Entry| entry.expires.is_some_and(|at| at < now());
        if self.entries.get(key).is_some_and(expired) {
            self.entries.remove(key);
            self.touch(key);
        }
        self.entries.get_mut(key)
    }

    /// Tells those who watch the key, and those who wait for it, that it has changed.
    pub(super) fn touch(&mut self, key: &[u8]) {
        self.watches.touch(key);
        self.waiting.touch(key);
    }

    /// Makes a session's next `EXEC` depend on these keys.
    pub(super) fn watch<'a>(&mut self, session: u64, keys: impl Iterator<Item = &'a [u8]>) {
        for key in keys {
            self.entry(key);
            self.watches.add(session, key);
        }
    }

    /// Ends what the session watches; whether all of it is as it was.
    pub(super) fn unwatch(&mut self, session: u64) -> bool {
        for key in self.watches.of(session) {
            // That it has expired is a change, which nobody may have met yet.
            self.entry(&key);
        }
        self.watches.remove(session)
    }

    /// The key's value, which must be of this kind.
    pub(super) fn get<K: Kind>(&mut self, key: &[u8]) -> Result<Option<&mut K>, Problem> {
        match self.entry(key) {
            None => Ok(None),
            Some(entry) => K::of(&mut entry.value).map(Some).ok_or_else(|| WRONGTYPE.into()),
        }
    }

    /// Changes the key's value, which is made if it is not there, and removed if it is empty then. A change that fails
    /// leaves everything as it was; one that succeeds counts as one, even if the value is the same as before, as in
    /// Redis.
    pub(super) fn update<K: Kind, T>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut K) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        self.change(key, change, |_| true)
    }

    /// As `update`, for a change that says how much it has changed: what is nothing is no change for those who watch.
    pub(super) fn update_some<K: Kind>(&mut self, key: &[u8], change: impl FnOnce(&mut K) -> usize) -> Outcome {
        self.change(key, |value| Ok(change(value)), |changed| *changed > 0).map(count)
    }

    fn change<K: Kind, T>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut K) -> Result<T, Problem>,
        counts: impl FnOnce(&T) -> bool,
    ) -> Result<T, Problem> {
        let Some(value) = self.get::<K>(key)? else {
            let mut value = K::default();
            let result = change(&mut value)?;
            if !value.is_empty() {
                self.put(key, value.wrap(), None);
            }
            return Ok(result);
        };
        let result = change(value)?;
        if value.is_empty() {
            self.entries.remove(key);
        }
        if counts(&result) {
            self.touch(key);
        }
        Ok(result)
    }

    pub(super) fn put(&mut self, key: &[u8], value: Value, expires: Option<Moment>) {
        self.entries.insert(key.to_vec(), Entry { value, expires });
        self.touch(key);
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        self.entry(key)?;
        self.touch(key);
        self.entries.remove(key)
    }

    pub(super) fn exists(&mut self, key: &[u8]) -> bool {
        self.entry(key).is_some()
    }

    /// All keys in order, without those that have expired.
    pub(super) fn keys(&mut self) -> Vec<Bytes> {
        let now = now();
        let gone = self.entries.iter().filter(|(_, entry)| entry.expires.is_some_and(|at| at < now));
        for key in gone.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.entries.remove(&key);
            self.touch(&key);
        }
        self.entries.keys().cloned().collect()
    }

    /// Those of a slot.
    pub(super) fn keys_in(&mut self, slot: u16) -> Vec<Bytes> {
        self.keys().into_iter().filter(|key| slot_of(key) == slot).collect()
    }

    /// Moves keys to another database; returns how many there were.
    pub(super) fn hand_over(&mut self, to: &mut Self, keys: &Handed<'_>) -> usize {
        let handed: Vec<_> = match keys {
            Handed::Key(key) => self.entries.remove_entry(*key).into_iter().collect(),
            Handed::Some(slots, at_most) => {
                let wanted = |key: &&Bytes| slots.contains(&slot_of(key));
                let keys: Vec<_> = self.entries.keys().filter(wanted).take(*at_most).cloned().collect();
                keys.iter().filter_map(|key| self.entries.remove_entry(key)).collect()
            }
        };
        let count = handed.len();
        for (key, entry) in handed {
            self.touch(&key);
            to.put(&key, entry.value, entry.expires);
        }
        count
    }

    pub(super) fn clear(&mut self) {
        for key in std::mem::take(&mut self.entries).into_keys() {
            self.touch(&key);
        }
    }
}

pub(super) fn count(number: usize) -> Reply {
    Reply::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn bulk_or_nil(bytes: Option<&Bytes>) -> Reply {
    bytes.map_or(Reply::Nil, Reply::bulk)
}

/// How many of `items` satisfy `holds`.
pub(super) fn count_of<I: Iterator>(items: I, holds: impl FnMut(&I::Item) -> bool) -> Reply {
    count(items.filter(holds).count())
}
