//! What a server sends without being asked, and who gets it.

use super::reply::Problem;
use crate::lock::lock;
use redis::{ProtocolVersion, PushKind, Value};
use std::sync::{Arc, Mutex, OnceLock};

/// Gets the pushes of a connection. Both functions are called on the connection's task, which waits for them: they must
/// neither block nor panic. If the connection has ended before there is a receiver, `end` is called when it is set.
pub(crate) trait PushReceiver: Send + Sync {
    /// A push, in its place among the replies: what was answered before it came before it.
    fn receive(&self, kind: PushKind, data: Vec<Value>);

    /// There will be no more of them: the connection has ended.
    fn end(&self);
}

/// Who gets the pushes of a connection. Those that come before anybody wants them are dropped: nobody has asked for
/// any.
#[derive(Default)]
pub(super) struct Pushes {
    receiver: OnceLock<Arc<dyn PushReceiver>>,
    /// Locked whenever this or the receiver changes, so that one of the two finds the other.
    has_ended: Mutex<bool>,
    /// Over RESP2 pushes are arrays, and a connection that may get some takes no `AUTH`.
    are_arrays: bool,
}

impl Pushes {
    pub(super) fn over(protocol: ProtocolVersion) -> Self {
        Self { are_arrays: protocol == ProtocolVersion::RESP2, ..Self::default() }
    }

    /// Only the first receiver counts.
    pub(super) fn hand_to(&self, receiver: Arc<dyn PushReceiver>) {
        let has_ended = lock(&self.has_ended);
        let is_first = self.receiver.set(receiver).is_ok();
        let is_late = is_first && *has_ended;
        drop(has_ended);
        if is_late && let Some(receiver) = self.receiver.get() {
            receiver.end();
        }
    }

    pub(super) fn hand_on(&self, push: Result<Value, Problem>) {
        if let (Some(receiver), Ok(Value::Push { kind, data })) = (self.receiver.get(), push) {
            receiver.receive(kind, data);
        }
    }

    /// Whether it can be told from replies what is a push.
    pub(super) fn are_told_apart(&self) -> bool {
        !self.are_arrays
    }

    /// Whether an array may be a push: over RESP2, once somebody wants any.
    #[inline]
    pub(super) fn may_be_arrays(&self) -> bool {
        self.are_arrays && self.receiver.get().is_some()
    }
}

/// Held by the connection: when it is dropped, the receiver is told that there will be no more pushes.
pub(super) struct Source(pub(super) Arc<Pushes>);

impl Drop for Source {
    fn drop(&mut self) {
        let receiver = {
            let mut has_ended = lock(&self.0.has_ended);
            *has_ended = true;
            self.0.receiver.get()
        };
        if let Some(receiver) = receiver {
            receiver.end();
        }
    }
}

#[cfg(test)]
mod tests;
