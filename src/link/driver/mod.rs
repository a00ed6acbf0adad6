//! The task of one connection: writes what is queued, in batches, and completes the requests in the order of the
//! replies.

mod fence;
mod handing;
mod pause;
mod reading;
#[cfg(test)]
mod tests;
mod watch;

use super::{
    condition::Condition,
    context::WireContext,
    entry::{Entry, Outstanding, Taken, Through},
    inbox::Inbox,
    liveness::Liveness,
    push::Source,
    queue::{LARGEST_IDLE_BUFFER, Queue},
    reply::{Completion, Expect, Outcome, ReplyCell},
};
use crate::{admission::Admission, resp::scan::Scan};
use fence::Fences;
use pause::Pause;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::{Handle, RuntimeFlavor},
    sync::Notify,
    time::{Instant, Sleep, sleep_until},
};
use watch::Look;

pub(crate) use reading::GARBAGE;
pub(crate) use watch::SILENCE;

/// Why a connection ended.
type Reason = &'static str;

/// What the stream has of the bytes that it was given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Flushed,
    Unflushed,
    /// It takes no more until the peer has taken some.
    Blocked,
}

/// Drives one connection until it ends or is dropped; either way every request gets its outcome.
pub(super) struct Driver<S> {
    stream: S,
    queue: Arc<Queue>,
    liveness: Arc<Liveness>,
    keeper: Arc<Notify>,
    admission: Arc<Admission>,
    inbox: Inbox,
    /// Where the search for the end of a reply stopped that has come in part.
    scan: Option<Scan>,
    outstanding: Outstanding,
    /// Requests that end when they are written, apart from their entries in `outstanding`, which wait for the replies.
    quiet: Vec<Entry>,
    /// How much of `outstanding.bytes` is written, and how much has been since the beginning.
    sent: usize,
    written: u64,
    output: Output,
    /// What keeps an `AUTH` apart from other requests.
    fences: Fences,
    /// Nothing can be written any more, for this reason; what has come is still read.
    broken: Option<Reason>,
    /// Requests that are through, and the answers for their callers, who are told of them in that order.
    through: Through,
    answers: Vec<(Arc<ReplyCell>, Completion)>,
    wakers: Vec<Waker>,
    /// How long a request may take that comes without a deadline.
    patience: Duration,
    /// Whether other threads may be about to queue more.
    many_threads: bool,
    yielded: bool,
    /// Bytes that are offered to the stream at once: what one TLS record holds, as of a record that failed the peer
    /// cannot have read a byte.
    record: usize,
    /// Whether the callers have other nodes, too.
    is_one_of_several: bool,
    alarm: Pin<Box<Sleep>>,
    alarm_at: Option<Instant>,
    looked: Option<Look>,
    reason: Reason,
    pause: Pause,
    /// The pool's name.
    pool: Arc<str>,
    /// The address of the server, as it is shown.
    node: Arc<str>,
    pushes: Source,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Must be called on a runtime.
    pub(super) fn new(stream: S, queue: Arc<Queue>, liveness: Arc<Liveness>, context: WireContext) -> Self {
        let WireContext { keeper, admission, patience, record, is_one_of_several, pool, node, pushes, .. } = context;
        Self {
            stream,
            queue,
            liveness,
            keeper,
            admission,
            inbox: Inbox::new(),
            scan: None,
            outstanding: Outstanding::default(),
            quiet: Vec::new(),
            sent: 0,
            written: 0,
            output: Output::Flushed,
            fences: Fences::default(),
            broken: None,
            through: Through::default(),
            answers: Vec::new(),
            wakers: Vec::new(),
            patience,
            many_threads: Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread,
            yielded: false,
            alarm: Box::pin(sleep_until(Instant::now())),
            record,
            is_one_of_several,
            alarm_at: None,
            looked: None,
            pause: Pause::new(),
            reason: "the connection's task was ended",
            pool,
            node,
            pushes: Source(pushes),
        }
    }

