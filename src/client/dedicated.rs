//! A connection that one caller has alone.

use super::ConnectionManager;
use crate::{exec::session::Session, link::PushReceiver};
use redis::{Cmd, Pipeline, PushInfo, PushKind, RedisFuture, Value, aio::ConnectionLike};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A connection that its owner has alone, from [`EntraRedis::dedicated`](crate::EntraRedis::dedicated): for `WATCH`,
/// for `MULTI` and `EXEC` one step after the other, `CLIENT TRACKING`, `CLIENT REPLY`, `SELECT` where there are several
/// databases, commands that block, and scripts that take long.
///
/// It implements [`ConnectionLike`], so the `redis` crate's `AsyncCommands` work on it. It is one connection for as
/// long as it exists: it is given each new token between its commands, but never between `MULTI` and its end or while
/// something is watched. If it breaks, or the token is about to expire in the middle of a transaction, every further
/// command fails, and the caller takes another one.
///
/// Dropped, it goes to the next caller if nothing is left on it: nothing is watched, no transaction is open, the
/// database is 0 again, nothing like a name or tracking has been set, and no reply is outstanding. Otherwise its
/// connection is closed, once all that was sent over it is answered, for which the command timeout is waited at most;
/// at once if a command that blocks is under way. It counts as a handle: the connection manager ends with the last one
/// of all.
///
/// - A command whose future is dropped before its end closes the connection in the same way, because what it has done
///   to the connection is not known. The command runs nevertheless, unless it is one that blocks.
/// - `CLIENT REPLY OFF` and `SKIP` are kept on this side: Redis sends the replies, and they are dropped here. So no
///   reply is taken for another one's.
/// - On a cluster it serves the keys of its node alone, and the caller gets `MOVED` for others.
/// - `AUTH`, `HELLO`, `RESET`, `QUIT`, `MONITOR` and subscriptions are refused.
///
/// # Errors
///
/// As those of [`EntraRedis`](crate::EntraRedis). With a [`redis::RedisError`] that
/// [`is_connection_dropped`](redis::RedisError::is_connection_dropped), the connection is gone:
/// [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted) inside says that a transaction was under way, of which
/// nothing has been done; with another one, the command itself, `EXEC` for example, may have run, or was not sent, as
/// its text says.
pub struct Dedicated {
    /// Ends before its owner.
    session: Session,
    manager: Arc<ConnectionManager>,
}

impl Dedicated {
    pub(super) fn new(session: Session, manager: Arc<ConnectionManager>) -> Self {
        Self { session, manager }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// How long each of its commands may take from now on; default the
    /// [`command_timeout`](crate::Config::command_timeout). What blocks may take its own timeout besides. A command
    /// that takes longer fails, and the connection is closed, unless the command was not sent.
    ///
    /// With a longer time, as for a script that takes long, the server's silence is no reason to doubt the connection.
    pub fn set_command_timeout(&mut self, limit: Duration) {
        self.session.set_limit(limit);
    }

    /// Whether it takes commands: its connection has not ended, and none of its commands was given up.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// What Redis sends on this connection without being asked, after `CLIENT TRACKING ON` for example, on RESP3
    /// connections; over RESP2 there is nothing. The receiver ends with the connection. Nothing is dropped, so that
    /// what is not received is kept in memory; only the first receiver gets anything. After this call the connection
    /// goes to no other caller: it is closed when the `Dedicated` is dropped.
    pub fn pushes(&mut self) -> UnboundedReceiver<PushInfo> {
        let (sender, receiver) = unbounded_channel();
        self.session.hand_pushes_to(Arc::new(Pushes(std::sync::Mutex::new(Some(sender)))));
        receiver
    }
}

/// Hands pushes on until the connection ends.
struct Pushes(std::sync::Mutex<Option<UnboundedSender<PushInfo>>>);

impl PushReceiver for Pushes {
    fn receive(&self, kind: PushKind, data: Vec<Value>) {
        if let Some(sender) = &*crate::lock::lock(&self.0) {
            // It fails if the receiver was dropped: nobody wants them then.
            _ = sender.send(PushInfo { kind, data });
        }
    }

    fn end(&self) {
        *crate::lock::lock(&self.0) = None;
    }
}

impl ConnectionLike for Dedicated {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.session.command(self.manager.core(), cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.session.pipeline(self.manager.core(), pipeline, (offset, count)))
    }

    fn get_db(&self) -> i64 {
        self.session.db()
    }
}

impl fmt::Debug for Dedicated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedicated")
            .field("node", self.session.node())
            .field("open", &self.is_open())
            .finish_non_exhaustive()
    }
}
