//! The two ends that a consumer has: what it subscribes with, and what it reads.

use super::{
    delivery::Delivery,
    hub::Hub,
    mailbox::Mailbox,
    topic::{Kind, Topic},
};
use crate::{
    error::{Error, ErrorKind, Stage},
    exec::core::Core,
};
use futures_util::Stream;
use redis::{RedisError, RedisResult, ToRedisArgs};
use std::{
    collections::BTreeSet,
    fmt,
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};
use tokio::{task::coop::consume_budget, time::Instant};

/// The two ends of a new consumer.
pub(super) fn open(hub: Arc<Hub>) -> (PubSubSink, PubSubStream) {
    let (consumer, mailbox) = hub.consumer();
    (PubSubSink { hub: Arc::downgrade(&hub), consumer }, PubSubStream { hub, consumer, mailbox })
}

/// The part of a [`PubSub`](super::PubSub) that subscribes. Clones of it are for the same stream.
///
/// It does not keep the subscriptions up: once the stream is dropped its calls fail.
#[derive(Clone)]
pub struct PubSubSink {
    hub: Weak<Hub>,
    consumer: u64,
}

/// The part of a [`PubSub`](super::PubSub) that reads, a [`Stream`] of [`Delivery`]s.
///
/// Dropped, it ends what nobody else is subscribed to; with the last one the connections for subscriptions are closed.
pub struct PubSubStream {
    hub: Arc<Hub>,
    consumer: u64,
    mailbox: Arc<Mailbox>,
}

/// A call that waits until what it has asked for is in force. At its end, whichever that is, it does not wait any more.
struct Asked<'a> {
    hub: &'a Hub,
    consumer: u64,
    topics: Vec<(Topic, u64)>,
    /// Whether its caller is told that all is in force.
    is_told: bool,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.hub.shared.end_wait(self.consumer, &self.topics, self.is_told);
    }
}

