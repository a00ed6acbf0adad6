//! Who wants what, and where it is subscribed to.

use super::{
    feed::{Feed, Held},
    losses::Lost,
    mailbox::Mailbox,
    topic::{Topic, TopicMap, TopicSet},
};
use crate::cluster::node::Node;
use redis::RedisError;
use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map},
    sync::Arc,
    task::Waker,
};
use tokio::sync::Notify;

/// What everybody who has to do with subscriptions shares, behind a lock that is held for no longer than a push takes.
pub(super) struct State {
    pub(super) consumers: HashMap<u64, Consumer>,
    pub(super) entries: TopicMap<Entry>,
    /// Topics that are at no line yet, all of which have an entry.
    unplaced: HashSet<Topic>,
    pub(super) lines: HashMap<u64, Line>,
    /// Messages that a line holds back at most.
    pub(super) most_held: usize,
    pub(super) has_ended: bool,
    next: u64,
}

/// A stream of deliveries.
pub(super) struct Consumer {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) topics: HashMap<Topic, Claim>,
}

/// That a consumer wants a topic, from the call that asked for it first until it is ended. Several calls, of clones of
/// a sink, may ask for the same; it goes only if all of them fail.
pub(super) struct Claim {
    /// Which claim it is: the topic may be ended and asked for again while a call waits.
    number: u64,
    /// Calls that wait for it to be in force.
    waiting: usize,
    /// Whether somebody has been told that it is in force.
    is_told: bool,
}

/// A topic that consumers want.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) consumers: Vec<(u64, Arc<Mailbox>)>,
    /// Where it is to be subscribed to: at one line, or at those of all primaries.
    pub(super) lines: Vec<u64>,
    /// Of several lines, the one whose messages count that come from all of them.
    pub(super) ordinary: Option<u64>,
    /// By lines, what has been missed, and is not subscribed to again.
    pub(super) lost: Vec<(u64, Lost)>,
    /// By lines, what the server says against it.
    pub(super) refused: Vec<(u64, RedisError)>,
}

/// The subscriptions at one node, which share a link.
pub(super) struct Line {
    pub(super) node: Arc<Node>,
    /// Rung when there is something to do for the line's task.
    pub(super) bell: Arc<Notify>,
    pub(super) wanted: TopicSet,
    /// Topics for which the server may have something else than is wanted: the line's task looks at them.
    pub(super) dirty: HashSet<Topic>,
    /// Topics of which something was missed here, which is not told yet.
    pub(super) missing: HashSet<Topic>,
    /// The link; and while it is being replaced, the next one.
    pub(super) feeds: Vec<Feed>,
    /// Messages that come after something that is not told yet.
    pub(super) held: VecDeque<Held>,
    /// Topics whose messages had no room behind those.
    pub(super) spilled: HashMap<Topic, Lost>,
    /// A channel of its own, over which it finds the same moment in two links.
    pub(super) marker: Vec<u8>,
    /// The mark that is under way over that channel.
    pub(super) mark: Option<Vec<u8>>,
}

