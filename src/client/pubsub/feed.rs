//! What comes over the links, and in which order it reaches the consumers.

use super::{
    delivery::GapReason,
    mailbox::Mailbox,
    moment::Both,
    state::{Entry, Line, State},
    topic::{Kind, Says, Topic, TopicMap, TopicSet, is_keyspace},
};
use crate::link::{Condition, Link};
use redis::{Msg, PushInfo, PushKind, RedisError, Value};
use std::{
    sync::{Arc, Weak},
    task::Waker,
    time::{Duration, SystemTime},
};

/// What the channels begin with over which marks are sent. A mark that comes over two links is the same moment in both.
pub(super) const MARKER: &[u8] = b"__entra-redis:handover:";

/// Which link of which line something has come over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) line: u64,
    pub(super) feed: u64,
}

/// What becomes of the messages that come over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// They come over the link before this one as well, which counts; until the mark.
    Discarding,
    /// They are held back: what comes before them is not told yet.
    Holding,
    Live,
    /// They come over the link after this one as well, which counts.
    Over,
}

/// One link of a line, and what it is subscribed to.
pub(super) struct Feed {
    pub(super) id: u64,
    pub(super) phase: Phase,
    /// What the server has confirmed.
    pub(super) confirmed: TopicSet,
    /// What the server has been asked for, and has not answered yet.
    pub(super) asking: TopicSet,
    /// What the server has been asked to end.
    pub(super) leaving: TopicSet,
    /// What the server refuses to end, and why.
    pub(super) unending: TopicMap<RedisError>,
    /// The line's task holds it.
    pub(super) link: Weak<Link>,
    /// When it was taken in.
    pub(super) began: Both,
}

/// A message that has come, and may have to wait.
pub(super) struct Held {
    pub(super) push: PushKind,
    pub(super) kind: Kind,
    pub(super) data: Vec<Value>,
    pub(super) came: SystemTime,
}

impl Held {
    /// The channel or the pattern that is subscribed to.
    fn name(&self) -> Option<&[u8]> {
        text(&self.data, 0)
    }

    pub(super) fn topic(&self) -> Option<Topic> {
        self.name().map(|name| self.kind.topic(name.to_vec()))
    }

    pub(super) fn is_of(&self, topic: &Topic) -> bool {
        self.kind == topic.kind() && self.name() == Some(topic.name())
    }
}

impl Feed {
    pub(super) fn new(id: u64, phase: Phase, link: Weak<Link>) -> Self {
        Self {
            id,
            phase,
            confirmed: TopicSet::default(),
            asking: TopicSet::default(),
            leaving: TopicSet::default(),
            unending: TopicMap::default(),
            link,
            began: Both::now(),
        }
    }

    /// Whether what comes over it reaches the consumers, now or after what comes before it. It does not while another
    /// link of its line delivers the same.
    pub(super) fn counts(&self) -> bool {
        matches!(self.phase, Phase::Holding | Phase::Live)
    }

    /// Whether what it is subscribed to has this, and goes on having it.
    pub(super) fn has(&self, topic: &Topic) -> bool {
        self.confirmed.has(topic) && !self.leaving.has(topic)
    }

    /// Whether the link is of no use any more.
    pub(super) fn is_down(&self) -> bool {
        self.link.upgrade().is_none_or(|link| link.has_ended() || matches!(link.condition(), Condition::Down(_)))
    }

    /// When the link last gave a sign of life.
    pub(super) fn heard(&self) -> SystemTime {
        let silent = self.link.upgrade().map_or(Duration::ZERO, |link| link.since_heard());
        self.began.last_heard(Both::now(), silent)
    }
}

/// What is to be done after a push, without the lock.
#[derive(Default)]
pub(super) struct Upshot {
    /// Those of the consumers that have something to read.
    pub(super) wakers: Vec<Waker>,
    /// The server has ended a subscription by itself: its slot has moved.
    pub(super) has_moved: bool,
}

impl State {
    /// Takes in what a link has received.
    pub(super) fn receive(&mut self, at: At, push: PushKind, data: Vec<Value>) -> Upshot {
        let mut upshot = Upshot::default();
        match Kind::of(&push) {
            Some((kind, Says::Message)) => {
                let came = SystemTime::now();
                self.message(at, Held { push, kind, data, came }, &mut upshot.wakers);
            }
            Some((kind, says)) => {
                if let Some(Value::BulkString(name)) = data.into_iter().next()
                    && !name.starts_with(MARKER)
                {
                    upshot.has_moved = self.confirmed(at, &kind.topic(name), says);
                }
            }
            None => {}
        }
        upshot
    }

