//! What callers, waiters and the keeper find when the driver wakes them, and what it makes of silence and of broken
//! writes.

mod turns;

use crate::{
    admission::Admission,
    link::{
        condition::{Access, Condition},
        reply::{Outcome, PendingReply},
        wire::{
            Wire,
            tests::{SECOND, answered, context_with, expect, get, packed, wire},
        },
    },
};
use redis::Value;
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    task::yield_now,
    time::{Instant, sleep, timeout},
};

/// Looks at something whenever it is woken, and notes what it sees.
struct Witness<L, T> {
    look: L,
    seen: Mutex<Vec<T>>,
}

impl<L: Fn() -> T, T> Witness<L, T> {
    fn new(look: L) -> Arc<Self> {
        Arc::new(Self { look, seen: Mutex::default() })
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        self.seen.lock().unwrap()
    }
}

impl<L: Fn() -> T + Send + Sync, T: Send> Wake for Witness<L, T> {
    fn wake(self: Arc<Self>) {
        let seen = (self.look)();
        self.seen().push(seen);
    }
}

/// A link whose permits, so many, are all taken.
fn full(buffer: usize, most: usize) -> (Wire, DuplexStream, Arc<Admission>) {
    let admission = Admission::new(most);
    assert!((0..most).all(|_| admission.try_acquire()));
    let (near, far) = duplex(buffer);
    (Wire::start(near, context_with(Arc::clone(&admission), 16 << 10)), far, admission)
}

fn poll(future: &mut (impl Future + Unpin), waker: &Waker) -> bool {
    Pin::new(future).poll(&mut Context::from_waker(waker)).is_ready()
}

/// Bounded by turns and not by a clock, which may be paused.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if condition() {
            return;
        }
        yield_now().await;
    }
    panic!("{what} does not come");
}

#[tokio::test]
async fn a_caller_that_is_woken_by_the_links_end_finds_the_places_given_back() {
    let (wire, mut far, admission) = full(1 << 16, 3);
    let mut replies: Vec<_> = ["a", "b", "c"].iter().map(|key| get(&wire, key)).collect();
    expect(&mut far, &["a", "b", "c"]).await;
    let queue = Arc::clone(&wire.queue);
    let witness = Witness::new(move || (admission.stats().in_flight, queue.in_flight(), queue.has_ended()));
    let waker = Waker::from(Arc::clone(&witness));
    assert!(replies.iter_mut().all(|reply| !poll(reply, &waker)));
    drop(far);
    until("the link's end", || witness.seen().len() == 3).await;
    assert_eq!(*witness.seen(), [(0, 0, true); 3]);
    assert!(replies.iter_mut().all(|reply| poll(reply, &waker)));
}

