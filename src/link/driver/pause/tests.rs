use crate::{
    admission::Admission,
    link::{
        condition::Access,
        reply::{Completion, Outcome},
        wire::{
            Wire,
            tests::{HOUR, SECOND, answered, context, context_with, expect, get, packed, wire},
        },
    },
    lock::lock,
};
use redis::Value;
use rustls::{AlertDescription, Error as TlsError};
use std::{
    collections::BTreeSet,
    future::poll_fn,
    io,
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, duplex},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task::yield_now,
    time::{Instant, timeout},
};

/// Longer than a driver may be kept from running without taking it for a pause.
const LONG: Duration = Duration::from_millis(120);

/// Beside a task that takes its thread for that long at each turn, every poll of a driver comes after a pause.
#[test]
fn a_driver_that_runs_seldom_runs_all_the_same() {
    // Looks for what is woken after each task, so that the driver never gets two turns without the other's in between.
    let runtime = Builder::new_current_thread().enable_all().event_interval(1).build().unwrap();
    runtime.block_on(async {
        let (wire, mut far) = wire(1024);
        let slow = tokio::spawn(poll_fn(|cx| {
            thread::sleep(LONG);
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        // Before the first pause it runs as at any time.
        for _ in 0..3 {
            yield_now().await;
        }
        let server = tokio::spawn(async move {
            expect(&mut far, &["a"]).await;
            far.write_all(b":1\r\n").await.unwrap();
            far
        });
        let ended = async |reply| timeout(10 * SECOND, reply).await.map(|answer: Completion| answer.outcome);
        let answered = ended(get(&wire, "a")).await;
        assert!(matches!(answered, Ok(Outcome::Answered(Value::Int(1)))), "{answered:?}");
        // Deadlines are kept, too.
        let deadline = Instant::now() + LONG;
        let late = wire.command(Access::Open, redis::cmd("GET").arg("b"), Some(deadline), false).unwrap().0;
        let late = ended(late).await;
        assert!(matches!(late, Ok(Outcome::TimedOut)), "{late:?}");
        slow.abort();
        server.await.unwrap();
    });
}

/// Lets the driver run.
async fn turns() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[tokio::test]
async fn what_is_given_back_answers_nothing() {
    let (wire, mut far) = wire(1024);
    let first = get(&wire, "a");
    expect(&mut far, &["a"]).await;
    let through = wire.queue.commands_queued();
    wire.liveness.expires_at(Instant::now());
    thread::sleep(Duration::from_millis(2));
    let given_back = [get(&wire, "b"), get(&wire, "c")];
    let through_all = wire.queue.commands_queued();
    for reply in given_back {
        assert!(matches!(reply.await.outcome, Outcome::Unsent(_)));
    }
    assert!(!wire.queue.has_answered(through), "nothing is answered yet");
    let waiting = tokio::spawn({
        let queue = Arc::clone(&wire.queue);
        async move { queue.answered(through_all).await }
    });
    turns().await;
    assert!(!waiting.is_finished());
    far.write_all(b":1\r\n").await.unwrap();
    assert_eq!(answered(first).await, Value::Int(1));
    assert!(wire.queue.has_answered(through) && wire.queue.has_answered(through_all));
    timeout(10 * SECOND, waiting).await.expect("what was given back is not waited for").unwrap();
}

/// The answer has come and nobody has read it yet; what is queued goes the way that it says.
#[tokio::test]
async fn a_token_that_was_accepted_during_a_pause_counts() {
    // Behind the `AUTH` there may be another request of the link's own, which nobody has answered.
    for (accepted, asks) in [(true, false), (false, false), (true, true), (false, true)] {
        let (wire, mut far) = wire(1024);
        let wire = Arc::new(wire);
        let validating = Arc::clone(&wire);
        let auth = tokio::spawn(async move {
            let under_way = validating.liveness.validate();
            let reply = validating.auth(redis::cmd("AUTH").arg("a"), Instant::now() + HOUR).unwrap();
            let outcome = reply.await.outcome;
            // The keeper has other things to do before.
            yield_now().await;
            if matches!(outcome, Outcome::Answered(Value::Okay)) {
                validating.liveness.expires_at(Instant::now() + HOUR);
            }
            drop(under_way);
        });
        for _ in 0..100 {
            yield_now().await;
        }
        assert!(wire.queue.has_auth());
        let slots = redis::cmd("CLUSTER").arg("SLOTS").clone();
        let _asked = asks.then(|| wire.command(Access::Own, &slots, None, false));
        turns().await;
        // Not before: however long those turns took, it dies during the pause.
        wire.liveness.expires_at(Instant::now() + LONG);
        far.write_all(if accepted { b"+OK\r\n" } else { b"-ERR no\r\n" }).await.unwrap();
        thread::sleep(2 * LONG);
        let reply = get(&wire, "b");
        auth.await.unwrap();
        if accepted {
            far.write_all(if asks { b"*0\r\n:1\r\n" } else { b":1\r\n" }).await.unwrap();
            assert_eq!(answered(reply).await, Value::Int(1), "another one is asked: {asks}");
        } else {
            assert!(matches!(reply.await.outcome, Outcome::Unsent(_)), "a dead token's connection takes nothing");
        }
    }
}

/// One whose `AUTH` nobody has answered by the old token's end is as dead as any.
#[tokio::test]
async fn a_token_that_was_not_accepted_in_time_does_not_count() {
    let (wire, _far) = wire(1024);
    wire.liveness.expires_at(Instant::now() + LONG);
    let _validating = wire.liveness.validate();
    let _auth = wire.auth(redis::cmd("AUTH").arg("a"), Instant::now() + HOUR);
    turns().await;
    thread::sleep(2 * LONG);
    let reply = timeout(10 * SECOND, get(&wire, "b")).await.expect("an outcome");
    assert!(matches!(reply.outcome, Outcome::Unsent(_)));
}

/// Takes everything, and says nothing until it says that TLS has ended.
struct Refused(Arc<AtomicBool>);

impl AsyncRead for Refused {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.0.load(SeqCst) {
            return Poll::Pending;
        }
        Poll::Ready(Err(io::Error::other(TlsError::AlertReceived(AlertDescription::CertificateRequired))))
    }
}

impl AsyncWrite for Refused {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn why_a_connection_broke_is_known_after_a_pause_too() {
    let reason_after = |pause: Duration| async move {
        let has_ended = Arc::new(AtomicBool::new(false));
        let wire = Wire::start(Refused(Arc::clone(&has_ended)), context(16 << 10));
        let lost = get(&wire, "a");
        turns().await;
        thread::sleep(pause);
        has_ended.store(true, SeqCst);
        _ = get(&wire, "b");
        match timeout(10 * SECOND, lost).await.expect("an outcome").outcome {
            Outcome::Lost(reason, _) => reason,
            other => panic!("{other:?}"),
        }
    };
    let reason = reason_after(Duration::ZERO).await;
    assert_ne!(reason, "connection broken");
    assert_eq!(reason_after(LONG).await, reason);
}

/// The runtime learns of it when it looks at its sockets, which it does after the driver's turn.
#[tokio::test]
async fn what_the_server_has_closed_during_a_pause_is_known_before_anything_is_written() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let mut far = far.unwrap().0;
    let wire = Wire::start(near.unwrap(), context(16 << 10));
    let first = get(&wire, "a");
    let mut asked = [0; 64];
    assert!(timeout(10 * SECOND, far.read(&mut asked)).await.unwrap().unwrap() > 0);
    far.write_all(b":1\r\n").await.unwrap();
    assert_eq!(answered(first).await, Value::Int(1));
    turns().await;
    drop(far);
    thread::sleep(LONG);
    let outcome = timeout(10 * SECOND, get(&wire, "b")).await.expect("an outcome").outcome;
    assert!(matches!(outcome, Outcome::Unsent(_)), "{outcome:?}");
}

/// A server without room says so before it is asked anything, and that answers the first request.
#[tokio::test]
async fn what_a_server_says_first_is_an_answer_after_a_pause_too() {
    for pause in [Duration::ZERO, LONG] {
        let (near, mut far) = duplex(1024);
        far.write_all(b"-ERR max number of clients reached\r\n").await.unwrap();
        let wire = Wire::start(near, context(16 << 10));
        thread::sleep(pause);
        let outcome = timeout(10 * SECOND, get(&wire, "a")).await.expect("an outcome").outcome;
        assert!(matches!(outcome, Outcome::Answered(Value::ServerError(_))), "{pause:?}: {outcome:?}");
    }
}

/// What has come during a pause takes its time, which is not to be that of everybody else.
#[tokio::test]
async fn others_run_while_a_driver_catches_up() {
    const CROWD: usize = 500;
    let (near, mut far) = duplex(1 << 20);
    let wire = Wire::start(near, context_with(Admission::new(CROWD), 16 << 10));
    let replies: Vec<_> = (0..CROWD).map(|n| get(&wire, &n.to_string())).collect();
    let keys: Vec<_> = (0..CROWD).map(|n| n.to_string()).collect();
    expect(&mut far, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    far.write_all(&b":1\r\n".repeat(CROWD)).await.unwrap();
    thread::sleep(LONG);
    let queue = Arc::clone(&wire.queue);
    let other = tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        poll_fn(|cx| {
            seen.insert(queue.in_flight());
            // Not `yield_now`, with which it would wait until nobody else has anything to do.
            cx.waker().wake_by_ref();
            if queue.in_flight() == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        seen
    });
    for reply in replies {
        assert_eq!(answered(reply).await, Value::Int(1));
    }
    let seen = timeout(10 * SECOND, other).await.expect("all are answered").unwrap();
    assert!(seen.len() > 4, "others have seen {seen:?} in flight");
}

/// Has more pushes to be read than anybody reads, until its end, and takes everything.
struct Flood {
    taken: Arc<Mutex<Vec<u8>>>,
    /// Bytes of a push that has been read in part.
    left: usize,
    ends: Instant,
}

impl AsyncRead for Flood {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let push = format!(">2\r\n+what\r\n$4000\r\n{}\r\n", "x".repeat(4000)).into_bytes();
        if Instant::now() < self.ends {
            let (left, len) = (self.left, push.len());
            let rest = &push[(len - left) % len..];
            let rest = &rest[..rest.len().min(buf.remaining())];
            buf.put_slice(rest);
            self.left = (left + len - rest.len()) % len;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.taken).extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_driver_that_is_never_through_with_reading_writes_and_keeps_deadlines() {
    let taken = Arc::<Mutex<Vec<u8>>>::default();
    let stream = Flood { taken: Arc::clone(&taken), left: 0, ends: Instant::now() + 30 * SECOND };
    let wire = Wire::start(stream, context(16 << 10));
    let _first = get(&wire, "a");
    for _ in 0..10_000 {
        if !lock(&taken).is_empty() {
            break;
        }
        yield_now().await;
    }
    assert_eq!(*lock(&taken), packed("a"));
    let limit = Instant::now() + 2 * LONG;
    let late = wire.command(Access::Open, redis::cmd("GET").arg("b"), Some(limit), false).unwrap().0;
    thread::sleep(LONG);
    let late = late.await.outcome;
    assert!(matches!(late, Outcome::TimedOut), "{late:?}");
    assert_eq!(*lock(&taken), [packed("a"), packed("b")].concat());
}
