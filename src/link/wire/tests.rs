//! The driver against a server of a few lines, over a stream in memory.

use super::*;
use crate::{
    admission::Admission,
    link::{condition::Condition, driver::GARBAGE},
};
use redis::Value;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::yield_now,
    time::timeout,
};
use tokio_util::task::TaskTracker;

pub(in crate::link) const HOUR: Duration = Duration::from_secs(3600);
pub(in crate::link) const SECOND: Duration = Duration::from_secs(1);

pub(in crate::link) fn wire(buffer: usize) -> (Wire, DuplexStream) {
    let (near, far) = duplex(buffer);
    (Wire::start(near, context(16 << 10)), far)
}

pub(in crate::link) fn context(record: usize) -> WireContext {
    context_with(Admission::new(1), record)
}

pub(in crate::link) fn context_with(admission: Arc<Admission>, record: usize) -> WireContext {
    let (keeper, pool, tasks) = (Arc::default(), Arc::from("test"), TaskTracker::new());
    WireContext {
        keeper,
        admission,
        patience: HOUR,
        record,
        is_one_of_several: false,
        pool,
        node: Arc::from("test:6379"),
        tasks,
        multi: Arc::default(),
        pushes: Arc::default(),
    }
}

pub(in crate::link) fn get(wire: &Wire, key: &str) -> PendingReply {
    send(wire, redis::cmd("GET").arg(key))
}

pub(in crate::link) fn send(wire: &Wire, cmd: &Cmd) -> PendingReply {
    wire.command(Access::Open, cmd, None, false).expect("the link is open").0
}

pub(in crate::link) async fn answered(reply: PendingReply) -> Value {
    match timeout(10 * SECOND, reply).await.expect("an outcome").outcome {
        Outcome::Answered(value) => value,
        other => panic!("{other:?}"),
    }
}

fn text(value: &str) -> Value {
    Value::BulkString(value.as_bytes().to_vec())
}

pub(in crate::link) fn packed(key: &str) -> Vec<u8> {
    redis::cmd("GET").arg(key).get_packed_command()
}

/// Reads exactly what these commands are.
pub(in crate::link) async fn expect(far: &mut DuplexStream, keys: &[&str]) {
    let expected: Vec<u8> = keys.iter().flat_map(|key| packed(key)).collect();
    let mut came = vec![0; expected.len()];
    far.read_exact(&mut came).await.unwrap();
    assert_eq!(came, expected);
}

pub(in crate::link) async fn down(wire: &Wire) -> &'static str {
    for _ in 0..10_000 {
        if let Condition::Down(reason) = wire.queue.condition() {
            return reason;
        }
        yield_now().await;
    }
    panic!("the link stays up");
}

#[tokio::test]
async fn replies_go_to_their_requests_in_order_also_past_cancelled_ones() {
    let (wire, mut far) = wire(1024);
    let first = get(&wire, "a");
    drop(get(&wire, "cancelled"));
    let third = get(&wire, "c");
    expect(&mut far, &["a", "cancelled", "c"]).await;
    far.write_all(b"$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n").await.unwrap();
    assert_eq!(answered(third).await, text("3"));
    assert_eq!(answered(first).await, text("1"));
    assert_eq!(wire.queue.in_flight(), 0);
}

#[tokio::test]
async fn replies_in_pieces_and_pushes_in_between() {
    let (wire, mut far) = wire(1024);
    let (first, second) = (get(&wire, "a"), get(&wire, "b"));
    expect(&mut far, &["a", "b"]).await;
    for byte in b">2\r\n+invalidate\r\n*0\r\n$3\r\none\r\n>1\r\n+x\r\n*2\r\n:1\r\n$2\r\nab\r\n" {
        far.write_all(&[*byte]).await.unwrap();
        yield_now().await;
    }
    assert_eq!(answered(first).await, text("one"));
    assert_eq!(answered(second).await, Value::Array(vec![Value::Int(1), text("ab")]));
}

