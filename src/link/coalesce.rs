//! The stream under a link: gathers writes into batches, and notes when the server last spoke.

use super::state::State;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// When a link's server last sent something, in milliseconds since the link began.
pub(super) struct Pulse {
    began: Instant,
    last_read: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), last_read: AtomicU64::new(0) }
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn last_read(&self) -> u64 {
        self.last_read.load(Relaxed)
    }

    /// Whether nothing has come since `moment`, which is rounded down: a doubt speaks for the server.
    pub(super) fn silent_since(&self, moment: Instant) -> bool {
        let moment = moment.saturating_duration_since(self.began).as_millis();
        u128::from(self.last_read()) < moment
    }

    fn beat(&self) {
        // Milliseconds of uptime fit for 584 million years.
        #[allow(clippy::cast_possible_truncation)]
        self.last_read.store(self.now().as_millis() as u64, Relaxed);
    }
}

/// A stream that yields once before the first write of a burst.
///
/// On a multi-thread runtime each command wakes the link's task on another worker, which would write a batch of one. By
/// yielding once, it lets the commands that are ready join: one TLS record and one system call carry them all. A lone
/// command does not wait.
pub(super) struct Coalesce<S> {
    stream: S,
    pulse: Arc<Pulse>,
    load: Arc<State>,
    yielded: bool,
}

impl<S> Coalesce<S> {
    pub(super) fn new(stream: S, pulse: Arc<Pulse>, load: Arc<State>) -> Self {
        Self { stream, pulse, load, yielded: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalesce<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.beat();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalesce<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !self.yielded && self.load.in_flight() > 1 {
            self.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Everything of this burst is written: the next write begins another.
        self.yielded = false;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