/// Otherwise others would take it before it has found another link.
#[tokio::test]
async fn a_command_that_had_not_left_keeps_its_place_until_its_caller_is_through_with_it() {
    let (wire, mut far, admission) = full(8, 4);
    let replies: Vec<_> = (0..4).map(|n| get(&wire, &format!("key {n}"))).collect();
    far.read_exact(&mut [0; 10]).await.unwrap();
    // Its caller has gone.
    let mut replies = replies.into_iter();
    let (begun, cancelled) = (replies.next().unwrap(), replies.next().unwrap());
    drop((cancelled, far));
    assert!(matches!(begun.await.outcome, Outcome::Lost(..)));
    let mut kept = Vec::new();
    for reply in replies {
        match reply.await.outcome {
            Outcome::Unsent(Some(place)) => kept.push(place),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((admission.stats().in_flight, wire.queue.in_flight()), (2, 0));
    assert!(
        admission.try_acquire() && admission.try_acquire() && !admission.try_acquire(),
        "the other two are given back"
    );
    kept.pop().unwrap().hand_on();
    assert_eq!(admission.stats().in_flight, 4);
    drop(kept);
    assert_eq!(admission.stats().in_flight, 3);
}

/// One of those that end when they are written, and one whose caller gives up before that.
#[tokio::test(start_paused = true)]
async fn a_quiet_command_that_had_not_left_has_one_place_and_no_more() {
    let (wire, far, admission) = full(8, 3);
    let quiet = redis::cmd("SET").arg("key").arg("value").set_no_response(true).clone();
    let send = |limit| wire.command(Access::Open, &quiet, Some(Instant::now() + limit), false).unwrap().0;
    let (begun, waiting, hasty) = (send(60 * SECOND), send(60 * SECOND), send(SECOND));
    assert!(matches!(hasty.await.outcome, Outcome::TimedOut));
    drop(far);
    assert!(matches!(begun.await.outcome, Outcome::Lost(..)));
    let Outcome::Unsent(Some(place)) = waiting.await.outcome else { panic!("it had not left") };
    assert_eq!(admission.stats().in_flight, 1);
    drop(place);
    assert_eq!(admission.stats().in_flight, 0);
}

/// Whoever polls of its own accord must not find an answer whose place is still taken.
#[tokio::test]
async fn places_and_counts_are_right_before_an_answer_can_be_found() {
    let (wire, mut far, admission) = full(1 << 16, 2);
    let replies: Vec<_> = ["a", "b"].iter().map(|key| get(&wire, key)).collect();
    expect(&mut far, &["a", "b"]).await;
    let (replies, queue) = (Mutex::new(replies), Arc::clone(&wire.queue));
    let witness = Witness::new(move || {
        let answered =
            replies.lock().unwrap().iter_mut().map(|reply| usize::from(poll(reply, Waker::noop()))).sum::<usize>();
        (answered, queue.in_flight())
    });
    let mut room = pin!(admission.acquire());
    assert!(room.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&witness)))).is_pending());
    far.write_all(b":1\r\n:2\r\n").await.unwrap();
    until("room", || !witness.seen().is_empty()).await;
    assert_eq!(*witness.seen(), [(0, 0)]);
}

/// More replies in one piece than wait for their callers at once.
#[tokio::test]
async fn a_crowd_of_replies_is_given_out_in_order_and_in_full() {
    const CROWD: usize = 5000;
    let (wire, mut far, admission) = full(1 << 20, CROWD);
    let replies: Vec<_> = (0..CROWD).map(|n| get(&wire, &n.to_string())).collect();
    let keys: Vec<_> = (0..CROWD).map(|n| n.to_string()).collect();
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    expect(&mut far, &keys).await;
    let bytes: Vec<_> = (0..CROWD).flat_map(|n| format!(":{n}\r\n").into_bytes()).collect();
    far.write_all(&bytes).await.unwrap();
    for (n, reply) in (0..).zip(replies) {
        assert_eq!(answered(reply).await, Value::Int(n));
    }
    assert_eq!((admission.stats().in_flight, wire.queue.in_flight()), (0, 0));
}

/// Takes no more than so many bytes, and says then that the peer is gone; what that had said before is there to be
/// read.
struct HungUp {
    /// Takes nothing before: everything is queued by then, whatever thread the driver runs on.
    may_begin: Arc<AtomicBool>,
    takes: usize,
    says: Vec<u8>,
    /// Its words are there to be read.
    has_spoken: bool,
}

