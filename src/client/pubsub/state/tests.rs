use super::*;
use crate::client::pubsub::{
    desk::{Desk, a},
    feed::Phase,
};
use redis::PushKind;

fn error() -> RedisError {
    (redis::ErrorKind::Client, "no").into()
}

/// Two calls of clones of one sink wait for the same.
#[tokio::test]
async fn a_call_that_fails_takes_nothing_from_another_one() {
    for first_fails_first in [true, false] {
        let mut desk = Desk::with(1, &[]);
        let consumer = desk.consumer;
        let has = |desk: &Desk| desk.state.entries.has(&a());
        let (first, second) = (desk.state.join(consumer, &a()).unwrap(), desk.state.join(consumer, &a()).unwrap());
        if first_fails_first {
            desk.state.end_wait(consumer, &a(), first, false);
            assert!(has(&desk), "the other one waits");
            desk.state.end_wait(consumer, &a(), second, true);
        } else {
            desk.state.end_wait(consumer, &a(), second, true);
            desk.state.end_wait(consumer, &a(), first, false);
        }
        assert!(has(&desk), "the other one has told that it is there");
        let third = desk.state.join(consumer, &a()).unwrap();
        desk.state.end_wait(consumer, &a(), third, false);
        assert!(has(&desk), "it was there before");
        desk.state.leave(consumer, &a());
        assert!(!has(&desk));
        let both = [desk.state.join(consumer, &a()).unwrap(), desk.state.join(consumer, &a()).unwrap()];
        for claim in both {
            desk.state.end_wait(consumer, &a(), claim, false);
        }
        assert!(!has(&desk), "all have failed");
    }
}

/// A call that fails late has nothing to do with what has been asked for after an end.
#[tokio::test]
async fn a_claim_that_has_been_ended_is_none_of_the_next_one() {
    let mut desk = Desk::with(1, &[]);
    let consumer = desk.consumer;
    let first = desk.state.join(consumer, &a()).unwrap();
    desk.state.leave(consumer, &a());
    let second = desk.state.join(consumer, &a()).unwrap();
    assert!(!desk.state.has_claim(consumer, &a(), first) && desk.state.has_claim(consumer, &a(), second));
    desk.state.end_wait(consumer, &a(), first, false);
    assert!(desk.state.has_claim(consumer, &a(), second));
    assert_eq!(desk.state.join(0, &a()), None, "there is no such consumer");
}

#[tokio::test]
async fn one_of_several_nodes_that_refuses_is_not_outvoted() {
    let pattern = Topic::Pattern(b"__key*".to_vec());
    let mut desk = Desk::with(2, std::slice::from_ref(&pattern));
    let [first, second] = desk.lines[..] else { panic!() };
    desk.state.entries.of_mut(&pattern).unwrap().refused.push((first.line, error()));
    desk.receive(second, PushKind::PSubscribe, &["__key*"]);
    assert!(matches!(desk.state.is_in_force(&pattern), Some(Err(_))));
    // Until it takes it, or has nothing to do with it any more.
    desk.place(&pattern, &[1], 1);
    assert!(matches!(desk.state.is_in_force(&pattern), Some(Ok(()))));
    desk.place(&pattern, &[0, 1], 1);
    desk.state.entries.of_mut(&pattern).unwrap().refused.push((first.line, error()));
    desk.receive(first, PushKind::PSubscribe, &["__key*"]);
    assert!(matches!(desk.state.is_in_force(&pattern), Some(Ok(()))));
}

/// What comes over the next link does not count before it has taken over.
#[tokio::test]
async fn what_only_the_next_link_has_is_not_in_force() {
    let mut desk = Desk::with(1, &[a()]);
    let old = desk.lines[0];
    let new = desk.feed(old.line, Phase::Discarding);
    desk.receive(new, PushKind::Subscribe, &["a"]);
    assert!(desk.state.is_in_force(&a()).is_none());
    desk.feed_at(new).phase = Phase::Live;
    assert!(matches!(desk.state.is_in_force(&a()), Some(Ok(()))));
}

#[tokio::test]
async fn an_end_is_through_when_the_server_has_said_so_or_refused_it() {
    let mut desk = Desk::with(1, &[a()]);
    let (at, consumer) = (desk.lines[0], desk.consumer);
    desk.feed_at(at).asking.insert(a().kind(), a().name().to_vec(), ());
    assert!(matches!(desk.state.is_through(&a()), Some(Ok(()))), "somebody wants it");
    desk.state.leave(consumer, &a());
    assert!(desk.state.is_through(&a()).is_none(), "it will be confirmed yet");
    desk.receive(at, PushKind::Subscribe, &["a"]);
    desk.feed_at(at).asking.clear();
    assert!(desk.state.is_through(&a()).is_none());
    desk.feed_at(at).leaving.insert(a().kind(), a().name().to_vec(), ());
    assert!(desk.state.is_through(&a()).is_none(), "it has been asked to end it");
    desk.feed_at(at).unending.insert(a().kind(), a().name().to_vec(), error());
    assert!(matches!(desk.state.is_through(&a()), Some(Err(_))));
    // What was refused is no answer to what is asked for afterwards.
    let claim = desk.state.join(consumer, &a()).unwrap();
    desk.place(&a(), &[0], 0);
    desk.state.end_wait(consumer, &a(), claim, true);
    desk.state.leave(consumer, &a());
    assert!(desk.state.is_through(&a()).is_none());
    desk.receive(at, PushKind::Unsubscribe, &["a"]);
    assert!(matches!(desk.state.is_through(&a()), Some(Ok(()))));
}

/// While there is no line, a service asks again and again.
#[tokio::test]
async fn a_topic_waits_for_a_line_once_and_as_long_as_it_is_wanted() {
    let mut desk = Desk::with(0, &[]);
    let (consumer, state) = (desk.consumer, &mut desk.state);
    let first = state.join(consumer, &a()).unwrap();
    for _ in 0..10 {
        let again = state.join(consumer, &a()).unwrap();
        state.end_wait(consumer, &a(), again, false);
    }
    let topics = state.take_unplaced(false);
    assert_eq!(topics, [a()]);
    assert!(state.put_back(topics));
    state.end_wait(consumer, &a(), first, false);
    assert!(state.take_unplaced(false).is_empty(), "nobody wants it");
    // It is not wanted any more when it comes back.
    let claim = state.join(consumer, &a()).unwrap();
    let topics = state.take_unplaced(false);
    state.end_wait(consumer, &a(), claim, false);
    assert!(!state.put_back(topics) && state.take_unplaced(false).is_empty());
}
