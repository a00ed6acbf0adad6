//! What can be subscribed to.

use redis::PushKind;
use std::{
    collections::{HashMap, hash_map},
    fmt,
};

/// What is subscribed to, by its name on the server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Topic {
    /// A channel, by `subscribe`.
    Channel(Vec<u8>),
    /// A pattern of channels, by `psubscribe`.
    Pattern(Vec<u8>),
    /// A sharded channel, by `ssubscribe`.
    Sharded(Vec<u8>),
}

impl Topic {
    /// The name of the channel, or the pattern.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        let (Self::Channel(name) | Self::Pattern(name) | Self::Sharded(name)) = self;
        name
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Channel(_) => Kind::Channel,
            Self::Pattern(_) => Kind::Pattern,
            Self::Sharded(_) => Kind::Sharded,
        }
    }
}

/// The name, as far as it is text.
impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(self.name()).fmt(f)
    }
}

/// The kinds of topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Channel,
    Pattern,
    Sharded,
}

/// What a push says of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Message,
    Subscribed,
    Unsubscribed,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Channel, Self::Pattern, Self::Sharded];

    pub(super) fn topic(self, name: Vec<u8>) -> Topic {
        match self {
            Self::Channel => Topic::Channel(name),
            Self::Pattern => Topic::Pattern(name),
            Self::Sharded => Topic::Sharded(name),
        }
    }

    /// The command that subscribes, and the kind of its confirmations.
    pub(super) fn subscribe(self) -> (&'static str, PushKind) {
        match self {
            Self::Channel => ("SUBSCRIBE", PushKind::Subscribe),
            Self::Pattern => ("PSUBSCRIBE", PushKind::PSubscribe),
            Self::Sharded => ("SSUBSCRIBE", PushKind::SSubscribe),
        }
    }

    /// The same of the command that ends it.
    pub(super) fn unsubscribe(self) -> (&'static str, PushKind) {
        match self {
            Self::Channel => ("UNSUBSCRIBE", PushKind::Unsubscribe),
            Self::Pattern => ("PUNSUBSCRIBE", PushKind::PUnsubscribe),
            Self::Sharded => ("SUNSUBSCRIBE", PushKind::SUnsubscribe),
        }
    }

    /// What a push is about; none for one that is about no topic.
    pub(super) fn of(push: &PushKind) -> Option<(Self, Says)> {
        Some(match push {
            PushKind::Message => (Self::Channel, Says::Message),
            PushKind::PMessage => (Self::Pattern, Says::Message),
            PushKind::SMessage => (Self::Sharded, Says::Message),
            PushKind::Subscribe => (Self::Channel, Says::Subscribed),
            PushKind::PSubscribe => (Self::Pattern, Says::Subscribed),
            PushKind::SSubscribe => (Self::Sharded, Says::Subscribed),
            PushKind::Unsubscribe => (Self::Channel, Says::Unsubscribed),
            PushKind::PUnsubscribe => (Self::Pattern, Says::Unsubscribed),
            PushKind::SUnsubscribe => (Self::Sharded, Says::Unsubscribed),
            _ => return None,
        })
    }
}

/// Channels of keyspace notifications begin like that. Each node of a cluster sends its own, and to nobody else.
const KEYSPACE: [&[u8]; 2] = [b"__keyspace@", b"__keyevent@"];

/// What both begin with. A pattern that is less definite is not taken for one of keyspace notifications.
const KEYSPACE_STEM: &[u8] = b"__key";

/// Whether a channel is one of keyspace notifications.
pub(super) fn is_keyspace(channel: &[u8]) -> bool {
    KEYSPACE.iter().any(|prefix| channel.starts_with(prefix))
}

impl Topic {
    /// Whether it is about what each node of a cluster tells for itself.
    pub(super) fn is_of_each_node(&self) -> bool {
        match self {
            Self::Channel(name) => is_keyspace(name),
            Self::Pattern(pattern) => {
                let end = pattern.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(pattern.len());
                let literal = &pattern[..end];
                let may_go_on = |prefix: &&[u8]| prefix.starts_with(literal) || literal.starts_with(prefix);
                literal.starts_with(KEYSPACE_STEM) && KEYSPACE.iter().any(may_go_on)
            }
            Self::Sharded(_) => false,
        }
    }
}

/// Something for topics, found without a copy of their names.
pub(super) struct TopicMap<T>([HashMap<Vec<u8>, T>; 3]);

pub(super) type TopicSet = TopicMap<()>;

impl<T> Default for TopicMap<T> {
    fn default() -> Self {
        Self([HashMap::new(), HashMap::new(), HashMap::new()])
    }
}

impl<T> TopicMap<T> {
    pub(super) fn get(&self, kind: Kind, name: &[u8]) -> Option<&T> {
        self.0[kind as usize].get(name)
    }

    pub(super) fn of(&self, topic: &Topic) -> Option<&T> {
        self.get(topic.kind(), topic.name())
    }

    pub(super) fn of_mut(&mut self, topic: &Topic) -> Option<&mut T> {
        self.0[topic.kind() as usize].get_mut(topic.name())
    }

    pub(super) fn entry(&mut self, topic: &Topic) -> hash_map::Entry<'_, Vec<u8>, T> {
        self.0[topic.kind() as usize].entry(topic.name().to_vec())
    }

    pub(super) fn has(&self, topic: &Topic) -> bool {
        self.of(topic).is_some()
    }

    pub(super) fn insert(&mut self, kind: Kind, name: Vec<u8>, value: T) {
        self.0[kind as usize].insert(name, value);
    }

    pub(super) fn remove(&mut self, kind: Kind, name: &[u8]) -> Option<T> {
        self.0[kind as usize].remove(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(HashMap::is_empty)
    }

    pub(super) fn clear(&mut self) {
        self.0.iter_mut().for_each(HashMap::clear);
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = Topic> {
        Kind::ALL.into_iter().flat_map(|kind| self.0[kind as usize].keys().map(move |name| kind.topic(name.clone())))
    }
}

#[cfg(test)]
mod tests;
