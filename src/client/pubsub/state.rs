//! Who wants what, where it is subscribed to, and what has been missed of it.

use super::{
    delivery::GapReason,
    feed::{At, Feed, Held, Phase},
    mailbox::Mailbox,
    topic::{Topic, TopicMap, TopicSet},
};
use crate::cluster::node::Node;
use redis::RedisError;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    task::Waker,
};
use tokio::{sync::Notify, time::Instant};

/// What everybody who has to do with subscriptions shares, behind a lock that is held for no longer than a push takes.
pub(super) struct State {
    pub(super) consumers: HashMap<u64, Consumer>,
    pub(super) entries: TopicMap<Entry>,
    /// What has no place yet.
    pub(super) unplaced: Vec<Topic>,
    pub(super) lines: HashMap<u64, Line>,
    /// Messages that a line holds back at most.
    pub(super) most_held: usize,
    pub(super) has_ended: bool,
    next: u64,
}

/// A stream of deliveries.
pub(super) struct Consumer {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) topics: HashSet<Topic>,
}

/// What somebody wants.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) consumers: Vec<(u64, Arc<Mailbox>)>,
    /// Where it is to be subscribed to: at one line, or at those of all primaries.
    pub(super) lines: Vec<u64>,
    /// Of several lines, the one whose messages count that come from all of them.
    pub(super) ordinary: Option<u64>,
    /// By lines, what has been missed, and is not subscribed to again.
    pub(super) lost: Vec<(u64, Lost)>,
    /// What the server says against it.
    pub(super) refused: Option<RedisError>,
}

/// Since when, why, and for whom something is missed.
#[derive(Clone)]
pub(super) struct Lost {
    pub(super) from: Instant,
    pub(super) reason: GapReason,
    pub(super) consumers: Vec<u64>,
}

/// The subscriptions at one node, which share a link.
pub(super) struct Line {
    pub(super) node: Arc<Node>,
    /// Rung when there is something to do for the line's task.
    pub(super) bell: Arc<Notify>,
    pub(super) wanted: TopicSet,
    /// What may not be as it is wanted.
    pub(super) dirty: HashSet<Topic>,
    /// What has been missed here.
    pub(super) missing: HashSet<Topic>,
    /// The link; and while it is being replaced, the next one.
    pub(super) feeds: Vec<Feed>,
    /// Messages that come after something that is not told yet.
    pub(super) held: VecDeque<Held>,
    /// A channel of its own, over which it finds the same moment in two links.
    pub(super) marker: Vec<u8>,
    /// What is sent over that at the moment.
    pub(super) mark: Option<Vec<u8>>,
}