impl AsyncRead for HungUp {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if !self.has_spoken || self.says.is_empty() {
            return Poll::Pending;
        }
        let len = self.says.len().min(buf.remaining());
        buf.put_slice(&self.says.drain(..len).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HungUp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        if !self.may_begin.load(SeqCst) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.takes == 0 {
            self.has_spoken = true;
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        }
        let len = self.takes.min(bytes.len());
        self.takes -= len;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

async fn answers_of_one_that_hangs_up() {
    for (answered, reply) in [(300, ":1\r\n".to_owned()), (40, format!("$20000\r\n{}\r\n", "x".repeat(20_000)))] {
        let key = |n| format!("key-{n:04}");
        let takes = packed(&key(0)).len() * 400;
        let may_begin = Arc::new(AtomicBool::new(false));
        let stream = HungUp {
            may_begin: Arc::clone(&may_begin),
            takes,
            says: reply.repeat(answered).into_bytes(),
            has_spoken: false,
        };
        let wire = Wire::start(stream, context_with(Admission::new(500), 16 << 10));
        let replies: Vec<_> = (0..500).map(|n| get(&wire, &key(n))).collect();
        may_begin.store(true, SeqCst);
        for (n, reply) in replies.into_iter().enumerate() {
            let outcome = timeout(10 * SECOND, reply).await.expect("an outcome").outcome;
            let expected = match &outcome {
                Outcome::Answered(_) => n < answered,
                Outcome::Lost(..) => (answered..400).contains(&n),
                Outcome::Unsent(_) => n >= 400,
                _ => false,
            };
            assert!(expected, "request {n} of 500, {answered} answered: {outcome:?}");
        }
        assert_eq!(wire.queue.condition(), Condition::Down("connection broken"));
    }
}

#[tokio::test]
async fn what_has_been_answered_before_a_write_fails_is_answered() {
    answers_of_one_that_hangs_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_been_answered_before_a_write_fails_is_answered_on_many_threads_too() {
    answers_of_one_that_hangs_up().await;
}

/// How long it takes until the server is doubted.
async fn doubted(wire: &Wire, limit: Duration) -> Option<Duration> {
    let begin = Instant::now();
    while !wire.liveness.is_silent() {
        if begin.elapsed() > limit {
            return None;
        }
        sleep(SECOND / 50).await;
    }
    Some(begin.elapsed())
}

async fn asked(wire: &Wire, far: &mut DuplexStream) -> PendingReply {
    let reply = get(wire, "a");
    expect(far, &["a"]).await;
    reply
}

/// Its caller may be long gone: nothing but the watch looks at the link.
#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_in_the_middle_of_a_reply_is_doubted() {
    for first in [200, 900, 1100, 1500, 1950] {
        let (wire, mut far) = wire(1024);
        drop(asked(&wire, &mut far).await);
        sleep(Duration::from_millis(first)).await;
        far.write_all(b"$5\r\nab").await.unwrap();
        let took = doubted(&wire, 5 * SECOND).await.expect("nobody notices");
        assert!((SECOND..=2 * SECOND + SECOND / 10).contains(&took), "{took:?}");
        // A byte takes the doubt away; the silence after it brings it back.
        far.write_all(b"c").await.unwrap();
        until("the doubt is gone", || !wire.liveness.is_silent()).await;
        let took = doubted(&wire, 5 * SECOND).await.expect("nobody notices the second time");
        assert!((SECOND * 9 / 10..=2 * SECOND).contains(&took), "{took:?}");
        far.write_all(b"de\r\n").await.unwrap();
        until("it is answered", || wire.queue.in_flight() == 0).await;
        assert_eq!(doubted(&wire, 5 * SECOND).await, None, "nothing is outstanding");
    }
}

/// It may be a large reply on a slow line.
#[tokio::test(start_paused = true)]
async fn a_server_that_sends_a_reply_byte_by_byte_is_not_doubted() {
    let (wire, mut far) = wire(1024);
    let reply = asked(&wire, &mut far).await;
    for byte in b"$30\r\nabcdefghijklmnopqrstuvwxyz0123\r\n" {
        assert_eq!(doubted(&wire, Duration::from_millis(900)).await, None);
        far.write_all(&[*byte]).await.unwrap();
    }
    assert_eq!(answered(reply).await, Value::BulkString(b"abcdefghijklmnopqrstuvwxyz0123".to_vec()));
}

/// It has nothing to say before it has the whole command, and takes that as fast as the line carries it.
#[tokio::test(start_paused = true)]
async fn a_server_that_takes_a_command_byte_by_byte_is_not_doubted_before_it_stops() {
    let (wire, mut far) = wire(4);
    let key = "x".repeat(30);
    let reply = get(&wire, &key);
    let begin = Instant::now();
    for _ in 0..20 {
        assert_eq!(doubted(&wire, Duration::from_millis(900)).await, None, "after {:?}", begin.elapsed());
        far.read_u8().await.unwrap();
    }
    assert!(!wire.liveness.silent_since(Instant::now() - SECOND));
    assert!(doubted(&wire, 5 * SECOND).await.is_some(), "it takes no more");
    far.read_exact(&mut vec![0; packed(&key).len() - 20]).await.unwrap();
    far.write_all(b":1\r\n").await.unwrap();
    assert_eq!(answered(reply).await, Value::Int(1));
}
