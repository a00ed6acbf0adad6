//! What the hub, its tasks and its links share: the state, and who is told when it changes.

use super::{
    feed::{At, MARKER, Upshot},
    state::{Line, State},
    topic::Topic,
};
use crate::{cluster::node::Node, error::Error, lock::lock};
use redis::{PushKind, RedisError, RedisResult, Value};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    task::Waker,
};
use tokio::sync::Notify;

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
