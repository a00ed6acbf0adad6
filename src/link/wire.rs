//! The Redis protocol over one stream: a queue that callers fill, and a task that empties it.
//!
//! Callers encode straight into the queue's buffer and go to sleep; the driver writes what has gathered in one piece,
//! parses replies in place and wakes their callers. One command costs two short locks and no allocation but its value's
//! own.

#[cfg(test)]
pub(super) mod tests;

use super::{
    condition::Access,
    confirm::Confirmations,
    context::WireContext,
    driver::Driver,
    entry::NewRequest,
    liveness::Liveness,
    multi::Multi,
    push::Pushes,
    queue::Queue,
    reply::{Expect, Gather, Outcome, PendingReply},
};
use crate::resp::pack;
use redis::{Arg, Cmd, Pipeline, PushKind};
use std::sync::Arc;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
    time::Instant,
};

/// What was queued: its reply to come, and how many bytes it has.
pub(crate) type Queued = (PendingReply, usize);

/// How a request ends that has been queued, or has not because the link did not take it.
pub(crate) async fn outcome(queued: Option<PendingReply>) -> Outcome {
    match queued {
        Some(reply) => reply.await.outcome,
        None => Outcome::Unsent(None),
    }
}

/// Commands larger than this are packed before the queue is locked.
const PACKED_BEFORE: usize = 64 << 10;

/// A connection; it ends when dropped.
pub(super) struct Wire {
    pub(super) queue: Arc<Queue>,
    pub(super) liveness: Arc<Liveness>,
    pub(super) multi: Arc<Multi>,
    pub(super) pushes: Arc<Pushes>,
    driver: JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Wire {
    /// Spawns the driver of `stream`.
    pub(super) fn start<S>(stream: S, context: WireContext) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let queue = Arc::new(Queue::new(Arc::clone(&context.admission)));
        let liveness = Arc::new(Liveness::new());
        let (tasks, multi, pushes) = (context.tasks.clone(), Arc::clone(&context.multi), Arc::clone(&context.pushes));
        let driver = tasks.spawn(Driver::new(stream, Arc::clone(&queue), Arc::clone(&liveness), context));
        Self { queue, liveness, multi, pushes, driver }
    }

    /// Queues a command, which must not be empty; none if the link does not take it now.
    ///
    /// `asking` lets it be served by a node that is just taking over its slot.
    pub(super) fn command(&self, access: Access, cmd: &Cmd, deadline: Option<Instant>, asking: bool) -> Option<Queued> {
        if asking {
            return self.command_behind_asking(access, cmd, deadline);
        }
        let order = NewRequest { deadline, expect: Expect::One, quiet: cmd.is_no_response(), alone: false };
        let size: usize = cmd.args_iter().map(|arg| if let Arg::Simple(bytes) = arg { bytes.len() } else { 0 }).sum();
        if size > PACKED_BEFORE {
            let packed = cmd.get_packed_command();
            return self.queue.push(access, order, |bytes| bytes.extend_from_slice(&packed));
        }
        self.queue.push(access, order, |bytes| pack::pack(cmd, bytes))
    }

    /// In one piece, so that nothing comes between the two: `ASKING` is for the next command alone.
    #[cold]
    fn command_behind_asking(&self, access: Access, cmd: &Cmd, deadline: Option<Instant>) -> Option<Queued> {
        let expect = Expect::Many(Box::new(Gather::single_behind_asking()));
        let packed = cmd.get_packed_command();
        self.queue.push(access, NewRequest { deadline, expect, quiet: false, alone: false }, |bytes| {
            pack::pack(&redis::cmd("ASKING"), bytes);
            bytes.extend_from_slice(&packed);
        })
    }

    /// Queues a pipeline, which must not be empty. Of its replies the first `offset` are passed over, and the next
    /// `count` are kept.
    pub(super) fn pipeline(
        &self,
        access: Access,
        pipeline: &Pipeline,
        (offset, count): (usize, usize),
        deadline: Option<Instant>,
        asking: bool,
    ) -> Option<Queued> {
        let transaction = pipeline.is_transaction();
        // MULTI and EXEC are answered, too.
        let total = pipeline.len() + if transaction { 2 } else { 0 };
        let multi = transaction.then(|| Arc::clone(&self.multi));
        let gather = Gather::new(multi, total, offset, count);
        let expect = Expect::Many(Box::new(if asking { gather.behind_asking() } else { gather }));
        // Packed before the lock is taken: it may be long.
        let packed = if asking { behind_asking(pipeline) } else { pack::pack_pipeline(pipeline) };
        let order = NewRequest { deadline, expect, quiet: false, alone: false };
        self.queue.push(access, order, |bytes| bytes.extend_from_slice(&packed))
    }

    /// Queues a command that is answered by pushes of this kind, one for each of its channels, or by an error.
    pub(super) fn subscription(&self, cmd: &Cmd, kind: PushKind, deadline: Option<Instant>) -> Option<Queued> {
        let expect = Expect::Confirmed(Box::new(Confirmations::of(cmd, kind)));
        let packed = cmd.get_packed_command();
        let order = NewRequest { deadline, expect, quiet: false, alone: false };
        self.queue.push(Access::Alone, order, |bytes| bytes.extend_from_slice(&packed))
    }

    /// Sends `MULTI` and `DISCARD` in place of a transaction, to find out whether `MULTI` may be used.
    pub(super) fn ask_for_multi(&self, access: Access, deadline: Option<Instant>) -> Option<Queued> {
        let expect = Expect::Many(Box::new(Gather::question(Arc::clone(&self.multi))));
        let order = NewRequest { deadline, expect, quiet: false, alone: false };
        self.queue.push(access, order, |bytes| {
            for name in ["MULTI", "DISCARD"] {
                pack::pack(&redis::cmd(name), bytes);
            }
        })
    }

    /// Queues the link's own `AUTH`, whatever condition the link is in. Nothing else is in flight beside it.
    pub(super) fn auth(&self, cmd: &Cmd, deadline: Instant) -> Option<PendingReply> {
        let order = NewRequest { deadline: Some(deadline), expect: Expect::One, quiet: false, alone: true };
        self.queue.push(Access::Own, order, |bytes| pack::pack(cmd, bytes)).map(|(reply, _)| reply)
    }

    /// Ends the connection, whoever holds it.
    pub(super) fn end(&self) {
        self.driver.abort();
    }

    /// Sends one of the link's own requests, whatever condition the link is in, and waits for its end.
    pub(super) async fn own(&self, cmd: &Cmd, deadline: Instant) -> Outcome {
        outcome(self.command(Access::Own, cmd, Some(deadline), false).map(|(reply, _)| reply)).await
    }
}

/// A pipeline with `ASKING`, which holds for one command, or for the whole of a transaction.
#[cold]
fn behind_asking(pipeline: &Pipeline) -> Vec<u8> {
    let asking = redis::cmd("ASKING").get_packed_command();
    if pipeline.is_transaction() {
        return [asking, pack::pack_pipeline(pipeline)].concat();
    }
    let mut bytes = Vec::new();
    for cmd in pipeline.cmd_iter() {
        bytes.extend_from_slice(&asking);
        pack::pack(cmd, &mut bytes);
    }
    bytes
}
