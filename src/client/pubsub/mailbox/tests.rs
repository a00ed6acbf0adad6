use super::*;
use redis::{PushInfo, PushKind, Value};
use std::{sync::Arc, task::Wake};

fn msg(channel: &str, payload: &str) -> Msg {
    let data = [channel, payload].map(|text| Value::BulkString(text.into())).to_vec();
    Msg::from_push_info(PushInfo { kind: PushKind::Message, data }).unwrap()
}

fn put(mailbox: &Mailbox, channel: &str, payload: &str) {
    _ = mailbox.message(Kind::Channel, msg(channel, payload));
}

/// What there is, in a few letters: payloads, and of gaps the reason, the names and how many were dropped.
fn all(mailbox: &Mailbox) -> Vec<String> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut all = Vec::new();
    while let Poll::Ready(next) = mailbox.poll_next(&mut cx) {
        all.push(match next {
            None => "end".to_owned(),
            Some(Delivery::Message(msg)) => msg.get_payload().unwrap(),
            Some(Delivery::Gap { channels, reason, dropped, .. }) => {
                let names: Vec<_> = channels.iter().map(ToString::to_string).collect();
                format!("{reason:?} {} {dropped:?}", names.join(","))
            }
        });
        if all.last().is_some_and(|last| last == "end") {
            break;
        }
    }
    all
}

fn lost(mailbox: &Mailbox, channel: &str) {
    let now = SystemTime::now();
    _ = mailbox.gap([Topic::Channel(channel.into())], (now, now), GapReason::ConnectionLost);
}

#[test]
fn what_does_not_fit_is_told_in_its_place() {
    let mailbox = Mailbox::new(2);
    for payload in ["1", "2", "3"] {
        put(&mailbox, "a", payload);
    }
    put(&mailbox, "b", "4");
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(mailbox.poll_next(&mut cx), Poll::Ready(Some(Delivery::Message(_)))));
    put(&mailbox, "a", "5");
    put(&mailbox, "a", "6");
    assert_eq!(all(&mailbox), ["2", "SlowConsumer a,b Some(2)", "5", "SlowConsumer a Some(1)"]);
}

/// However often something is lost, nobody who does not read pays for it.
#[test]
fn gaps_take_no_room_and_do_not_pile_up() {
    let mailbox = Mailbox::new(1);
    lost(&mailbox, "a");
    put(&mailbox, "a", "1");
    for _ in 0..1_000 {
        lost(&mailbox, "b");
        lost(&mailbox, "a");
        put(&mailbox, "a", "2");
    }
    let expected =
        ["ConnectionLost a None", "1", "ConnectionLost a,b None", "SlowConsumer a Some(1000)"].map(str::to_owned);
    assert_eq!(all(&mailbox), expected);
}

#[test]
fn the_end_comes_after_all_the_rest() {
    let mailbox = Mailbox::new(1);
    put(&mailbox, "a", "1");
    lost(&mailbox, "a");
    _ = mailbox.end();
    assert_eq!(all(&mailbox), ["1", "ConnectionLost a None", "end"]);
}

#[test]
fn a_reader_is_woken_once_for_what_it_waits_for() {
    struct Count(std::sync::atomic::AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
    let count = Arc::new(Count(0.into()));
    let waker = Waker::from(Arc::clone(&count));
    let mailbox = Mailbox::new(10);
    assert!(mailbox.message(Kind::Channel, msg("a", "1")).is_none(), "nobody waits");
    let mut cx = Context::from_waker(&waker);
    assert!(mailbox.poll_next(&mut cx).is_ready() && mailbox.poll_next(&mut cx).is_pending());
    mailbox.message(Kind::Channel, msg("a", "2")).unwrap().wake();
    assert!(mailbox.message(Kind::Channel, msg("a", "3")).is_none(), "it has been told");
    assert_eq!(count.0.load(std::sync::atomic::Ordering::SeqCst), 1);
}
