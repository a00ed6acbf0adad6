//! What passes between a client and its backend: authentication is answered here, everything else passed on, in order.

mod login;
mod verdict;

use super::{Shared, connection::Control};
use crate::{
    emulator::resp::{Reply, frame_len, is_push, parse_request},
    lock::lock,
};
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    sync::Notify,
};
use verdict::Verdict;

const CHUNK: usize = 64 << 10;

/// Requests that wait for their reply at most: a client that only writes is read no further.
const MOST_PENDING: usize = 64 << 10;

/// Redis gets this in place of a command that the front refuses. It has no such command, so that a transaction which
/// contains it fails, as it would with the refused one.
const REFUSED: &[u8] = b"*1\r\n$7\r\nREFUSED\r\n";

/// What a request will be answered with.
enum Pending {
    /// The backend's next reply.
    Forward,
    /// This, by the front itself.
    Answer(Vec<u8>),
    /// This, in place of the backend's next reply.
    Replace(Vec<u8>),
    /// Nothing, and nothing after it.
    Never,
}

pub(super) struct Session {
    front: Arc<Shared>,
    control: Arc<Control>,
    pending: Mutex<VecDeque<Pending>>,
    queued: Notify,
    served: Notify,
    resp3: AtomicBool,
    /// A RESP2 connection that has subscribed: everything passes through as it comes, and `AUTH` is refused.
    subscriber: AtomicBool,
}

/// However a session ends, its connection is closed then.
impl Drop for Session {
    fn drop(&mut self) {
        self.control.close();
    }
}

impl Session {
    pub(super) fn new(front: Arc<Shared>, control: Arc<Control>) -> Self {
        Self {
            front,
            control,
            pending: Mutex::default(),
            queued: Notify::new(),
            served: Notify::new(),
            resp3: AtomicBool::new(false),
            subscriber: AtomicBool::new(false),
        }
    }

    pub(super) async fn run<C, B>(self, client: C, backend: B)
    where
        C: AsyncRead + AsyncWrite,
        B: AsyncRead + AsyncWrite,
    {
        let (from_client, to_client) = split(client);
        let (from_backend, to_backend) = split(backend);
        // The first that ends ends the session; why is the client's business, who sees its connection close.
        tokio::select! {
            _ = self.requests(from_client, to_backend) => {}
            _ = self.replies(from_backend, to_client) => {}
            () = self.control.closed() => {}
            () = self.control.expired() => {
                self.front.totals.expired.fetch_add(1, Relaxed);
            }
        }
    }

    async fn requests(
        &self,
        mut client: impl AsyncRead + Unpin,
        mut backend: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(CHUNK);
        loop {
            if client.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            self.flowing().await;
            let mut forward = Vec::new();
            let mut done = 0;
            while let Some(request) = parse_request(&buffer[done..]).map_err(io::Error::other)? {
                let raw = &buffer[done..done + request.len];
                done += request.len;
                if request.args.is_empty() {
                    continue;
                }
                if matches!(request.name().as_str(), "AUTH" | "HELLO") {
                    // What came before it goes out first: validating a token may take its time.
                    backend.write_all(&std::mem::take(&mut forward)).await?;
                }
                let is_accompanied = raw.len() < buffer.len() || !lock(&self.pending).is_empty();
                let verdict = match self.judge(&request, raw).await {
                    verdict if is_accompanied && request.name() == "AUTH" => self.judge_accompanied(verdict),
                    verdict => verdict,
                };
                self.note(verdict, &mut forward);
            }
            buffer.drain(..done);
            buffer.reserve(CHUNK);
            backend.write_all(&forward).await?;
            backend.flush().await?;
            self.wait_for_room().await;
        }
    }

    /// Queues what the request will be answered with; its bytes follow, so that no reply comes unexpected.
    fn note(&self, verdict: Verdict, forward: &mut Vec<u8>) {
        let pending = match verdict {
            Verdict::Forward(bytes) => {
                self.front.totals.commands.fetch_add(1, Relaxed);
                forward.extend_from_slice(&bytes);
                Pending::Forward
            }
            Verdict::ForwardUnanswered(bytes) => {
                self.front.totals.commands.fetch_add(1, Relaxed);
                forward.extend_from_slice(&bytes);
                return;
            }
            Verdict::Answer(reply) => Pending::Answer(self.written(&reply)),
            Verdict::Refuse(problem) => {
                forward.extend_from_slice(REFUSED);
                Pending::Replace(self.written(&Reply::error(problem)))
            }
            Verdict::Never => Pending::Never,
            Verdict::Nothing => return,
        };
        lock(&self.pending).push_back(pending);
        self.queued.notify_one();
    }

    fn written(&self, reply: &Reply) -> Vec<u8> {
        let mut bytes = Vec::new();
        reply.write(self.resp3.load(Relaxed), &mut bytes);
        bytes
    }

    async fn flowing(&self) {
        self.front.flowing().await;
        self.control.flowing().await;
    }

    async fn wait_for_room(&self) {
        while lock(&self.pending).len() > MOST_PENDING {
            self.served.notified().await;
        }
    }

    async fn replies(
        &self,
        mut backend: impl AsyncRead + Unpin,
        mut client: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(CHUNK);
        loop {
            let mut out = Vec::new();
            let done = self.serve(&buffer, &mut out)?;
            buffer.drain(..done);
            if !out.is_empty() {
                self.flowing().await;
                client.write_all(&out).await?;
                client.flush().await?;
                self.served.notify_one();
            }
            buffer.reserve(CHUNK);
            tokio::select! {
                read = backend.read_buf(&mut buffer) => if read? == 0 { return Ok(()) },
                () = self.queued.notified() => {}
            }
        }
    }

    /// Moves to `out` what can be answered now; returns how much of `buffer` that took.
    fn serve(&self, buffer: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        let mut pending = lock(&self.pending);
        let mut done = 0;
        loop {
            if let Some(Pending::Answer(bytes)) = pending.front() {
                out.extend_from_slice(bytes);
                pending.pop_front();
                continue;
            }
            if let Some(Pending::Never) = pending.front() {
                return Ok(done);
            }
            let Some(len) = frame_len(&buffer[done..]).map_err(io::Error::other)? else {
                return Ok(done);
            };
            let frame = &buffer[done..done + len];
            // None is pending for what a subscriber gets in RESP2, and for errors of SUBSCRIBE.
            let answered = if is_push(frame) { None } else { pending.pop_front() };
            if is_last_unsubscription(frame) {
                self.subscriber.store(false, Relaxed);
            }
            match answered {
                Some(Pending::Replace(bytes)) => out.extend_from_slice(&bytes),
                _ => out.extend_from_slice(frame),
            }
            done += len;
        }
    }
}

/// Whether the frame says, in RESP2, that nothing is subscribed to any more.
fn is_last_unsubscription(frame: &[u8]) -> bool {
    let confirms = |start: &[u8]| frame.starts_with(start);
    let unsubscription = confirms(b"*3\r\n$11\r\nunsubscribe\r\n") || confirms(b"*3\r\n$12\r\npunsubscribe\r\n");
    unsubscription && frame.ends_with(b"\r\n:0\r\n")
}

#[cfg(test)]
mod tests;
