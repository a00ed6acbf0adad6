//! A state to test, without tasks and links: what comes and what is asked for is told to it.

use super::{
    delivery::{Delivery, GapReason},
    feed::{At, Feed, MARKER, Phase},
    mailbox::Mailbox,
    state::{Consumer, Line, State},
    topic::Topic,
};
use crate::{
    cluster::{address::NodeAddress, node::Node},
    pool::{Leases, Pool},
};
use redis::{PushKind, Value};
use std::{
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::SystemTime,
};

/// A consumer of some topics, at lines that have one link each, which is subscribed to nothing yet.
pub(super) struct Desk {
    pub(super) state: State,
    pub(super) consumer: u64,
    mailbox: Arc<Mailbox>,
    pub(super) lines: Vec<At>,
}

pub(super) fn bytes(text: &str) -> Value {
    Value::BulkString(text.into())
}

pub(super) fn a() -> Topic {
    Topic::Channel(b"a".to_vec())
}

impl Desk {
    pub(super) fn with(lines: usize, topics: &[Topic]) -> Self {
        let mut state = State::new(3);
        let consumer = state.number();
        let mailbox = Arc::new(Mailbox::new(100));
        state.consumers.insert(consumer, Consumer::new(Arc::clone(&mailbox)));
        let mut desk = Self { state, consumer, mailbox, lines: Vec::new() };
        for _ in 0..lines {
            desk.add_line();
        }
        let lines: Vec<_> = desk.lines.iter().map(|at| at.line).collect();
        for topic in topics {
            let claim = desk.state.join(consumer, topic).unwrap();
            desk.state.end_wait(consumer, topic, claim, true);
            assert!(desk.state.place(topic, &lines, lines.first().copied()));
        }
        desk
    }

    pub(super) fn add_line(&mut self) -> At {
        let line = self.state.number();
        let node = Node::without_keeper(NodeAddress::new("none", 1), Pool::new(1, Arc::default(), Leases::new(1)).0);
        self.state.lines.insert(line, Line::new(node, Arc::default(), [MARKER, b"x"].concat()));
        let at = self.feed(line, Phase::Live);
        self.lines.push(at);
        at
    }

    /// Puts a topic at the lines with these places.
    pub(super) fn place(&mut self, topic: &Topic, lines: &[usize], ordinary: usize) {
        let lines: Vec<_> = lines.iter().map(|at| self.lines[*at].line).collect();
        assert!(self.state.place(topic, &lines, Some(self.lines[ordinary].line)));
    }

    pub(super) fn feed(&mut self, line: u64, phase: Phase) -> At {
        let id = self.state.number();
        self.state.lines.get_mut(&line).unwrap().feeds.push(Feed::new(id, phase, Weak::new()));
        At { line, feed: id }
    }

    pub(super) fn feed_at(&mut self, at: At) -> &mut Feed {
        self.state.lines.get_mut(&at.line).unwrap().feeds.iter_mut().find(|feed| feed.id == at.feed).unwrap()
    }

    pub(super) fn receive(&mut self, at: At, push: PushKind, words: &[&str]) -> bool {
        self.state.receive(at, push, words.iter().map(|word| bytes(word)).collect()).has_moved
    }

    pub(super) fn message(&mut self, at: At, payload: &str) {
        self.receive(at, PushKind::Message, &["a", payload]);
    }

    /// A link is lost, and another one takes its place, which holds back what comes.
    pub(super) fn reconnect(&mut self, at: At, topic: &Topic) -> At {
        self.state.lose(at.line, topic, SystemTime::now(), GapReason::ConnectionLost);
        self.state.lines.get_mut(&at.line).unwrap().feeds.clear();
        self.feed(at.line, Phase::Holding)
    }

    /// All that has been asked for over a link is answered.
    pub(super) fn settle(&mut self, at: At) {
        self.feed_at(at).phase = Phase::Live;
        self.catch_up(at);
    }

    pub(super) fn catch_up(&mut self, at: At) {
        self.state.catch_up(at, &mut Vec::new());
    }

    pub(super) fn mark(&mut self, at: At, mark: &str) {
        self.state.receive(at, PushKind::Message, vec![Value::BulkString([MARKER, b"x"].concat()), bytes(mark)]);
    }

    /// What the consumer has got, gaps as `-`.
    pub(super) fn read(&self) -> String {
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = String::new();
        while let Poll::Ready(Some(next)) = self.mailbox.poll_next(&mut cx) {
            match next {
                Delivery::Message(msg) => read.push_str(&msg.get_payload::<String>().unwrap()),
                Delivery::Gap { .. } => read.push('-'),
            }
        }
        read
    }
}