    /// Notes what a server says of a subscription. True if it has ended one that it was not asked to end.
    fn confirmed(&mut self, at: At, topic: &Topic, says: Says) -> bool {
        let Some(line) = self.lines.get_mut(&at.line) else {
            return false;
        };
        let Some(feed) = line.feeds.iter_mut().find(|feed| feed.id == at.feed) else {
            return false;
        };
        if says == Says::Subscribed {
            feed.confirmed.insert(topic.kind(), topic.name().to_vec(), ());
            if let Some(entry) = self.entries.of_mut(topic) {
                entry.refused.retain(|(line, _)| *line != at.line);
            }
            return false;
        }
        feed.unending.remove(topic.kind(), topic.name());
        let had = feed.confirmed.remove(topic.kind(), topic.name()).is_some();
        let was_asked = feed.leaving.remove(topic.kind(), topic.name()).is_some();
        if !had || was_asked || feed.phase == Phase::Over {
            return false;
        }
        line.look_at(topic);
        self.lose(at.line, topic, SystemTime::now(), GapReason::Moved);
        true
    }

    /// Gives a message to those who want it.
    pub(super) fn message(&mut self, at: At, message: Held, wakers: &mut Vec<Waker>) {
        let kind = message.kind;
        let channel = text(&message.data, usize::from(kind == Kind::Pattern));
        let (Some(name), Some(channel)) = (message.name(), channel) else {
            return;
        };
        if channel.starts_with(MARKER) {
            if let (Kind::Channel, Some(mark)) = (kind, text(&message.data, 1)) {
                self.marked(at, name, mark, wakers);
            }
            return;
        }
        let Some(line) = self.lines.get_mut(&at.line) else { return };
        let Some(phase) = line.feeds.iter().find(|feed| feed.id == at.feed).map(|feed| feed.phase) else { return };
        let Some(entry) = self.entries.get(kind, name).filter(|entry| entry.lines.contains(&at.line)) else { return };
        // Each node tells of its own keys; everything else comes from all of them.
        let is_copy = entry.lines.len() > 1 && entry.ordinary != Some(at.line) && !is_keyspace(channel);
        if is_copy || matches!(phase, Phase::Discarding | Phase::Over) {
            return;
        }
        if phase == Phase::Live && !entry.is_lost_at(at.line) {
            return give(entry, message, wakers);
        }
        let topic = kind.topic(name.to_vec());
        if line.held.len() < self.most_held && !line.spilled.contains_key(&topic) {
            line.held.push_back(message);
        } else {
            self.spill(at.line, &topic);
        }
    }

    /// A mark has come: of two links of a line the old one counts before it, and the new one after it.
    fn marked(&mut self, at: At, marker: &[u8], mark: &[u8], wakers: &mut Vec<Waker>) {
        // A mark of an earlier attempt may come late.
        let is_it = |line: &&mut Line| line.marker == marker && line.mark.as_deref() == Some(mark);
        let Some(line) = self.lines.get_mut(&at.line).filter(is_it) else {
            return;
        };
        let [old, new] = &mut line.feeds[..] else {
            return;
        };
        if at.feed == old.id && old.phase == Phase::Live {
            old.phase = Phase::Over;
        } else if at.feed == new.id && new.phase == Phase::Discarding {
            new.phase = Phase::Holding;
        }
        if old.phase == Phase::Over && new.phase == Phase::Holding {
            new.phase = Phase::Live;
            let at = At { line: at.line, feed: new.id };
            line.bell.notify_one();
            self.catch_up(at, wakers);
        }
    }
}

fn text(data: &[Value], at: usize) -> Option<&[u8]> {
    match data.get(at) {
        Some(Value::BulkString(bytes)) => Some(bytes),
        _ => None,
    }
}

/// Puts a message into the mailboxes.
fn give(entry: &Entry, message: Held, wakers: &mut Vec<Waker>) {
    let Held { push, kind, data, .. } = message;
    let Some(msg) = Msg::from_push_info(PushInfo { kind: push, data }) else {
        return;
    };
    let Some(((_, last), others)) = entry.consumers.split_last() else {
        return;
    };
    let put = |mailbox: &Arc<Mailbox>, msg| mailbox.message(kind, msg);
    wakers.extend(others.iter().filter_map(|(_, mailbox)| put(mailbox, msg.clone())));
    wakers.extend(put(last, msg));
}

#[cfg(test)]
mod tests;
