//! What has come: parsed, and given to the requests in their order.

use super::{Driver, Reason};
use crate::{
    link::{
        confirm::{from_resp2, is_confirmation},
        reply::{Expect, LARGE, Outcome, Problem},
    },
    observe::trace::target,
    resp::{
        claims::LinkClaims,
        line::{Garbage, Stop},
        parse::parse_with_claims,
        scan::Scan,
    },
    transport::tls::explain::broken,
};
use redis::{PushKind, Value};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::coop,
};

/// The most requests that are completed before their callers are let run: so the server has something to do while the
/// next ones are completed. With all of them at once, client and server would wait for each other in turns.
const SHARE: usize = 64;

/// The fewest; between the two it is a quarter of the requests in flight, so that 16 tasks get their replies in halves.
/// With shares of `SHARE` they got all of them at once, and the server had nothing to do until all had sent again. In
/// halves they did 1.1 times as many `GET`s of 64 bytes, 1.2 times as many `SET`s of 1 KiB and 1.6 times as many
/// pipelines of ten, and 64 tasks 1.9 times as many `GET`s, on two cores shared with the server (`make bench-peers
/// QUICK="--quick --workloads get,set,pipeline --runtimes ct --tasks 16"`). It costs more, smaller writes: a `GET` took
/// 1.15 times the CPU time, and where client and server are kept on one core, there were fewer. On a cluster, whose
/// other nodes have something to do meanwhile, 256 tasks did 0.7 times as many `GET`s with such shares (`--cluster 3`):
/// there it is `SHARE`.
const SMALLEST_SHARE: usize = 8;

/// How many are completed in one go on many threads: few enough for the driver's own thread to be through with their
/// callers before another one has woken up to take half of them away. On two cores shared with the server, 256 tasks
/// did 1.15 to 1.25 times as much as with `SHARE`; other numbers of cores were not measured
/// (`make bench-peers QUICK="--quick --runtimes mt --tasks 256"`).
const SHARE_OF_MANY: usize = 32;

/// Bytes that are read before others are let run: a large reply takes its time, which is not to be that of small ones.
const READ_AT_ONCE: usize = 128 << 10;

/// With more requests in flight, a server works in shares of its own: it reads 16 KiB at a time.
const SMALL_CROWD: usize = 512;

/// The reason when what came is no Redis reply.
pub(crate) const GARBAGE: Reason = "the server sent something that is no Redis reply";

#[cold]
fn is_garbage(pool: &str, problem: &'static str) -> Reason {
    tracing::warn!(name: "garbage_received", target: target::LINK, pool, problem, "garbage received");
    GARBAGE
}

/// One reply that has come, or a push.
struct Came {
    /// The problem, if the frame is sound and what it holds cannot be read.
    value: Result<Value, Problem>,
    len: usize,
    is_push: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Completes requests with what comes; true if there may be more, for which the task is woken.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Reason> {
        let mut came = 0;
        loop {
            // At the first look of most turns there is nothing.
            if !self.inbox.bytes().is_empty() {
                let more = self.replies();
                self.wake();
                if more? || came > READ_AT_ONCE {
                    // Others run meanwhile: those who got their replies send again, and the server is kept busy.
                    cx.waker().wake_by_ref();
                    return Ok(true);
                }
            }
            match self.inbox.fill(Pin::new(&mut self.stream), cx) {
                Poll::Pending if coop::has_budget_remaining() => return Ok(false),
                Poll::Pending => {
                    // The task has used up its budget; the stream may have more.
                    cx.waker().wake_by_ref();
                    return Ok(true);
                }
                Poll::Ready(Ok(0)) => return Err("connection closed"),
                Poll::Ready(Ok(bytes)) => {
                    came += bytes;
                    self.liveness.beat();
                }
                Poll::Ready(Err(error)) => return Err(broken(&error)),
            }
        }
    }

    /// Completes requests with what has come; true if there may be more.
    pub(super) fn replies(&mut self) -> Result<bool, Reason> {
        let most = self.share();
        let mut answered = 0;
        let outcome = loop {
            if answered == most {
                break Ok(true);
            }
            match self.next_reply() {
                Ok(None) => break Ok(false),
                Ok(Some(came)) => match self.complete(came) {
                    Ok(through) => answered += usize::from(through),
                    Err(reason) => break Err(reason),
                },
                Err(reason) => break Err(reason),
            }
            if self.answers.len() == SHARE {
                // However many there are, no more wait here than the processor's cache holds.
                self.hand_over();
            }
        };
        self.hand_over();
        outcome
    }