    /// Takes, writes and reads as far as it goes.
    ///
    /// Neither reading nor writing waits for the other, so that a server that reads no more before it is read itself
    /// gets what it wants.
    fn turn(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Reason> {
        if self.broken.is_none() {
            self.send_or_break(now, cx);
        }
        // Before the first request nothing that comes can be a reply; a server that is full may be early with its
        // refusal.
        let may_have_come = self.written > 0 || !self.outstanding.entries.is_empty();
        let mut more = may_have_come && self.read(cx)?;
        if self.is_let_on() && self.broken.is_none() && self.output != Output::Blocked {
            more = self.send_behind_fence(now, cx, more)?;
        }
        // What the server has said before the connection broke counts.
        if let Some(reason) = self.broken
            && !more
        {
            return Err(reason);
        }
        self.watch(cx);
        Ok(())
    }

    /// A reply has come that requests had to wait for (see `fence`): sends these. True if there may be `more` to read.
    #[cold]
    fn send_behind_fence(&mut self, now: Instant, cx: &mut Context<'_>, more: bool) -> Result<bool, Reason> {
        self.send_or_break(now, cx);
        Ok(more || self.broken.is_some() && self.read(cx)?)
    }

    #[inline]
    fn send_or_break(&mut self, now: Instant, cx: &mut Context<'_>) {
        if let Err(reason) = self.send(now, cx) {
            self.queue.set(Condition::Down(reason));
            self.broken = Some(reason);
        }
    }

    fn send(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), Reason> {
        let mut now = Some(now);
        if self.sent > LARGEST_IDLE_BUFFER.max(self.outstanding.bytes.len() / 2) {
            // A socket that is never through must not keep what it has sent.
            self.outstanding.bytes.drain(..self.sent);
            self.sent = 0;
        }
        loop {
            // On many threads each command would travel alone: what is ready to run gets one chance to join it.
            let patience = self.many_threads && !self.yielded;
            let before = self.outstanding.entries.len();
            match self.queue.take(&mut self.outstanding, patience, cx) {
                Taken::Nothing => return self.write(cx),
                Taken::Deferred => {
                    self.yielded = true;
                    cx.waker().wake_by_ref();
                    return Ok(());
                }
                Taken::Something => {
                    self.yielded = false;
                    // One look at the clock for all that is taken.
                    let now = now.take().unwrap_or_else(Instant::now);
                    self.see(before, now);
                    self.write(cx)?;
                }
            }
        }
    }

    /// Takes note of the requests that have been taken from the queue: those behind the first `before`.
    fn see(&mut self, before: usize, now: Instant) {
        let usual = now + self.patience;
        let mut earliest = usual;
        for entry in self.outstanding.entries.range_mut(before..) {
            match entry.deadline {
                None => entry.deadline = Some(usual),
                Some(deadline) => earliest = earliest.min(deadline),
            }
            self.fences.see(entry);
            if entry.quiet {
                let cell = entry.cell.take();
                self.quiet.push(Entry { cell, expect: Expect::One, ..*entry });
            }
        }
        self.watch_for(earliest, now);
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Reason> {
        match self.poll_write(cx) {
            Poll::Ready(Err(_)) => Err("connection broken"),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while self.sent < self.outstanding.bytes.len() {
            let room = self.room().min(self.record);
            if room == 0 {
                break;
            }
            let rest = &self.outstanding.bytes[self.sent..];
            let rest = &rest[..rest.len().min(room)];
            let Poll::Ready(sent) = Pin::new(&mut self.stream).poll_write(cx, rest)? else {
                self.output = Output::Blocked;
                return Poll::Pending;
            };
            if std::mem::replace(&mut self.output, Output::Unflushed) == Output::Blocked {
                // The peer has taken something: one that gets a long command over a slow line has nothing to say yet.
                self.liveness.beat();
            }
            if sent == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
            self.written += sent as u64;
            self.acknowledge_quiet();
        }
        if self.sent > 0 && self.sent == self.outstanding.bytes.len() {
            self.sent = 0;
            self.outstanding.bytes.clear();
            if self.outstanding.bytes.capacity() > LARGEST_IDLE_BUFFER {
                self.outstanding.bytes = Vec::new();
            }
        }
        if self.output != Output::Flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.output = Output::Flushed;
        }
        Poll::Ready(Ok(()))
    }

    fn acknowledge_quiet(&mut self) {
        if self.quiet.is_empty() {
            return;
        }
        let through = self.quiet.iter().take_while(|entry| entry.ends <= self.written).count();
        let through: Vec<_> = self.quiet.drain(..through).collect();
        for entry in through {
            self.tell(entry, Outcome::Written, false);
        }
        self.hand_over();
        self.wake();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let up_to_date = ready!(self.catch_up(now, cx));
        match up_to_date.and_then(|()| self.turn(now, cx)) {
            Ok(()) => Poll::Pending,
            Err(reason) => {
                self.reason = reason;
                Poll::Ready(())
            }
        }
    }
}
