//! What one turn of a driver does, which is polled by hand here.

use crate::{
    admission::Admission,
    link::{
        condition::{Access, Condition},
        context::WireContext,
        driver::{Driver, pause::Pause},
        entry::NewRequest,
        liveness::Liveness,
        queue::{LARGEST_IDLE_BUFFER, Queue},
        reply::{Expect, LARGE, Outcome, PendingReply},
        wire::tests::{HOUR, SECOND, context},
    },
};
use futures_util::FutureExt;
use redis::Value;
use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::{coop, yield_now},
    time::Instant,
};

/// A stream that takes so many bytes a turn, and has these to be read.
#[derive(Default)]
struct Stream {
    room: usize,
    takes_nothing: bool,
    /// Once it has been found full so often, the peer is gone, and has said this before.
    breaks: Option<(usize, &'static [u8])>,
    taken: Vec<u8>,
    flushes: usize,
    says: Vec<u8>,
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // As sockets do, whose reader's turn is over.
        if self.says.is_empty() || !coop::has_budget_remaining() {
            return Poll::Pending;
        }
        let len = self.says.len().min(buf.remaining());
        buf.put_slice(&self.says[..len]);
        self.says.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.takes_nothing {
            return Poll::Ready(Ok(0));
        }
        let len = self.room.min(bytes.len());
        if len == 0 {
            let Some((patience, last_words)) = &mut self.breaks else {
                return Poll::Pending;
            };
            if *patience > 0 {
                *patience -= 1;
                return Poll::Pending;
            }
            let last_words = *last_words;
            self.says.extend_from_slice(last_words);
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.room -= len;
        self.taken.extend_from_slice(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A driver, its queue, and how often it was woken.
struct ByHand {
    driver: Driver<Stream>,
    queue: Arc<Queue>,
    liveness: Arc<Liveness>,
    context: WireContext,
    wakes: Arc<Wakes>,
}

impl ByHand {
    fn new() -> Self {
        let mut context = context(16 << 10);
        context.admission = Admission::new(usize::MAX);
        let queue = Arc::new(Queue::new(Arc::clone(&context.admission)));
        let liveness = Arc::new(Liveness::new());
        let stream = Stream { room: usize::MAX, ..Stream::default() };
        let driver = Driver::new(stream, Arc::clone(&queue), Arc::clone(&liveness), context.clone());
        Self { driver, queue, liveness, context, wakes: Arc::default() }
    }

    /// Whether the connection has ended after one turn.
    fn turn(&mut self) -> bool {
        // It has run just now, however slow this machine is.
        self.driver.pause = Pause::new();
        let waker = Waker::from(Arc::clone(&self.wakes));
        Pin::new(&mut self.driver).poll(&mut Context::from_waker(&waker)).is_ready()
    }

    /// How often the driver was woken since the last look.
    fn wakes(&self) -> usize {
        self.wakes.0.swap(0, SeqCst)
    }

    fn push(&self, access: Access, bytes: &[u8], alone: bool) -> PendingReply {
        let request = NewRequest { deadline: None, expect: Expect::One, quiet: false, alone };
        self.queue.push(access, request, |queued| queued.extend_from_slice(bytes)).expect("it is open").0
    }

    fn send(&self, bytes: &[u8]) -> PendingReply {
        self.push(Access::Open, bytes, false)
    }

    fn taken(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.driver.stream.taken)
    }
}

#[tokio::test]
async fn what_is_queued_is_written_in_one_piece_and_flushed_once() {
    let mut it = ByHand::new();
    let _replies = [it.send(b"one"), it.send(b"two")];
    assert!(!it.turn());
    assert_eq!((it.taken(), it.driver.stream.flushes, it.wakes()), (b"onetwo".to_vec(), 1, 0));
    assert!(!it.turn());
    assert_eq!(it.driver.stream.flushes, 1, "there is nothing to flush");
    let _third = it.send(b"three");
    assert_eq!(it.wakes(), 1, "a request wakes a driver that waits");
    assert!(!it.turn());
    assert_eq!((it.taken(), it.driver.stream.flushes), (b"three".to_vec(), 2));
}

/// Each command would travel alone otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn on_many_threads_what_is_ready_to_run_may_join() {
    let mut it = ByHand::new();
    let _first = it.send(b"one");
    assert!(!it.turn());
    assert_eq!(it.taken(), b"one", "a lone one does not wait");
    let _second = it.send(b"two");
    it.wakes();
    assert!(!it.turn());
    assert_eq!((it.taken().len(), it.wakes()), (0, 1));
    let _third = it.send(b"three");
    assert!(!it.turn());
    assert_eq!(it.taken(), b"twothree", "once only");
    let _fourth = it.send(b"four");
    assert!(!it.turn());
    assert!(it.taken().is_empty(), "the next ones have their chance, too");
}

/// A socket that is never through must not keep what it has sent.
#[tokio::test]
async fn what_is_sent_is_let_go_when_it_is_more_than_what_is_left() {
    const LEN: usize = 3 * LARGEST_IDLE_BUFFER;
    let mut it = ByHand::new();
    let bytes: Vec<_> = (0..LEN).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let _reply = it.send(&bytes);
    it.driver.stream.room = 0;
    let mut kept = Vec::new();
    while it.driver.stream.taken.len() < LEN {
        it.driver.stream.room = LARGEST_IDLE_BUFFER / 4;
        assert!(!it.turn());
        kept.push((it.driver.stream.taken.len(), it.driver.outstanding.bytes.len()));
    }
    for (sent, kept) in kept {
        let expected = match sent {
            LEN => 0,
            // In the turn after the one that has sent more than half.
            sent if sent > LEN / 2 + LARGEST_IDLE_BUFFER / 4 => LEN / 2 - LARGEST_IDLE_BUFFER / 4,
            _ => LEN,
        };
        assert_eq!(kept, expected, "{sent} sent");
    }
    assert!(it.taken() == bytes);
    assert_eq!(it.driver.outstanding.bytes.capacity(), 0, "so large a buffer is given back");
    let _reply = it.send(&bytes[..1000]);
    assert!(!it.turn());
    assert!(it.driver.outstanding.bytes.capacity() >= 1000, "a small one serves again");
}

#[tokio::test]
async fn a_stream_that_takes_nothing_has_ended() {
    let mut it = ByHand::new();
    let reply = it.send(b"one");
    it.driver.stream.takes_nothing = true;
    assert!(it.turn());
    let ByHand { driver, queue, .. } = it;
    drop(driver);
    assert!(matches!(reply.now_or_never().unwrap().outcome, Outcome::Unsent(_)));
    assert_eq!(queue.condition(), Condition::Down("connection broken"));
}

/// Whether the first request is answered of two, the second of which meets a connection that breaks.
fn is_answered_before_the_break(bytes: [&[u8]; 2], behind_auth: bool, patience: usize) -> bool {
    let mut it = ByHand::new();
    if behind_auth {
        _ = it.push(Access::Own, b"AUTH", true);
    }
    let (first, _second) = (it.send(bytes[0]), it.send(bytes[1]));
    it.driver.stream.room = bytes[0].len() + if behind_auth { 4 } else { 0 };
    it.driver.stream.breaks = Some((patience, b":1\r\n"));
    if behind_auth {
        assert!(!it.turn());
        it.driver.stream.says = b"+OK\r\n".to_vec();
    }
    while !it.turn() {}
    drop(it);
    matches!(first.now_or_never().unwrap().outcome, Outcome::Answered(Value::Int(1)))
}

/// Whichever attempt to write it is that fails.
#[tokio::test]
async fn what_was_said_before_a_connection_broke_is_read() {
    for patience in 0..4 {
        assert!(is_answered_before_the_break([b"one", b"two"], false, patience), "{patience}");
        assert!(is_answered_before_the_break([b"one", b"two"], true, patience), "behind an AUTH, {patience}");
    }
}

/// Its task has had its turn; what has come is there at the next one.
#[tokio::test]
async fn a_connection_that_breaks_when_its_turn_is_over_is_read_at_the_next() {
    let mut it = ByHand::new();
    let first = it.send(b"one");
    assert!(!it.turn());
    it.driver.stream.room = 0;
    it.driver.stream.breaks = Some((0, b":1\r\n"));
    let _second = it.send(b"two");
    poll_fn(|cx| {
        while coop::has_budget_remaining() {
            _ = pin!(coop::consume_budget()).poll(cx);
        }
        assert!(!it.turn() && it.wakes() > 0);
        Poll::Ready(())
    })
    .await;
    yield_now().await;
    assert!(it.turn());
    drop(it);
    assert!(matches!(first.now_or_never().unwrap().outcome, Outcome::Answered(Value::Int(1))));
}

/// Whoever sends it over another link has the rest of its time for that.
#[tokio::test(start_paused = true)]
async fn what_no_driver_has_seen_has_all_of_its_time_left() {
    let it = ByHand::new();
    let reply = it.send(b"one");
    drop(it);
    assert_eq!(reply.now_or_never().unwrap().deadline, Instant::now() + HOUR);
    let mut it = ByHand::new();
    it.liveness.expires_at(Instant::now());
    let reply = it.send(b"one");
    assert!(!it.turn());
    let answer = reply.now_or_never().unwrap();
    assert!(matches!(answer.outcome, Outcome::Unsent(_)) && answer.deadline == Instant::now() + HOUR);
}

/// A server that is full may refuse before it is asked anything.
#[tokio::test]
async fn what_comes_before_the_first_request_is_read_as_its_reply() {
    let mut it = ByHand::new();
    it.driver.stream.says = b"-ERR max number of clients reached\r\n".to_vec();
    assert!(!it.turn());
    let reply = it.push(Access::Own, b"AUTH", true);
    assert!(!it.turn());
    assert!(matches!(reply.now_or_never().unwrap().outcome, Outcome::Answered(Value::ServerError(_))));
    // After that nobody has asked for anything.
    it.driver.stream.says = b":1\r\n".to_vec();
    assert!(it.turn());
}

/// Some servers do not answer one that fails among other commands.
#[tokio::test]
async fn an_auth_travels_alone() {
    let mut it = ByHand::new();
    let before = it.send(b"before");
    let auth = it.push(Access::Own, b"AUTH", true);
    let (second, after) = (it.push(Access::Own, b"AUTH2", true), it.send(b"after"));
    for (taken, reply) in [("before", before), ("AUTH", auth), ("AUTH2", second), ("after", after)] {
        assert!(!it.turn());
        assert_eq!(String::from_utf8(it.taken()).unwrap(), taken);
        assert!(!it.turn());
        assert!(it.taken().is_empty(), "{taken} is not answered");
        it.driver.stream.says = b"+OK\r\n".to_vec();
        it.driver.stream.room = 0;
        assert!(!it.turn());
        assert!(matches!(reply.now_or_never().unwrap().outcome, Outcome::Answered(_)));
        it.driver.stream.room = usize::MAX;
    }
    let _last = it.send(b"last");
    assert!(!it.turn());
    assert_eq!(it.taken(), b"last");
}

/// What the reply lets on is written in the turn that reads it: nobody wakes the driver for it.
#[tokio::test]
async fn what_waits_for_an_auth_goes_with_its_reply() {
    let mut it = ByHand::new();
    let (_auth, _after) = (it.push(Access::Own, b"AUTH", true), it.send(b"after"));
    assert!(!it.turn());
    it.driver.stream.says = b"+OK\r\n".to_vec();
    assert!(!it.turn());
    assert_eq!(it.taken(), b"AUTHafter");
}

/// A large reply takes its time, which is not to be that of small ones.
#[tokio::test]
async fn others_run_between_two_parts_of_a_large_reply() {
    let mut it = ByHand::new();
    let reply = it.send(b"one");
    assert!(!it.turn());
    let len = 1 << 20;
    it.driver.stream.says = [format!("${len}\r\n").into_bytes(), vec![b'x'; len], b"\r\n".to_vec()].concat();
    let mut turns = 0;
    while !it.driver.stream.says.is_empty() {
        it.wakes();
        let before = it.driver.stream.says.len();
        assert!(!it.turn());
        turns += 1;
        let came = before - it.driver.stream.says.len();
        assert!(came <= len / 2, "{came} bytes in one turn");
        assert!(it.wakes() > 0 || it.driver.stream.says.is_empty(), "it goes on by itself");
        assert!(it.queue.is_congested() || it.driver.stream.says.is_empty());
    }
    assert!((3..=8).contains(&turns), "{turns}");
    it.turn();
    assert!(
        matches!(reply.now_or_never().unwrap().outcome, Outcome::Answered(Value::BulkString(bytes)) if bytes.len() == len)
    );
    assert!(!it.queue.is_congested());
}

/// The larger ones go to the back of the pool from then on.
#[tokio::test]
async fn a_reply_is_large_from_so_many_bytes_on() {
    // Its length, and two line ends, besides what it holds.
    let frame = "$32760\r\n\r\n".len();
    for (len, large) in [(LARGE - frame, false), (LARGE - frame + 1, true)] {
        let mut it = ByHand::new();
        let reply = it.send(b"one");
        let whole = format!("${len}\r\n{}\r\n", "x".repeat(len)).into_bytes();
        assert_eq!(whole.len() > LARGE, large);
        it.driver.stream.says = whole[..100].to_vec();
        assert!(!it.turn());
        assert_eq!(it.queue.is_congested(), large, "its length is known by now");
        it.driver.stream.says = whole[100..].to_vec();
        while !it.driver.stream.says.is_empty() {
            assert!(!it.turn());
        }
        assert!(!it.turn());
        assert_eq!(reply.now_or_never().unwrap().large, large, "{len}");
    }
}

#[tokio::test]
async fn the_keeper_is_told_once_of_what_errors_say_of_a_link() {
    let mut it = ByHand::new();
    let told = |it: &ByHand| it.context.keeper.notified().now_or_never().is_some();
    let _replies: Vec<_> = (0..3).map(|_| it.send(b"one")).collect();
    it.driver.stream.says = b"-ERR no\r\n".to_vec();
    assert!(!it.turn());
    assert!(!told(&it) && !it.liveness.has_claims());
    it.driver.stream.says = b"-NOAUTH Authentication required.\r\n".to_vec();
    assert!(!it.turn());
    assert!(told(&it) && it.liveness.has_claims());
    it.driver.stream.says = b"-NOAUTH Authentication required.\r\n".to_vec();
    assert!(!it.turn());
    assert!(!told(&it), "it knows");
}

/// Deadlines are kept to the millisecond.
#[tokio::test(start_paused = true)]
async fn a_request_ends_at_its_deadline_and_its_link_is_doubted_after_a_second_of_silence() {
    let mut it = ByHand::new();
    let request =
        |limit| NewRequest { deadline: Some(Instant::now() + limit), expect: Expect::One, quiet: false, alone: false };
    let mut long = it.queue.push(Access::Open, request(HOUR), |bytes| bytes.push(b'a')).unwrap().0;
    assert!(!it.turn());
    // What comes later may end earlier.
    let mut short = it.queue.push(Access::Open, request(SECOND / 2), |bytes| bytes.push(b'b')).unwrap().0;
    assert!(!it.turn());
    let pass = async |it: &mut ByHand, time| {
        tokio::time::advance(time).await;
        assert!(!it.turn());
    };
    pass(&mut it, SECOND * 499 / 1000).await;
    assert!((&mut short).now_or_never().is_none());
    pass(&mut it, SECOND / 1000).await;
    assert!(matches!((&mut short).now_or_never().unwrap().outcome, Outcome::TimedOut));
    // It was looked at for the first time then.
    pass(&mut it, SECOND * 999 / 1000).await;
    assert!(!it.liveness.is_silent());
    pass(&mut it, SECOND / 1000).await;
    assert!(it.liveness.is_silent() && it.context.keeper.notified().now_or_never().is_some());
    it.driver.stream.says = b":1\r\n:2\r\n".to_vec();
    assert!(!it.turn());
    assert!(!it.liveness.is_silent());
    assert!(matches!((&mut long).now_or_never().unwrap().outcome, Outcome::Answered(Value::Int(1))));
}

/// The silence before it was asked is none.
#[tokio::test(start_paused = true)]
async fn a_link_is_doubted_for_each_request_anew() {
    let mut it = ByHand::new();
    let pass = async |it: &mut ByHand, milliseconds| {
        tokio::time::advance(SECOND * milliseconds / 1000).await;
        assert!(!it.turn());
    };
    let _first = it.send(b"a");
    pass(&mut it, 0).await;
    pass(&mut it, 1000).await;
    it.driver.stream.says = b":1\r\n".to_vec();
    pass(&mut it, 500).await;
    tokio::time::advance(SECOND * 490 / 1000).await;
    let _second = it.send(b"b");
    pass(&mut it, 0).await;
    for milliseconds in [10, 500, 499] {
        pass(&mut it, milliseconds).await;
        assert!(!it.liveness.is_silent());
    }
    pass(&mut it, 1).await;
    assert!(it.liveness.is_silent());
}