#[tokio::test]
async fn what_had_not_left_is_told_from_what_had() {
    let (wire, mut far) = wire(8);
    let begun = get(&wire, "the first one does not fit");
    let waiting = get(&wire, "b");
    let mut part = [0; 20];
    far.read_exact(&mut part).await.unwrap();
    let late = get(&wire, "c");
    drop(far);
    assert!(matches!(begun.await.outcome, Outcome::Lost("connection closed" | "connection broken", _)));
    assert!(matches!(waiting.await.outcome, Outcome::Unsent(_)));
    assert!(matches!(late.await.outcome, Outcome::Unsent(_)));
    assert!(wire.command(Access::Own, &redis::cmd("PING"), None, false).is_none());
    assert_eq!(wire.queue.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_request_ends_by_its_own_deadline_and_late_replies_go_to_nobody() {
    let (wire, mut far) = wire(1024);
    let begin = Instant::now();
    let with = |key: &str, limit| {
        wire.command(Access::Open, redis::cmd("GET").arg(key), Some(begin + limit), false).expect("open").0
    };
    let (slow, fast, patient) = (with("a", 5 * SECOND), with("b", SECOND), with("c", HOUR));
    assert!(matches!(fast.await.outcome, Outcome::TimedOut));
    assert!(begin.elapsed() < 2 * SECOND, "{:?}", begin.elapsed());
    assert!(matches!(slow.await.outcome, Outcome::TimedOut));
    assert!(begin.elapsed() < 6 * SECOND, "{:?}", begin.elapsed());
    far.write_all(b":1\r\n:2\r\n:3\r\n").await.unwrap();
    assert_eq!(answered(patient).await, Value::Int(3));
}

#[tokio::test(start_paused = true)]
async fn requests_that_cannot_even_be_written_end_by_their_deadline() {
    let (wire, _far) = wire(8);
    let deadline = Instant::now() + SECOND;
    let requests: Vec<_> = (0..50)
        .map(|n| wire.command(Access::Open, redis::cmd("GET").arg(n), Some(deadline), false).expect("open").0)
        .collect();
    for request in requests {
        assert!(matches!(request.await.outcome, Outcome::TimedOut));
    }
    assert!(deadline.elapsed() < SECOND);
}

#[tokio::test]
async fn a_command_without_reply_ends_when_it_is_written_and_its_reply_is_passed_over() {
    let (wire, mut far) = wire(1024);
    let mut quiet = redis::cmd("SET");
    quiet.arg("k").arg("v").set_no_response(true);
    let outcome = timeout(10 * SECOND, send(&wire, &quiet)).await.expect("an outcome").outcome;
    assert!(matches!(outcome, Outcome::Written), "{outcome:?}");
    assert_eq!(wire.queue.in_flight(), 1);
    let next = get(&wire, "k");
    far.read_exact(&mut vec![0; quiet.get_packed_command().len()]).await.unwrap();
    expect(&mut far, &["k"]).await;
    far.write_all(b"+OK\r\n$1\r\nv\r\n").await.unwrap();
    assert_eq!(answered(next).await, text("v"));
    assert_eq!(wire.queue.in_flight(), 0);
}

#[tokio::test]
async fn garbage_and_replies_to_nothing_end_the_link() {
    let (wire_1, mut far) = wire(1024);
    let reply = get(&wire_1, "a");
    expect(&mut far, &["a"]).await;
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
    assert!(matches!(reply.await.outcome, Outcome::Lost(GARBAGE, _)));
    assert_eq!(down(&wire_1).await, GARBAGE);

    let (wire_2, mut far) = wire(1024);
    let reply = get(&wire_2, "a");
    expect(&mut far, &["a"]).await;
    far.write_all(b":1\r\n").await.unwrap();
    assert_eq!(answered(reply).await, Value::Int(1));
    far.write_all(b"+OK\r\n").await.unwrap();
    assert!(down(&wire_2).await.contains("nothing asked for"));
}

/// A script can make such replies, and others travel on the same connection.
#[tokio::test]
async fn a_reply_that_cannot_be_read_is_its_own_requests_business() {
    let (wire, mut far) = wire(4096);
    for reply in ["#T", ":99999999999999999999", "*2\r\n+a\r\n,x", "%1\r\n+a\r\n*1\r\n:y"] {
        let (before, own, after) = (get(&wire, "a"), get(&wire, "b"), get(&wire, "c"));
        expect(&mut far, &["a", "b", "c"]).await;
        // Cut in the middle, for those that come in pieces.
        let bytes = format!(":1\r\n{reply}\r\n:3\r\n");
        let (first, second) = bytes.split_at(bytes.len() / 2);
        far.write_all(first.as_bytes()).await.unwrap();
        yield_now().await;
        far.write_all(second.as_bytes()).await.unwrap();
        let outcome = own.await.outcome;
        assert!(matches!(outcome, Outcome::Unreadable(None, _)), "{reply}: {outcome:?}");
        assert_eq!((answered(before).await, answered(after).await), (Value::Int(1), Value::Int(3)));
    }
    // A push answers nobody, whatever it holds, and however many there are.
    let reply = get(&wire, "a");
    expect(&mut far, &["a"]).await;
    far.write_all(&[b">1\r\n:x\r\n".repeat(300), b":4\r\n".to_vec()].concat()).await.unwrap();
    assert_eq!(answered(reply).await, Value::Int(4));
    assert_eq!((wire.queue.in_flight(), wire.queue.condition()), (0, Condition::Open));
}

#[tokio::test]
async fn a_pipeline_is_told_which_of_the_replies_that_it_wants_cannot_be_read() {
    let (wire, mut far) = wire(4096);
    let three = redis::pipe().get("a").get("b").get("c").clone();
    let mut atomic = three.clone();
    atomic.atomic();
    for (pipeline, wanted, replies, expected) in [
        (&three, (0, 3), ":1\r\n#T\r\n:x\r\n", Some(Some(1))),
        (&three, (0, 3), ":1\r\n:2\r\n*1\r\n:x\r\n", Some(Some(2))),
        (&three, (1, 1), "#T\r\n:2\r\n:x\r\n", None),
        (&atomic, (4, 1), "+OK\r\n#T\r\n+QUEUED\r\n+QUEUED\r\n*0\r\n", None),
        (&atomic, (4, 1), "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*1\r\n#T\r\n", Some(None)),
    ] {
        let reply = wire.pipeline(Access::Open, pipeline, wanted, None, false).expect("open").0;
        let next = get(&wire, "next");
        far.read_exact(&mut vec![0; pipeline.get_packed_pipeline().len()]).await.unwrap();
        expect(&mut far, &["next"]).await;
        far.write_all(format!("{replies}:9\r\n").as_bytes()).await.unwrap();
        match (reply.await.outcome, expected) {
            (Outcome::Unreadable(place, _), Some(expected)) => assert_eq!(place, expected, "{replies}"),
            (Outcome::Answered(_), None) => {}
            (outcome, _) => panic!("{replies}: {outcome:?}"),
        }
        assert_eq!(answered(next).await, Value::Int(9));
    }
}

/// A server that reads nothing while it cannot write must not stop us from reading.
#[tokio::test]
async fn large_payloads_in_both_directions_do_not_deadlock() {
    let (wire, far) = wire(4096);
    let value = vec![b'x'; 4 << 20];
    let replies: Vec<_> = (0..4).map(|_| send(&wire, redis::cmd("ECHO").arg(&value))).collect();
    let (mut requests, mut out) = tokio::io::split(far);
    // Writes each byte back before it reads the next one; the header is made up in front.
    let server = async {
        let request = redis::cmd("ECHO").arg(&value).get_packed_command();
        let header = format!("${}\r\n", request.len());
        let mut chunk = vec![0; 1024];
        for _ in 0..4 {
            out.write_all(header.as_bytes()).await.unwrap();
            let mut left = request.len();
            while left > 0 {
                let room = left.min(chunk.len());
                let came = requests.read(&mut chunk[..room]).await.unwrap();
                out.write_all(&chunk[..came]).await.unwrap();
                left -= came;
            }
            out.write_all(b"\r\n").await.unwrap();
        }
    };
    let client = async {
        for reply in replies {
            let answer = reply.await;
            assert!(answer.large);
            assert!(matches!(answer.outcome, Outcome::Answered(Value::BulkString(bytes)) if bytes.len() > value.len()));
        }
    };
    timeout(30 * SECOND, futures_util::future::join(server, client)).await.expect("no deadlock");
}

#[tokio::test]
async fn a_large_reply_on_its_way_shows_until_it_is_through() {
    let (wire, mut far) = wire(1 << 20);
    let reply = get(&wire, "big");
    expect(&mut far, &["big"]).await;
    let size = 200_000;
    far.write_all(format!("${size}\r\n").as_bytes()).await.unwrap();
    far.write_all(&vec![b'x'; 1000]).await.unwrap();
    while !wire.queue.is_congested() {
        yield_now().await;
    }
    far.write_all(&vec![b'x'; size - 1000]).await.unwrap();
    far.write_all(b"\r\n").await.unwrap();
    assert!(matches!(answered(reply).await, Value::BulkString(bytes) if bytes.len() == size));
    assert!(!wire.queue.is_congested());
}

#[tokio::test]
async fn a_link_takes_what_its_condition_admits() {
    let (wire, mut far) = wire(1024);
    let try_as = |access| wire.command(access, redis::cmd("GET").arg("k"), None, false);
    assert!(try_as(Access::Reauthenticating).is_none());
    let first = get(&wire, "k");
    wire.queue.swap(Condition::Open, Condition::Reauthenticating);
    assert!(try_as(Access::Open).is_none());
    let second = try_as(Access::Reauthenticating).expect("re-authenticated").0;
    expect(&mut far, &["k", "k"]).await;
    far.write_all(b":1\r\n:2\r\n").await.unwrap();
    timeout(SECOND, wire.queue.drained()).await.expect("drained");
    assert_eq!((answered(first).await, answered(second).await), (Value::Int(1), Value::Int(2)));
    wire.queue.set(Condition::Down("enough"));
    wire.queue.set(Condition::Open);
    assert!(try_as(Access::Open).is_none());
    assert_eq!(wire.queue.condition(), Condition::Down("enough"));
    let own = try_as(Access::Own).expect("the connection is still there").0;
    expect(&mut far, &["k"]).await;
    far.write_all(b":3\r\n").await.unwrap();
    assert_eq!(answered(own).await, Value::Int(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_wire_ends_every_request() {
    let (wire, _far) = wire(1024);
    let replies: Vec<_> = (0..100).map(|n| get(&wire, &n.to_string())).collect();
    drop(wire);
    for reply in replies {
        let outcome = timeout(10 * SECOND, reply).await.expect("an outcome").outcome;
        assert!(matches!(outcome, Outcome::Lost(..) | Outcome::Unsent(_)), "{outcome:?}");
    }
}

/// As with TLS: a write that fails does not tell how much had gone before in the same call.
struct Breaks {
    left: usize,
    gone: Arc<std::sync::Mutex<Vec<u8>>>,
}

impl AsyncRead for Breaks {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Pending
    }
}

impl AsyncWrite for Breaks {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        // In records of 1 KiB, each of which arrives whole or not at all.
        for record in bytes.chunks(1 << 10) {
            if self.left == 0 {
                return std::task::Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
            }
            self.left -= 1;
            self.gone.lock().unwrap().extend_from_slice(record);
        }
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_a_broken_write_had_delivered_is_never_called_unsent() {
    let gone = Arc::default();
    let stream = Breaks { left: 5, gone: Arc::clone(&gone) };
    let wire = Wire::start(stream, context(1 << 10));
    let replies: Vec<_> = (0..1000).map(|n| get(&wire, &format!("key-{n:04}"))).collect();
    let one = packed("key-0000").len();
    let mut unsent = 0;
    for (n, reply) in replies.into_iter().enumerate() {
        let outcome = timeout(10 * SECOND, reply).await.expect("an outcome").outcome;
        let begun = n * one < gone.lock().unwrap().len();
        assert!(!begun || matches!(outcome, Outcome::Lost(..)), "request {n} had left: {outcome:?}");
        unsent += usize::from(matches!(outcome, Outcome::Unsent(_)));
    }
    assert!(unsent > 500, "{unsent} may be sent again");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_doubted_though_nobody_waits_to_the_deadline() {
    let (wire, mut far) = wire(1024);
    drop(get(&wire, "a"));
    let begin = Instant::now();
    while !wire.liveness.is_silent() {
        assert!(begin.elapsed() < 5 * SECOND, "nobody notices");
        tokio::time::sleep(SECOND / 10).await;
    }
    expect(&mut far, &["a"]).await;
    far.write_all(b":1\r\n").await.unwrap();
    for _ in 0..10_000 {
        if !wire.liveness.is_silent() {
            return;
        }
        yield_now().await;
    }
    panic!("the doubt stays");
}

/// A transaction ahead of which it is asked for `MULTI` has not left before there is an answer.
#[tokio::test(start_paused = true)]
async fn what_ends_with_the_question_for_multi_has_not_been_sent() {
    let question: Vec<u8> =
        ["MULTI", "DISCARD"].iter().flat_map(|name| redis::cmd(name).get_packed_command()).collect();
    for (answers, cut) in [("+OK\r\n+OK\r\n", false), ("+OK\r\n", true), ("", true), ("", false)] {
        let (wire, mut far) = wire(1024);
        let reply = wire.ask_for_multi(Access::Open, Some(Instant::now() + SECOND)).unwrap().0;
        let mut came = vec![0; question.len()];
        far.read_exact(&mut came).await.unwrap();
        assert_eq!(came, question);
        far.write_all(answers.as_bytes()).await.unwrap();
        let far = (!cut).then_some(far);
        let outcome = reply.await.outcome;
        let expected = match outcome {
            Outcome::HeldBack(_) => cut || !answers.is_empty(),
            Outcome::TimedOutHeldBack => !cut && answers.is_empty(),
            _ => false,
        };
        assert!(expected, "{answers:?}, cut: {cut}: {outcome:?}");
        drop(far);
    }
}

#[tokio::test]
async fn asking_stands_right_before_the_command_and_its_answer_is_dropped() {
    let (wire, mut far) = wire(1024);
    let asked = wire.command(Access::Open, redis::cmd("GET").arg("a"), None, true).expect("the link is open").0;
    let next = get(&wire, "b");
    let expected = [redis::cmd("ASKING").get_packed_command(), packed("a"), packed("b")].concat();
    let mut came = vec![0; expected.len()];
    far.read_exact(&mut came).await.unwrap();
    assert_eq!(came, expected);
    far.write_all(b"+OK\r\n$1\r\n1\r\n$1\r\n2\r\n").await.unwrap();
    assert_eq!((answered(asked).await, answered(next).await), (text("1"), text("2")));
}
