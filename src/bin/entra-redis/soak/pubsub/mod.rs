//! Numbered messages over channels, which one consumer hears by their names and another one by a pattern.

mod heard;

use super::{
    counts::Figure,
    plan::{Plan, RETRY_DELAY},
    tally::Kind,
};
use crate::terminal;
use entra_redis::{Delivery, EntraRedis, GapReason, PubSub, Topic};
use futures_util::StreamExt;
use heard::{Gap, Heard, Verdict};
use redis::{Msg, RedisResult};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{sync::watch, task::JoinSet, time::sleep};

/// Channels, and as many sharded ones.
const CHANNELS: usize = 4;

/// Between two messages of one channel.
const PAUSE: Duration = Duration::from_millis(5);

/// A subscription, and what it has heard of one channel.
#[derive(Clone)]
struct Ear(Arc<Mutex<Heard>>);

impl Ear {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one consumer is subscribed to, and its ears by the channels' names. A pattern has one for each channel.
#[derive(Default)]
struct Consumer {
    topics: Vec<Topic>,
    is_on_a_cluster: bool,
    ears: HashMap<String, Ear>,
}

impl Consumer {
    /// A further channel that it hears.
    fn hears(&mut self, channel: &str) -> Ear {
        let ear = Ear(Arc::default());
        self.ears.insert(channel.to_owned(), ear.clone());
        ear
    }

    /// Subscribes to all of it.
    async fn subscribe(&self, redis: &EntraRedis) -> RedisResult<PubSub> {
        let mut pubsub = redis.pubsub().await?;
        for topic in &self.topics {
            match topic {
                Topic::Pattern(name) => pubsub.psubscribe(name).await?,
                Topic::Sharded(name) => pubsub.ssubscribe(name).await?,
                topic => pubsub.subscribe(topic.name()).await?,
            }
        }
        Ok(pubsub)
    }

    /// The ears that a topic of a gap is about.
    fn of<'a>(&'a self, topic: &'a Topic) -> impl Iterator<Item = &'a Ear> {
        let is_meant = move |channel: &str| matches!(topic, Topic::Pattern(_)) || topic.name() == channel.as_bytes();
        self.ears.iter().filter(move |(channel, _)| is_meant(channel)).map(|(_, ear)| ear)
    }

    /// Hears what comes until the publishers have ended; whether the stream has not ended before.
    async fn hear(self, plan: Arc<Plan>, pubsub: PubSub, mut end: watch::Receiver<bool>) -> bool {
        let mut stream = pubsub.into_on_message();
        loop {
            let delivery = tokio::select! {
                delivery = stream.next() => delivery,
                _ = end.wait_for(|ended| *ended) => return true,
            };
            let Some(delivery) = delivery else {
                plan.tally.fail(Kind::Other, &"a stream of messages has ended by itself");
                return false;
            };
            self.got(&plan, &delivery);
        }
    }

    fn got(&self, plan: &Plan, delivery: &Delivery) {
        match delivery {
            Delivery::Message(msg) => {
                plan.counts.add(Figure::Messages, 1);
                let (channel, number) = (msg.get_channel_name(), number(msg));
                match self.ears.get(channel).zip(number) {
                    Some((ear, number)) => judge(plan, channel, number, &mut ear.lock()),
                    None => plan.counts.fault(Figure::MessagesTwice, 1, || {
                        format!("{channel}: a message that nobody has sent: {msg:?}")
                    }),
                }
            }
            Delivery::Gap { channels, from, until, reason, .. } => {
                plan.counts.add(Figure::Gaps, 1);
                for topic in channels {
                    // The nodes of a cluster pass messages on to each other, one sooner than the other: what has come
                    // from one of them may be on its way to the next one that is subscribed at.
                    let is_passed_on = self.is_on_a_cluster && !matches!(topic, Topic::Sharded(_));
                    let may_repeat = is_passed_on || *reason == GapReason::Replaced;
                    let gap = Gap { from: *from, until: *until, may_repeat };
                    self.of(topic).for_each(|ear| ear.lock().gap(gap));
                }
            }
            _ => plan.tally.fail(Kind::Other, &format!("this soak does not know what this is: {delivery:?}")),
        }
    }
}

fn number(msg: &Msg) -> Option<u64> {
    msg.get_payload::<String>().ok()?.parse().ok()
}

fn judge(plan: &Plan, channel: &str, number: u64, heard: &mut Heard) {
    let Verdict { missing, lost_between_nodes, is_again, is_twice, is_out_of_order } = heard.message(number);
    let fault = |figure, how_many, what: &dyn Fn() -> String| {
        plan.counts.fault(figure, how_many, || format!("{channel}: {}; {}", what(), heard.history()));
    };
    fault(Figure::MessagesMissing, missing.len() as u64, &|| {
        format!("{missing:?} are missing before {number}, and no gap tells of them")
    });
    fault(Figure::MessagesTwice, u64::from(is_twice), &|| format!("{number} has come twice"));
    fault(Figure::MessagesOutOfOrder, u64::from(is_out_of_order), &|| format!("{number} has come after later ones"));
    plan.counts.add(Figure::MessagesLostBetweenNodes, lost_between_nodes);
    plan.counts.add(Figure::MessagesAgain, u64::from(is_again));
}

/// Sends the messages of one channel.
struct Publisher {
    plan: Arc<Plan>,
    redis: EntraRedis,
    command: &'static str,
    channel: String,
    ears: Vec<Ear>,
    /// Whether Redis itself may lose what it passes on from one node to the other: `PUBLISH` says to how many the node
    /// has sent it that was asked, and the bus of a cluster drops messages while a node stands still.
    is_passed_on: bool,
}

impl Publisher {
    /// Sends until the run is over and what was sent then is heard; whether it was.
    async fn run(mut self) -> bool {
        let mut number = 1;
        while !self.plan.is_over() {
            number += u64::from(self.send(number).await);
            sleep(PAUSE).await;
        }
        let (last, limit) = (number, self.plan.recovers_until());
        loop {
            number += u64::from(self.send(number).await);
            sleep(PAUSE).await;
            if self.ears.iter().all(|ear| ear.lock().has_heard(last)) {
                return true;
            }
            if limit.has_passed() {
                return false;
            }
        }
    }