    /// How many requests are completed in one go.
    fn share(&self) -> usize {
        match self.outstanding.entries.len() {
            in_flight if in_flight > SMALL_CROWD => usize::MAX,
            _ if self.many_threads => SHARE_OF_MANY,
            _ if self.is_one_of_several => SHARE,
            in_flight => (in_flight / 4).clamp(SMALLEST_SHARE, SHARE),
        }
    }

    fn next_reply(&mut self) -> Result<Option<Came>, Reason> {
        let bytes = self.inbox.bytes();
        let Some(kind) = bytes.first() else {
            return Ok(None);
        };
        let is_push = *kind == b'>';
        if let Some(scan) = &mut self.scan {
            match scan.resume(bytes) {
                Ok(Some(_)) => {}
                Ok(None) => {
                    self.queue.set_congested(scan.least().max(bytes.len()) > LARGE);
                    return Ok(None);
                }
                Err(Garbage(problem)) => return Err(is_garbage(&self.pool, problem)),
            }
        }
        let mut claims = LinkClaims::default();
        let parsed = parse_with_claims(bytes, &mut claims);
        if !claims.is_empty() && self.liveness.claim(claims) {
            self.keeper.notify_one();
        }
        let (value, len) = match parsed {
            Ok((value, len)) => (Ok(value), len),
            Err(Stop::Unreadable { len, problem }) => (Err(problem), len),
            Err(Stop::Incomplete) if self.scan.is_none() => {
                self.scan = Some(Scan::new());
                return self.next_reply();
            }
            Err(Stop::Incomplete) => return Err(is_garbage(&self.pool, "a reply is shorter than it looked")),
            Err(Stop::Garbage(problem)) => return Err(is_garbage(&self.pool, problem)),
        };
        if self.scan.take().is_some() {
            self.queue.set_congested(false);
        }
        self.inbox.consume(len);
        if self.pushes.0.may_be_arrays() {
            let value = value.map(from_resp2);
            let is_push = matches!(value, Ok(Value::Push { .. }));
            return Ok(Some(Came { value, len, is_push }));
        }
        Ok(Some(Came { value, len, is_push }))
    }

    /// Gives the oldest request its reply; true if that was its last.
    fn complete(&mut self, came: Came) -> Result<bool, Reason> {
        let Came { value, len, is_push } = came;
        if is_push {
            return Ok(self.pushed(value));
        }
        let oldest = self.outstanding.entries.front_mut().ok_or("the server sent a reply that nothing asked for")?;
        let (outcome, len) = match &mut oldest.expect {
            Expect::One => (Outcome::of(value), len),
            Expect::Many(gather) => match gather.take(value, len) {
                Some(whole) => whole,
                None => return Ok(false),
            },
            Expect::Confirmed(_) if matches!(value, Ok(Value::ServerError(_))) => (Outcome::of(value), len),
            Expect::Confirmed(_) => return self.complete_behind(value),
        };
        self.conclude(0, outcome, len > LARGE);
        Ok(true)
    }

    /// Gives a reply to the first request that waits for one: those before it wait for confirmations only.
    #[cold]
    fn complete_behind(&mut self, value: Result<Value, Problem>) -> Result<bool, Reason> {
        let at = self.outstanding.entries.iter().position(|entry| matches!(entry.expect, Expect::One));
        self.conclude(at.ok_or("the server sent a reply that nothing asked for")?, Outcome::of(value), false);
        Ok(true)
    }

    /// Hands a push on, which answers no request but those for subscriptions; true if it was the last that one waited
    /// for.
    #[cold]
    fn pushed(&mut self, push: Result<Value, Problem>) -> bool {
        let confirmed = match &push {
            Ok(Value::Push { kind, data }) if is_confirmation(kind) => self.confirm(kind, data),
            _ => None,
        };
        // Its receiver knows of it before whoever asked for it is told.
        self.pushes.0.hand_on(push);
        if let Some(at) = confirmed {
            self.conclude(at, Outcome::Answered(Value::Okay), false);
        }
        confirmed.is_some()
    }

    /// Takes note of a confirmation; the place of the request that has all of its own now.
    fn confirm(&mut self, kind: &PushKind, data: &[Value]) -> Option<usize> {
        let (at, of) =
            self.outstanding.entries.iter_mut().enumerate().find_map(|(at, entry)| match &mut entry.expect {
                Expect::Confirmed(of) => of.take(kind, data).then_some((at, of)),
                _ => None,
            })?;
        of.are_complete().then_some(at)
    }

    #[inline]
    fn conclude(&mut self, at: usize, outcome: Outcome, large: bool) {
        let entry = if at == 0 { self.outstanding.entries.pop_front() } else { self.outstanding.entries.remove(at) };
        if let Some(entry) = entry {
            self.through.add(&entry);
            self.tell(entry, outcome, large);
        }
    }
}

#[cfg(test)]
mod tests;
