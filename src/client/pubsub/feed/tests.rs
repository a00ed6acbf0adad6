use super::*;
use crate::client::pubsub::desk::{Desk, a};

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
