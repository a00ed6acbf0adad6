use super::{from_resp2, is_confirmation};
use crate::link::{
    context::WireContext,
    push::{PushReceiver, Pushes},
    reply::{Outcome, PendingReply},
    wire::{
        Wire,
        tests::{answered, context, send, wire},
    },
};
use redis::{Cmd, ProtocolVersion, PushKind, Value};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

#[derive(Default)]
struct Received(Mutex<Vec<PushKind>>);

impl PushReceiver for Received {
    fn receive(&self, kind: PushKind, _data: Vec<Value>) {
        self.0.lock().unwrap().push(kind);
    }

    fn end(&self) {}
}

/// Queues a command about subscriptions, and reads it at the other end.
async fn subscription(wire: &Wire, far: &mut DuplexStream, line: &str, kind: PushKind) -> PendingReply {
    let mut words = line.split(' ');
    let mut cmd: Cmd = redis::cmd(words.next().unwrap());
    words.for_each(|word| _ = cmd.arg(word));
    let (reply, len) = wire.subscription(&cmd, kind, None).unwrap();
    far.read_exact(&mut vec![0; len]).await.unwrap();
    reply
}

fn push(kind: &str, channel: &str) -> String {
    format!(">3\r\n${}\r\n{kind}\r\n${}\r\n{channel}\r\n:1\r\n", kind.len(), channel.len())
}

fn array(kind: &str, channel: &str) -> String {
    push(kind, channel).replace('>', "*")
}

fn is_waiting(reply: &mut PendingReply) -> bool {
    use futures_util::FutureExt;
    reply.now_or_never().is_none()
}

/// Something that is answered after all that came before.
async fn barrier(wire: &Wire, far: &mut DuplexStream) {
    let ping = send(wire, redis::cmd("ECHO").arg("x"));
    far.write_all(b"+x\r\n").await.unwrap();
    answered(ping).await;
}

#[tokio::test]
async fn all_channels_are_confirmed_before_the_request_is_through() {
    let (wire, mut far) = wire(1024);
    let mut reply = subscription(&wire, &mut far, "SUBSCRIBE a b", PushKind::Subscribe).await;
    // Of another kind, of another channel, and one of those it waits for.
    let pushes = [push("psubscribe", "a"), push("subscribe", "c"), push("subscribe", "b"), push("subscribe", "b")];
    far.write_all(pushes.concat().as_bytes()).await.unwrap();
    barrier(&wire, &mut far).await;
    assert!(is_waiting(&mut reply));
    far.write_all(push("subscribe", "a").as_bytes()).await.unwrap();
    assert_eq!(answered(reply).await, Value::Okay);
    assert_eq!(wire.queue.in_flight(), 0);
}

#[tokio::test]
async fn what_nobody_asked_for_confirms_nothing() {
    let (wire, mut far) = wire(1024);
    let mut reply = subscription(&wire, &mut far, "SSUBSCRIBE a", PushKind::SSubscribe).await;
    far.write_all(push("sunsubscribe", "a").as_bytes()).await.unwrap();
    barrier(&wire, &mut far).await;
    assert!(is_waiting(&mut reply));
    far.write_all(b"-MOVED 1 host:1\r\n").await.unwrap();
    assert!(matches!(answered(reply).await, Value::ServerError(error) if error.code() == "MOVED"));
}

#[tokio::test]
async fn replies_go_to_those_who_asked_for_them() {
    let (wire, mut far) = wire(1024);
    let first = send(&wire, redis::cmd("GET").arg("x"));
    let one = subscription(&wire, &mut far, "SUBSCRIBE a", PushKind::Subscribe).await;
    let refused = subscription(&wire, &mut far, "SUBSCRIBE b", PushKind::Subscribe).await;
    let last = send(&wire, redis::cmd("GET").arg("y"));
    let came = format!(":1\r\n{}-NOPERM no\r\n:2\r\n", push("subscribe", "a"));
    far.write_all(came.as_bytes()).await.unwrap();
    assert_eq!(answered(first).await, Value::Int(1));
    assert_eq!(answered(one).await, Value::Okay);
    assert!(matches!(answered(refused).await, Value::ServerError(_)));
    assert_eq!(answered(last).await, Value::Int(2));
}

#[tokio::test]
async fn a_connection_that_ends_confirms_nothing() {
    let (wire, mut far) = wire(1024);
    let reply = subscription(&wire, &mut far, "SUBSCRIBE a b", PushKind::Subscribe).await;
    far.write_all(push("subscribe", "a").as_bytes()).await.unwrap();
    drop(far);
    assert!(matches!(reply.await.outcome, Outcome::Lost(..)));
}

/// Arrays are replies until somebody wants messages, and after that what they say they are.
#[tokio::test]
async fn in_resp2_arrays_are_messages_confirmations_and_answers_to_ping() {
    let (near, mut far) = duplex(1024);
    let pushes = Arc::new(Pushes::over(ProtocolVersion::RESP2));
    let wire = Wire::start(near, WireContext { pushes: Arc::clone(&pushes), ..context(16 << 10) });
    let before = send(&wire, &redis::cmd("ROLE"));
    far.write_all(array("message", "a").as_bytes()).await.unwrap();
    assert!(matches!(answered(before).await, Value::Array(_)));

    let received = Arc::new(Received::default());
    pushes.hand_to(Arc::clone(&received) as Arc<dyn PushReceiver>);
    let reply = subscription(&wire, &mut far, "SUBSCRIBE a", PushKind::Subscribe).await;
    let ping = send(&wire, &redis::cmd("PING"));
    let pong = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";
    let came = [array("subscribe", "a"), array("message", "a"), pong.to_owned(), array("sunsubscribe", "b")];
    far.write_all(came.concat().as_bytes()).await.unwrap();
    assert_eq!(answered(reply).await, Value::Okay);
    assert!(matches!(answered(ping).await, Value::Array(_)));
    barrier(&wire, &mut far).await;
    let kinds = [PushKind::Subscribe, PushKind::Message, PushKind::SUnsubscribe];
    assert_eq!(*received.0.lock().unwrap(), kinds);
}

#[test]
fn every_kind_of_message_and_confirmation_is_known_by_its_name_in_resp2() {
    let confirmations = [
        ("subscribe", PushKind::Subscribe),
        ("psubscribe", PushKind::PSubscribe),
        ("ssubscribe", PushKind::SSubscribe),
        ("unsubscribe", PushKind::Unsubscribe),
        ("punsubscribe", PushKind::PUnsubscribe),
        ("sunsubscribe", PushKind::SUnsubscribe),
    ];
    let messages = [("message", PushKind::Message), ("pmessage", PushKind::PMessage), ("smessage", PushKind::SMessage)];
    let told = |name: &str| from_resp2(redis::parse_redis_value(array(name, "a").as_bytes()).unwrap());
    for (name, kind) in confirmations.iter().chain(&messages) {
        let data = vec![Value::BulkString(b"a".to_vec()), Value::Int(1)];
        assert_eq!(told(name), Value::Push { kind: kind.clone(), data });
    }
    assert!(confirmations.iter().all(|(_, kind)| is_confirmation(kind)));
    assert!(!messages.iter().any(|(_, kind)| is_confirmation(kind)));
    assert!(!is_confirmation(&PushKind::Invalidate));
    assert!(matches!(told("pong"), Value::Array(_)));
}
