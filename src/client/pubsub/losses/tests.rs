use super::*;
use crate::client::pubsub::{
    desk::{Desk, a},
    mailbox::Mailbox,
    state::Consumer,
};
use redis::PushKind;
use std::{
    sync::Arc,
    task::{Context, Waker},
};

#[tokio::test]
async fn what_comes_after_a_gap_is_told_after_it() {
    let mut desk = Desk::with(1, &[a()]);
    let first = desk.lines[0];
    desk.receive(first, PushKind::Subscribe, &["a"]);
    desk.message(first, "1");
    let second = desk.reconnect(first, &a());
    desk.message(first, "lost");
    desk.receive(second, PushKind::Subscribe, &["a"]);
    for payload in ["3", "4", "5"] {
        desk.message(second, payload);
    }
    assert_eq!(desk.read(), "1");
    desk.settle(second);
    desk.message(second, "6");
    desk.catch_up(second);
    assert_eq!(desk.read(), "-3456");
}

/// It has a place of its own, and the gap before is no reason to tell it there.
#[tokio::test]
async fn what_there_is_no_room_for_is_missed_after_what_is_held_back() {
    let mut desk = Desk::with(1, &[a()]);
    let first = desk.lines[0];
    desk.receive(first, PushKind::Subscribe, &["a"]);
    let second = desk.reconnect(first, &a());
    desk.receive(second, PushKind::Subscribe, &["a"]);
    for payload in ["3", "4", "5", "beyond what is held", "this one, too"] {
        desk.message(second, payload);
    }
    desk.settle(second);
    desk.message(second, "6");
    desk.catch_up(second);
    assert_eq!(desk.read(), "-345-6");
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
    desk.settle(at);
    assert_eq!(desk.read(), "123-");
}

/// One channel is subscribed to again, and the other one is not yet when there is room again.
#[tokio::test]
async fn what_comes_after_what_there_was_no_room_for_does_not_come_before_the_gap() {
    let b = Topic::Channel(b"b".to_vec());
    let mut desk = Desk::with(1, &[a(), b.clone()]);
    let at = desk.lines[0];
    desk.receive(at, PushKind::Subscribe, &["a"]);
    desk.receive(at, PushKind::Subscribe, &["b"]);
    desk.state.lose(at.line, &a(), SystemTime::now(), GapReason::Moved);
    desk.state.lose(at.line, &b, SystemTime::now(), GapReason::Moved);
    desk.feed_at(at).confirmed.remove(b.kind(), b.name());
    for (channel, payload) in [("b", "1"), ("a", "2"), ("a", "3"), ("b", "no room"), ("a", "nor here")] {
        desk.receive(at, PushKind::Message, &[channel, payload]);
    }
    desk.catch_up(at);
    assert_eq!(desk.read(), "-23-");
    desk.receive(at, PushKind::Message, &["b", "after what was missed"]);
    desk.receive(at, PushKind::Subscribe, &["b"]);
    desk.catch_up(at);
    desk.receive(at, PushKind::Message, &["b", "4"]);
    assert_eq!(desk.read(), "-1-4");
}

