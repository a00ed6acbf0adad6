//! Subscriptions that outlive tokens, connections and nodes.
//!
//! A *topic* is a channel, a pattern or a sharded channel. A *consumer* wants some topics, and has a *mailbox* that its
//! stream reads from. A *line* is what is subscribed to at one node, over one link; a *feed* is one link of it, of
//! which there are two while one takes over from the other.

mod delivery;
#[cfg(test)]
mod desk;
mod feed;
mod handover;
mod hub;
mod line;
mod links;
mod losses;
mod mailbox;
mod moment;
mod places;
mod requests;
mod rounds;
mod shared;
mod state;
mod stream;
mod topic;

use super::EntraRedis;
use crate::timer::let_others_run;
use futures_util::Stream;
use hub::Hub;
use redis::{RedisResult, ToRedisArgs};
use std::sync::{Mutex, Weak};

pub use delivery::{Delivery, GapReason};
pub use stream::{PubSubSink, PubSubStream};
pub use topic::Topic;

/// What a connection manager has for subscriptions.
pub(super) struct PubSubs {
    hub: Mutex<Weak<Hub>>,
    /// Messages that wait for one consumer at most.
    buffer: usize,
}

impl PubSubs {
    pub(super) fn new(buffer: usize) -> Self {
        Self { hub: Mutex::default(), buffer }
    }
}

impl EntraRedis {
    /// Subscriptions of one consumer, none at first. No connection is opened before the first one.
    ///
    /// The error is the `redis` crate's, as those of [`PubSub`] are: code for that crate's `PubSub` compiles unchanged,
    /// except that the items are [`Delivery`]s.
    ///
    /// # Errors
    ///
    /// After [`shutdown`](Self::shutdown).
    pub async fn pubsub(&self) -> RedisResult<PubSub> {
        match Hub::of(&self.manager) {
            Ok(hub) => {
                let (sink, stream) = stream::open(hub);
                Ok(PubSub { sink, stream })
            }
            Err(error) => {
                let_others_run().await;
                Err(error.into())
            }
        }
    }
}

/// The subscriptions of one consumer, and what comes of them; by [`EntraRedis::pubsub`].
///
/// It has the calls of the `redis` crate's `PubSub`, and those for sharded channels. All `PubSub`s of a connection
/// manager share connections, apart from those of commands: one on a single endpoint, on a cluster at most one to each
/// node. A channel that several of them want is subscribed to once. Like a clone of the handle, it keeps everything up
/// until it is dropped.
///
/// ```
/// # use entra_redis::{Delivery, EntraRedis, emulator::Emulator};
/// use futures_util::StreamExt;
/// use redis::AsyncCommands;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let azure = Emulator::builder().start().await?;
/// # let redis = EntraRedis::connect(azure.host(), azure.port(), azure.config()).await?;
/// let (mut sink, mut stream) = redis.pubsub().await?.split();
/// sink.subscribe(&["orders", "prices"]).await?;
/// let _: () = redis.clone().publish("orders", 7).await?;
/// match stream.next().await {
///     Some(Delivery::Message(msg)) => assert_eq!(msg.get_payload::<u32>()?, 7),
///     Some(Delivery::Gap { channels, from, .. }) => println!("read {channels:?} again, from {from:?} on"),
///     _ => println!("shut down"),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # What is guaranteed
///
/// Redis sends each message at most once, and keeps none for those who are away. What this adds is that a consumer is
/// told when it may have been away:
///
/// - **Messages of one channel come in the order in which they were published, and none twice**, except as said of
///   RESP2 and of clusters.
/// - **Whatever may have been missed is told**, by a [`Delivery::Gap`] in its place among the messages: after a lost
///   connection, a channel's move on a cluster, or if the consumer is too slow. It comes when everything is subscribed
///   to again, so that whoever then reads the state behind the messages misses nothing.
/// - **A new token is no gap.** Over RESP3 the connection is re-authenticated in place. Over RESP2 that is impossible,
///   so it is replaced before its token expires: the new one subscribes to everything, then a mark is published over a
///   channel that both have (`__entra-redis:handover:…`), and the old one counts up to it, the new one from there on:
///   none is lost, none comes twice, as long as one Redis process serves both. If the mark does not come (an access
///   policy may forbid it), there is a gap with the reason [`Replaced`](GapReason::Replaced).
/// - `subscribe` returns when the server has confirmed it, and `unsubscribe` when no message can come any more but
///   those that are in the buffer.
///
/// A connection that falls silent is found by a `PING` after [`ping_interval`](crate::Config::ping_interval); the gap
/// begins with its last sign of life. What the server refuses when it is subscribed to again is tried again each
/// second; its gap is told when it succeeds. While there is no token, streams stay open and silent; the gap is told
/// afterwards. After `shutdown`, or the end of the runtime, they end with what is in their buffers, without a last gap.
///
/// # A slow consumer
///
/// A slow consumer holds up nobody: beyond [`pubsub_buffer`](crate::Config::pubsub_buffer) waiting messages new ones
/// are dropped, and a gap with the reason [`SlowConsumer`](GapReason::SlowConsumer) says how many, of which channels.
///
/// # On a cluster
///
/// Channels and patterns are subscribed to at any node, and at another one when that goes. Nodes pass such messages on
/// to each other, one a little later than the other, so that behind the gap that tells of the other node, messages of
/// its time may come again. What Redis drops on that way, as it does while a node stands still, nobody can tell. None
/// of this is so with sharded channels (`ssubscribe`): they are at the node of their slot, and follow it. Keyspace
/// notifications, by channels and patterns that begin with `__keyspace@` or `__keyevent@` (`__key*__:*` does, `*` does
/// not), are subscribed to at all primaries, new ones included: each tells of its own keys alone. One that comes or
/// goes is a gap.
///
/// A node that is cut off from the others sends nothing of what is published at them, and does not know it. That is a
/// gap once another node has taken its place, though one that may begin too late.
#[derive(Debug)]
pub struct PubSub {
    sink: PubSubSink,
    stream: PubSubStream,
}

impl PubSub {
    /// As [`PubSubSink::subscribe`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn subscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.subscribe(channels).await
    }

    /// As [`PubSubSink::unsubscribe`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn unsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.unsubscribe(channels).await
    }

    /// As [`PubSubSink::psubscribe`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn psubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.psubscribe(patterns).await
    }

    /// As [`PubSubSink::punsubscribe`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn punsubscribe(&mut self, patterns: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.punsubscribe(patterns).await
    }

    /// As [`PubSubSink::ssubscribe`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn ssubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.ssubscribe(channels).await
    }

    /// As [`PubSubSink::sunsubscribe`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn sunsubscribe(&mut self, channels: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.sunsubscribe(channels).await
    }

    /// What comes, for as long as this is borrowed.
    pub fn on_message(&mut self) -> impl Stream<Item = Delivery> + Unpin + '_ {
        &mut self.stream
    }

    /// What comes of the subscriptions that there are.
    #[must_use]
    pub fn into_on_message(self) -> PubSubStream {
        self.stream
    }

    /// The two parts: one that subscribes, which can be cloned, and one that reads.
    #[must_use]
    pub fn split(self) -> (PubSubSink, PubSubStream) {
        (self.sink, self.stream)
    }
}
