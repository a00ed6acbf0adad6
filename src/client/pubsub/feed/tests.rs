use super::*;
use crate::{
    client::pubsub::{
        delivery::Delivery,
        state::{Consumer, Line},
    },
    cluster::{address::NodeAddress, node::Node},
    pool::{Leases, Pool},
};
use std::{
    collections::HashSet,
    sync::Arc,
    task::{Context, Poll},
};

/// A consumer of some topics, at lines that have one link each, which is subscribed to nothing yet.
struct Desk {
    state: State,
    mailbox: Arc<Mailbox>,
    lines: Vec<At>,
}

fn bytes(text: &str) -> Value {
    Value::BulkString(text.into())
}

impl Desk {
    fn with(lines: usize, topics: &[Topic]) -> Self {
        let mut state = State::new(3);
        let consumer = state.number();
        let mailbox = Arc::new(Mailbox::new(100));
        state.consumers.insert(consumer, Consumer { mailbox: Arc::clone(&mailbox), topics: HashSet::new() });
        let mut desk = Self { state, mailbox, lines: Vec::new() };
        for _ in 0..lines {
            let line = desk.state.number();
            let node =
                Node::without_keeper(NodeAddress::new("none", 1), Pool::new(1, Arc::default(), Leases::new(1)).0);
            desk.state.lines.insert(line, Line::new(node, Arc::default(), [MARKER, b"x"].concat()));
            let at = desk.feed(line, Phase::Live);
            desk.lines.push(at);
        }
        let lines: Vec<_> = desk.lines.iter().map(|at| at.line).collect();
        for topic in topics {
            assert!(desk.state.join(consumer, topic));
            assert!(desk.state.place(topic, &lines, lines.first().copied()));
        }
        desk
    }

    fn feed(&mut self, line: u64, phase: Phase) -> At {
        let id = self.state.number();
        let (confirmed, leaving) = (TopicSet::default(), TopicSet::default());
        let feed = Feed { id, phase, confirmed, leaving, link: Weak::new() };
        self.state.lines.get_mut(&line).unwrap().feeds.push(feed);
        At { line, feed: id }
    }

    fn feed_at(&mut self, at: At) -> &mut Feed {
        self.state.lines.get_mut(&at.line).unwrap().feeds.iter_mut().find(|feed| feed.id == at.feed).unwrap()
    }

    fn receive(&mut self, at: At, push: PushKind, words: &[&str]) -> bool {
        self.state.receive(at, push, words.iter().map(|word| bytes(word)).collect()).has_moved
    }

    fn message(&mut self, at: At, payload: &str) {
        self.receive(at, PushKind::Message, &["a", payload]);
    }

    fn catch_up(&mut self, at: At) {
        self.state.catch_up(at, &mut Vec::new());
    }

    fn mark(&mut self, at: At, mark: &str) {
        self.state.receive(at, PushKind::Message, vec![Value::BulkString([MARKER, b"x"].concat()), bytes(mark)]);
    }