    /// Whether the number is used up: it was sent, or may have been.
    async fn send(&mut self, number: u64) -> bool {
        self.tell(|heard| heard.sending(number, SystemTime::now()));
        let mut command = redis::cmd(self.command);
        let result = command.arg(&self.channel).arg(number).query_async::<u64>(&mut self.redis).await;
        match self.plan.tally.noted(result) {
            Ok(receivers) => {
                let strictly = receivers > 0 || !self.is_passed_on;
                self.tell(|heard| heard.sent(number, SystemTime::now(), strictly));
                true
            }
            Err(kind) => {
                let is_used_up = kind.may_have_run();
                if !is_used_up {
                    self.tell(|heard| heard.not_sent(number));
                }
                sleep(RETRY_DELAY).await;
                is_used_up
            }
        }
    }

    fn tell(&self, what: impl Fn(&mut Heard)) {
        self.ears.iter().for_each(|ear| what(&mut ear.lock()));
    }
}

/// Whether the server knows sharded channels (Redis 7 does); none if it does not say in time.
async fn knows_sharded(plan: &Plan, redis: &EntraRedis) -> Option<bool> {
    let mut probe = redis::cmd("SPUBLISH");
    probe.arg(format!("soak:{:x}:sharded", plan.run)).arg(0);
    let is_known = || {
        let (probe, mut redis) = (&probe, redis.clone());
        async move {
            match probe.exec_async(&mut redis).await {
                Err(error) if error.to_string().to_lowercase().contains("unknown command") => Ok(false),
                done => done.map(|()| true),
            }
        }
    };
    plan.at_last(is_known).await
}

/// Until the end of the run; whether everything was heard in the end.
pub(super) async fn run(plan: Arc<Plan>, redis: EntraRedis) -> bool {
    let is_cluster = redis.manager().stats().nodes.iter().any(|node| !node.slots.is_empty());
    let Some(with_sharded) = knows_sharded(&plan, &redis).await else {
        return false;
    };
    if !with_sharded {
        terminal::note("the server does not know sharded channels: --pubsub does without them");
    }
    let prefix = format!("soak:{:x}:news", plan.run);
    let consumer = || Consumer { is_on_a_cluster: is_cluster, ..Consumer::default() };
    let (mut by_name, mut by_pattern) = (consumer(), consumer());
    by_pattern.topics.push(Topic::Pattern(format!("{prefix}:*").into_bytes()));
    let mut publishers = Vec::new();
    for at in 0..CHANNELS {
        let channel = format!("{prefix}:{at}");
        by_name.topics.push(Topic::Channel(channel.clone().into_bytes()));
        let ears = vec![by_name.hears(&channel), by_pattern.hears(&channel)];
        publishers.push(("PUBLISH", channel, ears));
        if with_sharded {
            let sharded = format!("soak:{:x}:sharded:{at}", plan.run);
            by_name.topics.push(Topic::Sharded(sharded.clone().into_bytes()));
            let ears = vec![by_name.hears(&sharded)];
            publishers.push(("SPUBLISH", sharded, ears));
        }
    }
    let (end, ended) = watch::channel(false);
    let mut consumers = JoinSet::new();
    for consumer in [by_name, by_pattern] {
        let Some(pubsub) = plan.at_last(|| consumer.subscribe(&redis)).await else {
            return false;
        };
        consumers.spawn(consumer.hear(Arc::clone(&plan), pubsub, ended.clone()));
    }
    let mut sending = JoinSet::new();
    for (command, channel, ears) in publishers {
        let (plan, redis) = (Arc::clone(&plan), redis.clone());
        let is_passed_on = plan.chaos && is_cluster && command == "PUBLISH";
        sending.spawn(Publisher { plan, redis, command, channel, ears, is_passed_on }.run());
    }
    let heard = sending.join_all().await;
    end.send_replace(true);
    let streams = consumers.join_all().await;
    heard.into_iter().chain(streams).all(|is_well| is_well)
}