impl State {
    pub(super) fn new(most_held: usize) -> Self {
        Self {
            consumers: HashMap::new(),
            entries: TopicMap::default(),
            unplaced: HashSet::new(),
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

    /// Notes that a call waits until a consumer has this; the number of the claim, unless the consumer is gone.
    pub(super) fn join(&mut self, consumer: u64, topic: &Topic) -> Option<u64> {
        let number = self.number();
        let Consumer { mailbox, topics } = self.consumers.get_mut(&consumer)?;
        let entry = self.entries.entry(topic).or_default();
        let claim = match topics.entry(topic.clone()) {
            hash_map::Entry::Occupied(claim) => claim.into_mut(),
            hash_map::Entry::Vacant(place) => {
                entry.consumers.push((consumer, Arc::clone(mailbox)));
                place.insert(Claim { number, waiting: 0, is_told: false })
            }
        };
        claim.waiting += 1;
        if entry.lines.is_empty() {
            self.unplaced.insert(topic.clone());
        }
        for (line, _) in entry.refused.drain(..) {
            if let Some(line) = self.lines.get_mut(&line) {
                line.look_at(topic);
            }
        }
        Some(claim.number)
    }

    /// Whether a consumer has this claim yet.
    pub(super) fn has_claim(&self, consumer: u64, topic: &Topic, number: u64) -> bool {
        let claim = self.consumers.get(&consumer).and_then(|consumer| consumer.topics.get(topic));
        claim.is_some_and(|claim| claim.number == number)
    }

    /// A call that has joined does not wait any more. The consumer loses the topic if no call has told that it is in
    /// force, and none waits for that.
    pub(super) fn end_wait(&mut self, consumer: u64, topic: &Topic, number: u64, is_told: bool) {
        if self.has_claim(consumer, topic, number)
            && let Some(claim) = self.consumers.get_mut(&consumer).and_then(|consumer| consumer.topics.get_mut(topic))
        {
            claim.waiting -= 1;
            claim.is_told |= is_told;
            if claim.waiting == 0 && !claim.is_told {
                self.leave(consumer, topic);
            }
        }
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
            self.unplaced.remove(topic);
            for line in entry.lines {
                if let Some(line) = self.lines.get_mut(&line) {
                    line.let_go_of(topic);
                }
            }
        }
    }

    /// Topics to put at lines: those that are at none, or all.
    pub(super) fn take_unplaced(&mut self, all: bool) -> Vec<Topic> {
        let unplaced = std::mem::take(&mut self.unplaced);
        if all { self.entries.topics().collect() } else { unplaced.into_iter().collect() }
    }

    /// Takes back those for which there is no line. False if nobody wants any of them any more.
    pub(super) fn put_back(&mut self, topics: Vec<Topic>) -> bool {
        let entries = &self.entries;
        let mut is_any = false;
        self.unplaced.extend(topics.into_iter().filter(|topic| entries.has(topic)).inspect(|_| is_any = true));
        is_any
    }

    /// How it stands with a subscription: nothing to say yet, in force, or refused.
    pub(super) fn is_in_force(&self, topic: &Topic) -> Option<Result<(), RedisError>> {
        let entry = self.entries.of(topic)?;
        if let Some((_, error)) = entry.refused.first() {
            return Some(Err(error.clone()));
        }
        let serves = |line: &u64| self.lines.get(line).is_some_and(|line| line.serves(topic));
        (!entry.lines.is_empty() && entry.lines.iter().all(serves)).then_some(Ok(()))
    }

    /// How it stands with the end of a subscription: nothing to say yet; no server has it, or somebody wants it; or a
    /// server refuses to end it.
    pub(super) fn is_through(&self, topic: &Topic) -> Option<Result<(), RedisError>> {
        if self.entries.has(topic) {
            return Some(Ok(()));
        }
        let feeds = || self.lines.values().flat_map(|line| &line.feeds);
        if !feeds().any(|feed| feed.confirmed.has(topic) || feed.asking.has(topic)) {
            return Some(Ok(()));
        }
        feeds().find_map(|feed| feed.unending.of(topic)).map(|error| Err(error.clone()))
    }

    /// No consumer gets anything more.
    pub(super) fn end(&mut self) -> Vec<Waker> {
        self.has_ended = true;
        self.consumers.values().filter_map(|consumer| consumer.mailbox.end()).collect()
    }
}

impl Consumer {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox, topics: HashMap::new() }
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
            spilled: HashMap::new(),
            marker,
            mark: None,
        }
    }

    /// Has the line's task see to a topic.
    pub(super) fn look_at(&mut self, topic: &Topic) {
        self.dirty.insert(topic.clone());
        self.bell.notify_one();
    }

    /// Nothing of a topic is wanted here any more, nor of what has come of it; returns what there was no room for.
    pub(super) fn let_go_of(&mut self, topic: &Topic) -> Option<Lost> {
        for feed in &mut self.feeds {
            // What has been refused before is asked for again.
            feed.unending.remove(topic.kind(), topic.name());
        }
        self.wanted.remove(topic.kind(), topic.name());
        self.missing.remove(topic);
        self.held.retain(|held| !held.is_of(topic));
        self.look_at(topic);
        self.spilled.remove(topic)
    }

    /// Whether the server has the subscription.
    pub(super) fn has(&self, topic: &Topic) -> bool {
        self.feeds.iter().any(|feed| feed.has(topic))
    }

    /// Whether the server has the subscription, and what comes of it reaches those who want it.
    pub(super) fn serves(&self, topic: &Topic) -> bool {
        self.feeds.iter().any(|feed| feed.has(topic) && feed.counts())
    }
}

#[cfg(test)]
mod tests;