/// Who has left in the meantime, or come, has missed nothing.
#[tokio::test]
async fn a_gap_is_told_to_those_who_were_there() {
    let mut desk = Desk::with(1, &[a()]);
    let at = desk.lines[0];
    desk.receive(at, PushKind::Subscribe, &["a"]);
    desk.state.lose(at.line, &a(), SystemTime::now(), GapReason::ConnectionLost);
    let (late, mailbox) = (desk.state.number(), Arc::new(Mailbox::new(1)));
    desk.state.consumers.insert(late, Consumer::new(Arc::clone(&mailbox)));
    desk.state.join(late, &a());
    desk.catch_up(at);
    assert_eq!(desk.read(), "-");
    assert!(mailbox.poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
}

const KEYS: &str = "__key*";

/// What each of two primaries tells for itself, of which one leaves without another one in its place: its slots belong
/// to the one that stays.
fn two_primaries() -> (Desk, Topic) {
    let topic = Topic::Pattern(KEYS.into());
    let mut desk = Desk::with(2, std::slice::from_ref(&topic));
    for at in desk.lines.clone() {
        desk.receive(at, PushKind::PSubscribe, &[KEYS]);
        desk.catch_up(at);
    }
    assert_eq!(desk.read(), "");
    (desk, topic)
}

#[tokio::test]
async fn a_primary_that_leaves_is_a_gap_that_those_who_stay_tell() {
    for leaves in [0, 1] {
        let (mut desk, topic) = two_primaries();
        let stays = desk.lines[1 - leaves];
        desk.place(&topic, &[1 - leaves], 1 - leaves);
        desk.receive(stays, PushKind::PMessage, &[KEYS, "__keyspace@0__:k", "1"]);
        assert_eq!(desk.read(), "");
        assert!(desk.state.lines[&stays.line].dirty.contains(&topic), "its task looks");
        desk.catch_up(stays);
        assert_eq!(desk.read(), "-1");
    }
}

/// What had been missed there before is not forgotten either.
#[tokio::test]
async fn a_primary_that_is_lost_and_then_leaves_is_a_gap_since_it_was_lost() {
    let (mut desk, topic) = two_primaries();
    let [first, second] = desk.lines[..] else { panic!() };
    let from = SystemTime::now().checked_sub(std::time::Duration::from_secs(5)).unwrap();
    desk.state.lose(second.line, &topic, from, GapReason::ConnectionLost);
    desk.state.lines.get_mut(&second.line).unwrap().feeds.clear();
    desk.place(&topic, &[0], 0);
    let lost = desk.state.entries.of(&topic).unwrap().lost.clone();
    assert!(matches!(&lost[..], [(line, lost)] if *line == first.line && lost.from == from), "{lost:?}");
    desk.catch_up(first);
    assert_eq!(desk.read(), "-");
}

/// It is told by one that is subscribed, so that nobody waits for one that is down as well.
#[tokio::test]
async fn of_those_who_stay_one_that_has_the_subscription_tells() {
    let topic = Topic::Pattern(KEYS.into());
    let mut desk = Desk::with(3, std::slice::from_ref(&topic));
    for at in &desk.lines.clone()[1..] {
        desk.receive(*at, PushKind::PSubscribe, &[KEYS]);
    }
    desk.place(&topic, &[0, 1], 0);
    desk.catch_up(desk.lines[1]);
    assert_eq!(desk.read(), "-");
}

/// All that several of them had lost, and what there was no room for, is one gap since the first of it.
#[tokio::test]
async fn what_several_lines_have_missed_moves_together() {
    let topic = Topic::Pattern(KEYS.into());
    let mut desk = Desk::with(2, std::slice::from_ref(&topic));
    let [first, second] = desk.lines[..] else { panic!() };
    let ago = |seconds| SystemTime::now().checked_sub(std::time::Duration::from_secs(seconds)).unwrap();
    let (early, late) = (ago(5), ago(3));
    desk.state.lose(first.line, &topic, late, GapReason::Moved);
    desk.state.lose(second.line, &topic, early, GapReason::ConnectionLost);
    let third = desk.add_line();
    desk.place(&topic, &[2], 2);
    let lost = &desk.state.entries.of(&topic).unwrap().lost;
    assert!(matches!(&lost[..], [(line, lost)] if *line == third.line && lost.from == early), "{lost:?}");
    desk.receive(third, PushKind::PSubscribe, &[KEYS]);
    desk.catch_up(third);
    assert_eq!(desk.read(), "-");
}

/// A message that is held back where a topic leaves is missed, and the gap begins before it.
#[tokio::test]
async fn what_is_held_back_where_a_topic_leaves_is_missed() {
    let mut desk = Desk::with(2, &[]);
    let [first, second] = desk.lines[..] else { panic!() };
    let claim = desk.state.join(desk.consumer, &a()).unwrap();
    desk.state.end_wait(desk.consumer, &a(), claim, true);
    desk.place(&a(), &[0], 0);
    desk.feed_at(first).phase = Phase::Holding;
    desk.receive(first, PushKind::Subscribe, &["a"]);
    desk.message(first, "held back");
    let came = SystemTime::now();
    while SystemTime::now() == came {}
    desk.place(&a(), &[1], 1);
    assert!(desk.state.entries.of(&a()).unwrap().lost[0].1.from <= came);
    desk.receive(second, PushKind::Subscribe, &["a"]);
    desk.catch_up(second);
    desk.settle(first);
    assert_eq!(desk.read(), "-");
}

/// A node comes, and at the same time another one is the one whose copies count.
#[tokio::test]
async fn another_one_whose_copies_count_is_a_gap_even_if_a_node_has_come() {
    let (mut desk, topic) = two_primaries();
    let second = desk.lines[1];
    desk.add_line();
    desk.place(&topic, &[0, 1, 2], 1);
    desk.receive(second, PushKind::PMessage, &[KEYS, "__keyring", "1"]);
    assert_eq!(desk.read(), "");
    desk.catch_up(second);
    assert_eq!(desk.read(), "-1");
}

/// While the machine is suspended the monotonic clock stands still, and the link is silent.
#[tokio::test]
async fn a_gap_begins_before_the_machine_was_suspended() {
    let mut desk = Desk::with(2, &[a()]);
    let hour = std::time::Duration::from_secs(3600);
    let first = desk.lines[0];
    desk.receive(first, PushKind::Subscribe, &["a"]);
    // By the wall clock it was taken in an hour before it was by the other one.
    desk.feed_at(first).began.wall -= hour;
    desk.place(&a(), &[1], 1);
    let from = desk.state.entries.of(&a()).unwrap().lost[0].1.from;
    assert!(from <= SystemTime::now() - hour, "{from:?}");
}
