//! What a server sends without being asked, and who gets it.

use super::reply::Problem;
use redis::{PushKind, Value};
use std::sync::{Arc, OnceLock};

/// Gets the pushes of a connection. Both functions are called on the connection's task, which waits for them: they must
/// neither block nor panic.
pub(crate) trait PushReceiver: Send + Sync {
    /// A push, in its place among the replies: what was answered before it came before it.
    fn receive(&self, kind: PushKind, data: Vec<Value>);

    /// There will be no more of them: the connection has ended.
    fn end(&self);
}

/// Who gets the pushes of a connection. Those that come before anybody wants them are dropped: nobody has asked for any.
#[derive(Default)]
pub(super) struct Pushes(OnceLock<Arc<dyn PushReceiver>>);

impl Pushes {
    /// Only the first receiver counts.
    pub(super) fn hand_to(&self, receiver: Arc<dyn PushReceiver>) {
        _ = self.0.set(receiver);
    }

    pub(super) fn hand_on(&self, push: Result<Value, Problem>) {
        if let (Some(receiver), Ok(Value::Push { kind, data })) = (self.0.get(), push) {
            receiver.receive(kind, data);
        }
    }
}

/// The connection's end of it: with this, the pushes end.
pub(super) struct Source(pub(super) Arc<Pushes>);

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(receiver) = self.0.0.get() {
            receiver.end();
        }
    }
}
