//! Nobody misses a message unawares: subscriptions go on through rotations, lost connections and clusters that change,
//! and tell of what may have been missed.

mod cluster;
mod delivery;
mod ending;
mod loss;
mod rotation;
mod slow;

use common::{SECOND, within};
use entra_redis::{Delivery, EntraRedis, GapReason, PubSubStream, Topic};
use futures_util::StreamExt;
use redis::AsyncCommands;

/// The next one, which comes soon.
async fn next(stream: &mut PubSubStream) -> Delivery {
    // Several faults in a row may keep it from one for long.
    within("a delivery", 30 * SECOND, stream.next()).await.expect("the stream is open")
}

/// The next one, which is a message.
async fn message(stream: &mut PubSubStream) -> String {
    match next(stream).await {
        Delivery::Message(msg) => msg.get_payload().unwrap(),
        gap => panic!("{gap:?}"),
    }
}

/// The next one, which is a gap.
async fn gap(stream: &mut PubSubStream) -> (Vec<Topic>, GapReason) {
    match next(stream).await {
        Delivery::Gap { channels, from, until, reason, .. } => {
            assert!(from <= until, "from {from:?} until {until:?}");
            (channels, reason)
        }
        message => panic!("{message:?}"),
    }
}

fn channel(name: &str) -> Topic {
    Topic::Channel(name.into())
}

async fn publish(redis: &EntraRedis, channel: &str, message: impl ToString) -> i64 {
    redis.clone().publish(channel, message.to_string()).await.unwrap()
}

/// How many connections have subscriptions.
async fn subscribers(redis: &EntraRedis) -> usize {
    let list: String =
        redis::cmd("CLIENT").arg("LIST").arg("TYPE").arg("pubsub").query_async(&mut redis.clone()).await.unwrap();
    list.lines().count()
}

/// How many connections are subscribed to a channel.
async fn subscribed(redis: &EntraRedis, channel: &str) -> u64 {
    let (_, count): (String, u64) =
        redis::cmd("PUBSUB").arg("NUMSUB").arg(channel).query_async(&mut redis.clone()).await.unwrap();
    count
}

/// Cuts all connections that have subscriptions.
async fn kill_subscribers(redis: &EntraRedis) -> u64 {
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").query_async(&mut redis.clone()).await.unwrap()
}

/// Reads a stream until `last` has come: the numbers that it holds, and where the gaps are among them.
#[derive(Default)]
struct Heard {
    numbers: Vec<u64>,
    /// Before which place.
    gaps: Vec<(usize, GapReason)>,
}

impl Heard {
    async fn until(stream: &mut PubSubStream, last: u64) -> Self {
        let mut heard = Self::default();
        loop {
            match next(stream).await {
                Delivery::Message(msg) => {
                    let number: u64 = msg.get_payload().unwrap();
                    heard.numbers.push(number);
                    if number == last {
                        return heard;
                    }
                }
                Delivery::Gap { reason, .. } => heard.gaps.push((heard.numbers.len(), reason)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// All numbers came, in order, once.
    fn assert_whole(&self, last: u64) {
        assert_eq!(self.gaps, []);
        assert!(self.numbers.iter().copied().eq(1..=last), "{} numbers of {last}", self.numbers.len());
    }

    /// In order and once; and where some are missing, there is a gap.
    fn assert_told(&self) {
        for (at, pair) in self.numbers.windows(2).enumerate() {
            assert!(pair[0] < pair[1], "{pair:?}");
            let is_told = self.gaps.iter().any(|(place, _)| *place == at + 1);
            assert!(pair[1] == pair[0] + 1 || is_told, "silently missing between {pair:?}: {:?}", self.gaps);
        }
    }
}
