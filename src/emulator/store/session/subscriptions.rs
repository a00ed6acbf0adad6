//! What a connection has subscribed to.

use super::Session;
use crate::{
    emulator::{
        resp::Reply,
        store::{
            args::{Args, Problem},
            commands::Known,
            data::{Bytes, count},
            hub::Topic,
        },
    },
    lock::lock,
};

const SUBSCRIBED: &str = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";

/// What a RESP2 connection that has subscribed is told of all other commands.
pub(super) fn not_while_subscribed(known: &Known) -> Problem {
    format!("ERR Can't execute '{}': {SUBSCRIBED}", known.full_name).into()
}

impl Session {
    pub(super) fn subscriptions(&self) -> usize {
        let mut hub = lock(&self.store.hub);
        [Topic::Channel, Topic::Pattern].map(|topic| hub.of_session(topic, self.id).len()).iter().sum()
    }

    pub(super) fn subscribe(&mut self, topic: Topic, name: &[u8]) -> Reply {
        lock(&self.store.hub).subscribe(topic, name, self.id, &self.mailbox);
        let kind = if topic == Topic::Pattern { "psubscribe" } else { "subscribe" };
        self.confirmation(kind, Reply::bulk(name))
    }

    pub(super) fn unsubscribe(&mut self, topic: Topic, args: Args<'_>) -> Vec<Reply> {
        let kind = if topic == Topic::Pattern { "punsubscribe" } else { "unsubscribe" };
        let names: Vec<Bytes> = match args.len() {
            0 => lock(&self.store.hub).of_session(topic, self.id),
            _ => args.iter().map(<[u8]>::to_vec).collect(),
        };
        if names.is_empty() {
            return vec![self.confirmation(kind, Reply::Nil)];
        }
        let leave = |name: Bytes| {
            lock(&self.store.hub).unsubscribe(topic, &name, self.id);
            self.confirmation(kind, Reply::Bulk(name))
        };
        names.into_iter().map(leave).collect()
    }

    fn confirmation(&self, kind: &str, name: Reply) -> Reply {
        Reply::Push(vec![Reply::bulk(kind), name, count(self.subscriptions())])
    }
}