    /// What the consumer has got, gaps as `-`.
    fn read(&self) -> String {
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

fn a() -> Topic {
    Topic::Channel(b"a".to_vec())
}

#[tokio::test]
async fn what_comes_after_a_gap_is_told_after_it() {
    let mut desk = Desk::with(1, &[a()]);
    let first = desk.lines[0];
    desk.receive(first, PushKind::Subscribe, &["a"]);
    desk.message(first, "1");
    desk.state.lose(first.line, &a(), Instant::now(), GapReason::ConnectionLost);
    desk.state.lines.get_mut(&first.line).unwrap().feeds.clear();
    let second = desk.feed(first.line, Phase::Holding);
    desk.message(first, "lost");
    desk.receive(second, PushKind::Subscribe, &["a"]);
    for payload in ["3", "4", "5", "beyond what is held"] {
        desk.message(second, payload);
    }
    assert_eq!(desk.read(), "1");
    desk.feed_at(second).phase = Phase::Live;
    desk.catch_up(second);
    desk.message(second, "6");
    desk.catch_up(second);
    assert_eq!(desk.read(), "-3456");
}

#[tokio::test]
async fn what_is_held_beyond_the_bound_is_a_gap_even_if_nothing_was_lost_before() {
    let mut desk = Desk::with(1, &[a()]);
    let at = desk.lines[0];
    desk.feed_at(at).phase = Phase::Holding;
    desk.receive(at, PushKind::Subscribe, &["a"]);
    for payload in ["1", "2", "3", "4"] {
        desk.message(at, payload);
    }
    desk.feed_at(at).phase = Phase::Live;
    desk.catch_up(at);
    assert_eq!(desk.read(), "-123");
}

#[tokio::test]
async fn two_links_are_cut_at_one_moment_whichever_is_ahead() {
    for old_is_ahead in [true, false] {
        let mut desk = Desk::with(1, &[a()]);
        let old = desk.lines[0];
        desk.receive(old, PushKind::Subscribe, &["a"]);
        let new = desk.feed(old.line, Phase::Discarding);
        desk.receive(new, PushKind::Subscribe, &["a"]);
        desk.state.lines.get_mut(&old.line).unwrap().mark = Some(b"now".to_vec());
        let over_old = |desk: &mut Desk| {
            for payload in ["1", "2"] {
                desk.message(old, payload);
            }
            desk.mark(old, "now");
            desk.message(old, "3");
        };
        let over_new = |desk: &mut Desk| {
            // One of an earlier attempt.
            desk.mark(new, "before");
            desk.message(new, "2");
            desk.mark(new, "now");
            desk.message(new, "3");
        };
        if old_is_ahead {
            over_old(&mut desk);
            over_new(&mut desk);
        } else {
            over_new(&mut desk);
            over_old(&mut desk);
        }
        desk.message(new, "4");
        assert_eq!(desk.read(), "1234", "the old one is ahead: {old_is_ahead}");
    }
}

#[tokio::test]
async fn only_an_end_that_nobody_asked_for_is_a_gap() {
    let topic = Topic::Sharded(b"s".to_vec());
    let mut desk = Desk::with(1, std::slice::from_ref(&topic));
    let at = desk.lines[0];
    desk.receive(at, PushKind::SSubscribe, &["s"]);
    assert!(matches!(desk.state.is_in_force(&topic), Some(Ok(()))));
    desk.feed_at(at).leaving.insert(topic.kind(), topic.name().to_vec(), ());
    assert!(!desk.receive(at, PushKind::SUnsubscribe, &["s"]));
    assert!(!desk.receive(at, PushKind::SUnsubscribe, &["s"]), "it has ended already");
    desk.receive(at, PushKind::SSubscribe, &["s"]);
    desk.catch_up(at);
    assert_eq!(desk.read(), "");

    assert!(desk.receive(at, PushKind::SUnsubscribe, &["s"]));
    assert!(desk.state.is_in_force(&topic).is_none());
    assert!(desk.state.lines[&at.line].dirty.contains(&topic));
    desk.receive(at, PushKind::SSubscribe, &["s"]);
    desk.receive(at, PushKind::SMessage, &["s", "1"]);
    assert_eq!(desk.read(), "", "the gap comes first");
    desk.catch_up(at);
    assert_eq!(desk.read(), "-1");
}

#[tokio::test]
async fn what_every_node_sends_counts_once_and_its_own_news_always() {
    let pattern = Topic::Pattern(b"__key*".to_vec());
    let mut desk = Desk::with(2, &[pattern]);
    for at in desk.lines.clone() {
        desk.receive(at, PushKind::PSubscribe, &["__key*"]);
        desk.receive(at, PushKind::PMessage, &["__key*", "__keyring", "r"]);
        desk.receive(at, PushKind::PMessage, &["__key*", "__keyspace@0__:k", "s"]);
    }
    assert_eq!(desk.read(), "rss");
}

/// Who has left in the meantime, or come, has missed nothing.
#[tokio::test]
async fn a_gap_is_told_to_those_who_were_there() {
    let mut desk = Desk::with(1, &[a()]);
    let at = desk.lines[0];
    desk.receive(at, PushKind::Subscribe, &["a"]);
    desk.state.lose(at.line, &a(), Instant::now(), GapReason::ConnectionLost);
    let (late, mailbox) = (desk.state.number(), Arc::new(Mailbox::new(1)));
    desk.state.consumers.insert(late, Consumer { mailbox: Arc::clone(&mailbox), topics: HashSet::new() });
    desk.state.join(late, &a());
    desk.catch_up(at);
    assert_eq!(desk.read(), "-");
    assert!(mailbox.poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
}
