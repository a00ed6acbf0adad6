//! What the hub, its tasks and its links share: the state, and who is told when it changes.

use super::{
    delivery::GapReason,
    feed::{At, Feed, MARKER, Phase, Upshot},
    state::{Line, State},
    topic::Topic,
};
use crate::{cluster::node::Node, error::Error, link::Link, lock::lock};
use redis::{PushKind, RedisError, RedisResult, Value};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    task::Waker,
};
use tokio::{sync::Notify, time::Instant};

pub(super) struct Shared {
    state: Mutex<State>,
    /// Rung when there is something to place.
    pub(super) bell: Notify,
    /// Rung when those who wait for a subscription or its end should look.
    progress: Notify,
}

impl Shared {
    pub(super) fn new(most_held: usize) -> Self {
        Self { state: Mutex::new(State::new(most_held)), bell: Notify::new(), progress: Notify::new() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Notes that a call waits until a consumer has these; returns them with the numbers of its claims.
    pub(super) fn join(&self, consumer: u64, topics: Vec<Topic>) -> Vec<(Topic, u64)> {
        let mut state = self.state();
        let joined = topics.into_iter().filter_map(|topic| state.join(consumer, &topic).map(|number| (topic, number)));
        let joined = joined.collect();
        drop(state);
        self.bell.notify_one();
        joined
    }

    /// Notes that a call does not wait for these any more, and whether it has told somebody that they are in force.
    pub(super) fn end_wait(&self, consumer: u64, joined: &[(Topic, u64)], is_told: bool) {
        let mut state = self.state();
        for (topic, number) in joined {
            state.end_wait(consumer, topic, *number, is_told);
        }
        drop(state);
        self.progress.notify_waiters();
    }

    /// Notes that a consumer does not want these any more.
    pub(super) fn leave(&self, consumer: u64, topics: &[Topic]) {
        let mut state = self.state();
        for topic in topics {
            state.leave(consumer, topic);
        }
        drop(state);
        self.progress.notify_waiters();
    }

    /// A consumer is gone.
    pub(super) fn forget(&self, consumer: u64) {
        let mut state = self.state();
        let topics = state.consumers.remove(&consumer).map(|consumer| consumer.topics);
        topics.into_iter().flatten().for_each(|(topic, _)| state.leave(consumer, &topic));
        drop(state);
        self.progress.notify_waiters();
    }

    /// Waits until there is something to say.
    pub(super) async fn until<T>(&self, look: impl Fn(&State) -> Option<T>) -> RedisResult<T> {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            // Enabled before the look, so that nothing falls between the two.
            progress.as_mut().enable();
            {
                let state = self.state();
                if state.has_ended {
                    return Err(Error::closed().into());
                }
                if let Some(found) = look(&state) {
                    return Ok(found);
                }
            }
            progress.await;
        }
    }

    /// The line of a node; and whether it is new, and needs a task.
    pub(super) fn line_at(&self, node: &Arc<Node>) -> (u64, Option<Arc<Notify>>) {
        let mut state = self.state();
        if let Some((id, _)) = state.lines.iter().find(|(_, line)| Arc::ptr_eq(&line.node, node)) {
            return (*id, None);
        }
        let (id, bell) = (state.number(), Arc::new(Notify::new()));
        let marker = [MARKER, format!("{:032x}", fastrand::u128(..)).as_bytes()].concat();
        state.lines.insert(id, Line::new(Arc::clone(node), Arc::clone(&bell), marker));
        (id, Some(bell))
    }

    /// Takes in a link of a line's.
    pub(super) fn attach(&self, line: u64, link: &Arc<Link>, phase: Phase) -> At {
        let mut state = self.state();
        let feed = state.number();
        if let Some(line) = state.lines.get_mut(&line) {
            line.feeds.push(Feed::new(feed, phase, Arc::downgrade(link)));
            if phase == Phase::Holding {
                line.dirty.extend(line.wanted.topics());
            }
        }
        At { line, feed }
    }

    /// Lets go of a link of which nothing is missed.
    pub(super) fn detach(&self, at: At) {
        self.let_go(at, None, |_| false);
    }

    /// Lets go of a link; what came over it is missed from then on.
    pub(super) fn lose(&self, at: At, from: Instant, reason: GapReason) {
        self.let_go(at, Some((from, reason)), |_| true);
    }

    /// Lets go of a link that another one has taken over from; what came over it is missed as far as the other one does
    /// not have it.
    pub(super) fn replace(&self, at: At, from: Instant) {
        self.let_go(at, Some((from, GapReason::Replaced)), |is_elsewhere| !is_elsewhere);
    }

    /// `is_missed` is told whether another link of the line has the topic.
    fn let_go(&self, at: At, lost: Option<(Instant, GapReason)>, is_missed: impl Fn(bool) -> bool) {
        let mut wakers = Vec::new();
        let mut state = self.state();
        let Some(line) = state.lines.get_mut(&at.line) else { return };
        let Some(place) = line.feeds.iter().position(|feed| feed.id == at.feed) else { return };
        if line.feeds[place].phase == Phase::Holding && lost.is_some() {
            // What has come has come.
            line.feeds[place].phase = Phase::Live;
            state.catch_up(at, &mut wakers);
        }
        let Some(line) = state.lines.get_mut(&at.line) else { return };
        let feed = line.feeds.remove(place);
        // Of each of them it has to be seen whether it is as it should be.
        line.dirty.extend(line.wanted.topics().chain(feed.confirmed.topics()));
        line.bell.notify_one();
        if let Some((from, reason)) = lost {
            let is_elsewhere = |topic: &Topic| line.has(topic);
            let missed: Vec<_> = feed.confirmed.topics().filter(|topic| is_missed(is_elsewhere(topic))).collect();
            for topic in missed {
                state.lose(at.line, &topic, from, reason);
            }
        }
        drop(state);
        self.through(wakers);
    }

    /// What is to be subscribed to over a link, and what not any more; nothing is to be done twice.
    pub(super) fn take_dirty(&self, at: At) -> (Vec<Topic>, Vec<Topic>) {
        let mut state = self.state();
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        let Some(line) = state.lines.get_mut(&at.line) else {
            return (wanted, unwanted);
        };
        let Some(feed) = line.feeds.iter_mut().find(|feed| feed.id == at.feed) else {
            return (wanted, unwanted);
        };
        for topic in line.dirty.drain() {
            match (line.wanted.has(&topic), feed.confirmed.has(&topic)) {
                (true, false) => {
                    feed.asking.insert(topic.kind(), topic.name().to_vec(), ());
                    wanted.push(topic);
                }
                (false, true) => {
                    feed.leaving.insert(topic.kind(), topic.name().to_vec(), ());
                    unwanted.push(topic);
                }
                _ => {}
            }
        }
        (wanted, unwanted)
    }

    /// All that is to be subscribed to over a link that is to take the place of another one.
    pub(super) fn take_wanted(&self, at: At) -> Vec<Topic> {
        let mut state = self.state();
        let Some(line) = state.lines.get_mut(&at.line) else {
            return Vec::new();
        };
        let wanted: Vec<_> = line.wanted.topics().collect();
        if let Some(feed) = line.feeds.iter_mut().find(|feed| feed.id == at.feed) {
            wanted.iter().for_each(|topic| feed.asking.insert(topic.kind(), topic.name().to_vec(), ()));
        }
        wanted
    }

    /// All that has been asked for over a link is answered: its messages count from now on, unless another link of its
    /// line stands for them.
    pub(super) fn settle(&self, at: At) {
        self.settle_if(at, |phase| phase == Phase::Holding);
    }

    /// Has a link's messages count from now on, whatever became of the one before it.
    pub(super) fn go_live(&self, at: At) {
        self.settle_if(at, |_| true);
    }

    /// What is held back is told in the same moment: a message that comes after it must not overtake it.
    fn settle_if(&self, at: At, goes_live: impl Fn(Phase) -> bool) {
        let mut wakers = Vec::new();
        let mut state = self.state();
        if let Some(line) = state.lines.get_mut(&at.line)
            && let Some(feed) = line.feeds.iter_mut().find(|feed| feed.id == at.feed)
        {
            feed.asking.clear();
            feed.leaving.clear();
            if goes_live(feed.phase) {
                feed.phase = Phase::Live;
            }
            state.catch_up(at, &mut wakers);
        }
        drop(state);
        self.through(wakers);
    }

    /// Whether a link's messages count.
    pub(super) fn is_live(&self, at: At) -> bool {
        let state = self.state();
        let line = state.lines.get(&at.line);
        line.is_some_and(|line| line.feeds.iter().any(|feed| feed.id == at.feed && feed.phase == Phase::Live))
    }

    /// Notes that the server does not take a subscription; those who wait for it learn why.
    pub(super) fn refuse(&self, line: u64, topic: &Topic, error: RedisError) {
        if let Some(entry) = self.state().entries.of_mut(topic)
            && entry.lines.contains(&line)
        {
            entry.refused.retain(|(other, _)| *other != line);
            entry.refused.push((line, error));
        }
        self.progress.notify_waiters();
    }

    /// Notes that the server does not end a subscription; those who wait for that learn why.
    pub(super) fn refuse_end(&self, at: At, topic: &Topic, error: RedisError) {
        if let Some(line) = self.state().lines.get_mut(&at.line)
            && let Some(feed) = line.feeds.iter_mut().find(|feed| feed.id == at.feed)
            && feed.confirmed.has(topic)
        {
            feed.leaving.remove(topic.kind(), topic.name());
            feed.unending.insert(topic.kind(), topic.name().to_vec(), error);
        }
        self.progress.notify_waiters();
    }

    /// Has a line see to these once more.
    pub(super) fn look_at(&self, id: u64, topics: impl IntoIterator<Item = Topic>) {
        let mut state = self.state();
        for topic in topics {
            if let Some(entry) = state.entries.of_mut(&topic) {
                entry.refused.retain(|(line, _)| *line != id);
            }
            if let Some(line) = state.lines.get_mut(&id) {
                line.look_at(&topic);
            }
        }
    }

    /// Ends a line that nothing is wanted of; whether it has.
    pub(super) fn end_if_unwanted(&self, line: u64) -> bool {
        let mut state = self.state();
        let is_unwanted = state.lines.get(&line).is_none_or(|line| line.wanted.is_empty());
        if is_unwanted {
            state.lines.remove(&line);
        }
        drop(state);
        if is_unwanted {
            self.progress.notify_waiters();
        }
        is_unwanted
    }

    /// Whether nothing is wanted of a line.
    pub(super) fn is_unwanted(&self, line: u64) -> bool {
        self.state().lines.get(&line).is_none_or(|line| line.wanted.is_empty())
    }

    /// Takes in what a link has received; whether a slot has moved.
    pub(super) fn receive(&self, at: At, kind: PushKind, data: Vec<Value>) -> bool {
        let Upshot { wakers, has_moved } = self.state().receive(at, kind, data);
        // Whatever they do, they do it without the lock.
        wakers.into_iter().for_each(Waker::wake);
        has_moved
    }

    /// Wakes the task of a line.
    pub(super) fn ring(&self, line: u64) {
        if let Some(line) = self.state().lines.get(&line) {
            line.bell.notify_one();
        }
    }

    pub(super) fn through(&self, wakers: Vec<Waker>) {
        wakers.into_iter().for_each(Waker::wake);
        self.progress.notify_waiters();
    }
}
