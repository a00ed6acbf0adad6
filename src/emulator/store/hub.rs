//! Who has subscribed to what.

use super::{data::Bytes, glob};
use crate::emulator::resp::Reply;
use std::collections::BTreeMap;
use tokio::sync::mpsc::UnboundedSender;

/// What subscribers get their messages through.
pub(super) type Mailbox = UnboundedSender<Reply>;

/// Channels or patterns, each with its subscribers by their session's number.
type Topics = BTreeMap<Bytes, BTreeMap<u64, Mailbox>>;

#[derive(Default)]
pub(super) struct Hub {
    channels: Topics,
    patterns: Topics,
    sessions: u64,
}

/// The two things that can be subscribed to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    Channel,
    Pattern,
}

impl Hub {
    /// A number for a new session.
    pub(super) fn register(&mut self) -> u64 {
        self.sessions += 1;
        self.sessions
    }

    fn topics(&mut self, topic: Topic) -> &mut Topics {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }

    pub(super) fn subscribe(&mut self, topic: Topic, name: &[u8], session: u64, mailbox: &Mailbox) {
        self.topics(topic).entry(name.to_vec()).or_default().insert(session, mailbox.clone());
    }

    pub(super) fn unsubscribe(&mut self, topic: Topic, name: &[u8], session: u64) {
        let topics = self.topics(topic);
        if let Some(subscribers) = topics.get_mut(name) {
            subscribers.remove(&session);
            if subscribers.is_empty() {
                topics.remove(name);
            }
        }
    }

    /// What the session has subscribed to.
    pub(super) fn of_session(&mut self, topic: Topic, session: u64) -> Vec<Bytes> {
        let mine = self.topics(topic).iter().filter(|(_, subscribers)| subscribers.contains_key(&session));
        mine.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn leave(&mut self, session: u64) {
        for topic in [Topic::Channel, Topic::Pattern] {
            for name in self.of_session(topic, session) {
                self.unsubscribe(topic, &name, session);
            }
        }
    }

    /// Sends the message to everybody who wants it; returns to how many.
    pub(super) fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut sent = 0;
        let mut deliver = |mailbox: &Mailbox, parts: &[&[u8]]| {
            let push = Reply::Push(parts.iter().map(Reply::bulk).collect());
            // One that is gone leaves by itself.
            sent += usize::from(mailbox.send(push).is_ok());
        };
        for mailbox in self.channels.get(channel).into_iter().flat_map(BTreeMap::values) {
            deliver(mailbox, &[b"message", channel, message]);
        }
        for (pattern, subscribers) in self.patterns.iter().filter(|(pattern, _)| glob::matches(pattern, channel)) {
            for mailbox in subscribers.values() {
                deliver(mailbox, &[b"pmessage", pattern, channel, message]);
            }
        }
        sent
    }
}