impl State {
    pub(super) fn new(most_held: usize) -> Self {
        Self {
            consumers: HashMap::new(),
            entries: TopicMap::default(),
            unplaced: Vec::new(),
            lines: HashMap::new(),
            most_held,
            has_ended: false,
            next: 0,
        }
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Notes that a consumer wants this; whether it did not before.
    pub(super) fn join(&mut self, consumer: u64, topic: &Topic) -> bool {
        let Some(Consumer { mailbox, topics }) = self.consumers.get_mut(&consumer) else {
            return false;
        };
        let is_new = topics.insert(topic.clone());
        let entry = self.entries.entry(topic).or_default();
        if is_new {
            entry.consumers.push((consumer, Arc::clone(mailbox)));
        }
        if entry.lines.is_empty() {
            self.unplaced.push(topic.clone());
        } else if entry.refused.take().is_some() {
            for line in &entry.lines {
                if let Some(line) = self.lines.get_mut(line) {
                    line.look_at(topic);
                }
            }
        }
        is_new
    }

    /// Notes that a consumer does not want this any more.
    pub(super) fn leave(&mut self, consumer: u64, topic: &Topic) {
        if let Some(consumer) = self.consumers.get_mut(&consumer) {
            consumer.topics.remove(topic);
        }
        let Some(entry) = self.entries.of_mut(topic) else {
            return;
        };
        entry.consumers.retain(|(other, _)| *other != consumer);
        if entry.consumers.is_empty()
            && let Some(entry) = self.entries.remove(topic.kind(), topic.name())
        {
            for line in entry.lines {
                if let Some(line) = self.lines.get_mut(&line) {
                    line.wanted.remove(topic.kind(), topic.name());
                    line.missing.remove(topic);
                    line.look_at(topic);
                }
            }
        }
    }

    /// How it stands with a subscription: nothing to say yet, in force, or refused.
    pub(super) fn is_in_force(&self, topic: &Topic) -> Option<Result<(), RedisError>> {
        let entry = self.entries.of(topic)?;
        if let Some(error) = &entry.refused {
            return Some(Err(error.clone()));
        }
        let has = |line: &u64| self.lines.get(line).is_some_and(|line| line.has(topic));
        (!entry.lines.is_empty() && entry.lines.iter().all(has)).then_some(Ok(()))
    }

    /// Whether no server has this subscription, or somebody wants it.
    pub(super) fn is_through(&self, topic: &Topic) -> bool {
        self.entries.has(topic) || !self.lines.values().any(|line| line.has(topic))
    }

    /// Puts a topic at these lines in place of those where it was. False if one of them has just ended.
    pub(super) fn place(&mut self, topic: &Topic, lines: &[u64], ordinary: Option<u64>) -> bool {
        let Some(entry) = self.entries.of_mut(topic) else {
            return true;
        };
        if !lines.iter().all(|line| self.lines.contains_key(line)) {
            return false;
        }
        let ordinary_before = std::mem::replace(&mut entry.ordinary, ordinary);
        if entry.lines == lines {
            if let (Some(before), Some(now)) = (ordinary_before, ordinary)
                && before != now
            {
                // What comes from all nodes counts as it comes from this one now, which may be behind or ahead.
                self.lose(now, topic, Instant::now(), GapReason::Moved);
                if let Some(line) = self.lines.get_mut(&now) {
                    line.look_at(topic);
                }
            }
            return true;
        }
        let before = std::mem::replace(&mut entry.lines, lines.to_vec());
        let consumers: Vec<_> = entry.consumers.iter().map(|(id, _)| *id).collect();
        let mut lost: Option<Lost> = None;
        for id in before.iter().filter(|id| !lines.contains(id)) {
            let here = entry.lost.iter().position(|(line, _)| line == id).map(|at| entry.lost.swap_remove(at).1);
            let Some(line) = self.lines.get_mut(id) else { continue };
            line.wanted.remove(topic.kind(), topic.name());
            line.missing.remove(topic);
            line.look_at(topic);
            let moved = || {
                let feed = line.feeds.iter().find(|feed| feed.has(topic))?;
                // The cluster may have told before the line's task has looked.
                let reason = if feed.is_down() { GapReason::ConnectionLost } else { GapReason::Moved };
                Some(Lost { from: feed.heard(), reason, consumers: consumers.clone() })
            };
            lost = lost.or(here).or_else(moved);
        }
        // Of a further node nobody has heard before.
        let is_more = !before.is_empty() && before.iter().all(|line| lines.contains(line));
        if is_more {
            lost = Some(Lost { from: Instant::now(), reason: GapReason::Moved, consumers });
        }
        for id in lines.iter().filter(|id| !before.contains(id)) {
            if let Some(line) = self.lines.get_mut(id) {
                line.wanted.insert(topic.kind(), topic.name().to_vec(), ());
                line.look_at(topic);
                if let Some(lost) = &lost {
                    line.missing.insert(topic.clone());
                    entry.lost.push((*id, lost.clone()));
                }
            }
        }
        true
    }

    /// Notes that messages of a topic do not come at a line any more.
    pub(super) fn lose(&mut self, line_id: u64, topic: &Topic, from: Instant, reason: GapReason) {
        let (Some(line), Some(entry)) = (self.lines.get_mut(&line_id), self.entries.of_mut(topic)) else {
            return;
        };
        if !line.wanted.has(topic) {
            return;
        }
        line.missing.insert(topic.clone());
        let consumers = entry.consumers.iter().map(|(id, _)| *id);
        match entry.lost.iter_mut().find(|(line, _)| *line == line_id) {
            Some((_, lost)) => {
                lost.from = lost.from.min(from);
                lost.consumers = consumers.collect();
            }
            None => entry.lost.push((line_id, Lost { from, reason, consumers: consumers.collect() })),
        }
    }

    /// Tells the consumers of what has been missed at a line and is subscribed to again; and gives them what was held
    /// back for that.
    pub(super) fn catch_up(&mut self, at: At, wakers: &mut Vec<Waker>) {
        let now = Instant::now();
        let Some(line) = self.lines.get_mut(&at.line) else {
            return;
        };
        let Some(feed) = line.feeds.iter_mut().find(|feed| feed.id == at.feed && feed.phase == Phase::Live) else {
            return;
        };
        let back: Vec<_> = line.missing.iter().filter(|topic| feed.has(topic)).cloned().collect();
        let held = std::mem::take(&mut line.held);
        let mut gaps: HashMap<(u64, GapReason), (Vec<Topic>, Instant)> = HashMap::new();
        for topic in back {
            line.missing.remove(&topic);
            let Some(entry) = self.entries.of_mut(&topic) else { continue };
            let Some(place) = entry.lost.iter().position(|(line, _)| *line == at.line) else { continue };
            let (_, lost) = entry.lost.swap_remove(place);
            for consumer in lost.consumers {
                let gap = gaps.entry((consumer, lost.reason)).or_insert_with(|| (Vec::new(), lost.from));
                gap.0.push(topic.clone());
                gap.1 = gap.1.min(lost.from);
            }
        }
        for ((consumer, reason), (topics, from)) in gaps {
            let Some(consumer) = self.consumers.get(&consumer) else { continue };
            let topics = topics.into_iter().filter(|topic| consumer.topics.contains(topic));
            let topics: Vec<_> = topics.collect();
            if !topics.is_empty() {
                wakers.extend(consumer.mailbox.gap(topics, (from, now), reason));
            }
        }
        for Held { push, kind, data } in held {
            self.message(at, kind, push, data, wakers);
        }
    }

    /// No consumer gets anything more.
    pub(super) fn end(&mut self) -> Vec<Waker> {
        self.has_ended = true;
        self.consumers.values().filter_map(|consumer| consumer.mailbox.end()).collect()
    }
}

impl Line {
    pub(super) fn new(node: Arc<Node>, bell: Arc<Notify>, marker: Vec<u8>) -> Self {
        Self {
            node,
            bell,
            wanted: TopicSet::default(),
            dirty: HashSet::new(),
            missing: HashSet::new(),
            feeds: Vec::new(),
            held: VecDeque::new(),
            marker,
            mark: None,
        }
    }

    /// Has the line's task see to a topic.
    pub(super) fn look_at(&mut self, topic: &Topic) {
        self.dirty.insert(topic.clone());
        self.bell.notify_one();
    }

    /// Whether the server has the subscription.
    pub(super) fn has(&self, topic: &Topic) -> bool {
        self.feeds.iter().any(|feed| feed.has(topic))
    }
}
