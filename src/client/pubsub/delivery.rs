//! What a consumer gets.

use super::topic::Topic;
use redis::Msg;
use std::time::SystemTime;

/// What comes out of a [`PubSubStream`](super::PubSubStream).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Delivery {
    /// A message.
    Message(Msg),
    /// Messages may have been missed at this place in the stream. Those that come before it were published before its
    /// end, those that come after it after its beginning.
    #[non_exhaustive]
    Gap {
        /// What was subscribed to, by the consumer of this stream, and not heard of meanwhile.
        channels: Vec<Topic>,
        /// When, by the clock of this machine, nothing was missed yet: the last sign of life of the connection, the end
        /// of the old subscription, or the first message that did not fit; of a further node of a cluster, when it
        /// became known. Neither an idle connection nor a suspended machine gives or gets a sign, so this may be early.
        /// What was published so shortly before it that it was still on its way may be missing, too.
        from: SystemTime,
        /// From when on nothing is missed any more.
        until: SystemTime,
        /// What has happened.
        reason: GapReason,
        /// How many messages were dropped, where that is known: of a consumer that was too slow.
        dropped: Option<u64>,
    },
}

/// Why messages may have been missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GapReason {
    /// The connection was lost. It has been replaced, and everything subscribed to again. Or more messages came than
    /// [`pubsub_buffer`](crate::Config::pubsub_buffer) while that was being done.
    ConnectionLost,
    /// On a cluster, the channel's slot, or the node that sent its messages, is another one now; or one of several
    /// nodes that sent them has come or gone.
    Moved,
    /// The consumer did not take messages as fast as they came, and
    /// [`pubsub_buffer`](crate::Config::pubsub_buffer) of them were waiting.
    SlowConsumer,
    /// Over RESP2, a connection was replaced before its token expired, and it is not known where the messages of the
    /// old one end in those of the new one. Messages may as well have come twice.
    Replaced,
}