impl PubSubSink {
    /// Subscribes to channels, and waits until the server has confirmed it. One that this consumer has already changes
    /// nothing.
    ///
    /// If it fails, or its future is dropped, it is as if it had not been called: what a clone of this sink has
    /// subscribed to, or is about to, stays.
    ///
    /// # Errors
    ///
    /// Without a channel; what the server says, if it refuses one of them; `is_timeout()` after
    /// [`command_timeout`](crate::Config::command_timeout);
    /// [`AuthenticationFailed`](redis::ErrorKind::AuthenticationFailed) while there is no valid token; kind `Client`
    /// after `shutdown`, when the stream is gone, or when a clone of this sink has unsubscribed from one of them
    /// meanwhile.
    pub async fn subscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.join(Kind::Channel, channels).await
    }

    /// Ends subscriptions to channels; without any, to all channels of this consumer. It returns when the server has
    /// confirmed it, or at once if other consumers are subscribed to them. Messages that are in the buffer stay there.
    ///
    /// # Errors
    ///
    /// What the server says, if it refuses, and `is_timeout()` after
    /// [`command_timeout`](crate::Config::command_timeout), though this consumer gets no messages any more either way;
    /// kind `Client` after `shutdown`, or when the stream is gone.
    pub async fn unsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.leave(Kind::Channel, channels).await
    }

    /// As [`subscribe`](Self::subscribe), to all channels that match a pattern.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn psubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
        self.join(Kind::Pattern, patterns).await
    }

    /// As [`unsubscribe`](Self::unsubscribe), of patterns.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn punsubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
        self.leave(Kind::Pattern, patterns).await
    }

    /// As [`subscribe`](Self::subscribe), to sharded channels (Redis 7), which are published to with `SPUBLISH`. They
    /// may be of any slots.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn ssubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.join(Kind::Sharded, channels).await
    }

    /// As [`unsubscribe`](Self::unsubscribe), of sharded channels.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn sunsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.leave(Kind::Sharded, channels).await
    }

    async fn join(&self, kind: Kind, names: impl ToRedisArgs) -> RedisResult<()> {
        let topics = topics(kind, &names);
        drop(names);
        let hub = self.hub()?;
        if topics.is_empty() {
            return Err((redis::ErrorKind::Client, "nothing to subscribe to").into());
        }
        let all = topics.len();
        let topics = hub.shared.join(self.consumer, topics);
        let mut asked = Asked { hub: &hub, consumer: self.consumer, topics, is_told: false };
        let in_force = hub.shared.until(|state| {
            let has = |(topic, number): &(Topic, u64)| state.has_claim(self.consumer, topic, *number);
            if asked.topics.len() < all || !asked.topics.iter().all(has) {
                let text = "the subscription has been ended while it was waited for";
                return Some(Err(RedisError::from((redis::ErrorKind::Client, text))));
            }
            let mut all = asked.topics.iter().map(|(topic, _)| state.is_in_force(topic));
            // The first that is refused, and otherwise nothing to say before the last one is in force.
            all.clone().flatten().find(Result::is_err).or_else(|| all.all(|one| one.is_some()).then_some(Ok(())))
        });
        let in_force = async {
            tokio::select! {
                in_force = in_force => in_force,
                error = without_token(hub.manager.core()) => Err(error.into()),
            }
        };
        self.in_time(&hub, "subscribed to", in_force).await??;
        asked.is_told = true;
        Ok(())
    }

    async fn leave(&self, kind: Kind, names: impl ToRedisArgs) -> RedisResult<()> {
        let mut topics = topics(kind, &names);
        drop(names);
        let hub = self.hub()?;
        if topics.is_empty() {
            let state = hub.shared.state();
            let all = state.consumers.get(&self.consumer).into_iter().flat_map(|consumer| consumer.topics.keys());
            topics = all.filter(|topic| topic.kind() == kind).cloned().collect();
        }
        hub.shared.leave(self.consumer, &topics);
        let through = hub.shared.until(|state| {
            let mut all = topics.iter().map(|topic| state.is_through(topic));
            all.clone().flatten().find(Result::is_err).or_else(|| all.all(|one| one.is_some()).then_some(Ok(())))
        });
        self.in_time(&hub, "unsubscribed from", through).await?
    }

    /// What `work` comes to within the command timeout.
    async fn in_time<T>(&self, hub: &Hub, what: &str, work: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        let core = hub.manager.core();
        let deadline = Instant::now() + core.command_timeout;
        if let Some(result) = core.timers.timeout_at(deadline, work).await {
            return result;
        }
        if core.is_closed() {
            return Err(Error::closed().into());
        }
        let kind = ErrorKind::Timeout(Stage::Command);
        let text = format!("not {what} within {:?} (`command_timeout`)", core.command_timeout);
        let cause = core.tokens.late().or_else(|| core.routing.last_error());
        let cause = cause.or_else(|| core.nodes().iter().find_map(|node| node.pool().last_error()));
        Err(match cause {
            Some(cause) => Error::new(kind, format!("{text}; the last attempt: {cause}")).with_source(cause).into(),
            None => Error::new(kind, text).into(),
        })
    }

    fn hub(&self) -> RedisResult<Arc<Hub>> {
        let gone =
            || RedisError::from((redis::ErrorKind::Client, "the stream of these subscriptions has been dropped"));
        let hub = self.hub.upgrade().ok_or_else(gone)?;
        let is_there = hub.shared.state().consumers.contains_key(&self.consumer);
        if is_there { Ok(hub) } else { Err(gone()) }
    }
}

/// Waits until there is no valid token while it is not known yet where commands go: there is no line then to tell it.
async fn without_token(core: &Core) -> Error {
    loop {
        let changed = core.availability.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if !core.is_found()
            && let Some(error) = core.tokens.dead()
        {
            return error.for_want_of_a_token();
        }
        changed.await;
    }
}

/// The names, each once.
fn topics(kind: Kind, names: &impl ToRedisArgs) -> Vec<Topic> {
    let names: BTreeSet<Vec<u8>> = names.to_redis_args().into_iter().collect();
    names.into_iter().map(|name| kind.topic(name)).collect()
}

impl Stream for PubSubStream {
    type Item = Delivery;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        // Otherwise a task that reads nothing else would never let others run, while there is always another message.
        ready!(pin!(consume_budget()).poll(cx));
        self.mailbox.poll_next(cx)
    }
}

impl Drop for PubSubStream {
    fn drop(&mut self) {
        self.hub.shared.forget(self.consumer);
    }
}

impl fmt::Debug for PubSubSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSubSink").finish_non_exhaustive()
    }
}

impl fmt::Debug for PubSubStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSubStream").finish_non_exhaustive()
    }
}
