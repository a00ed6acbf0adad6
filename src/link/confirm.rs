//! What Redis says about subscriptions: the confirmations that a `SUBSCRIBE` or the like waits for; and, in RESP2,
//! which arrays are confirmations or messages.

use redis::{Arg, Cmd, PushKind, Value};
use std::collections::HashSet;

/// The confirmations of one `SUBSCRIBE`, `UNSUBSCRIBE` or the like: one for each of its channels, in place of a reply.
pub(crate) struct Confirmations {
    kind: PushKind,
    awaited: HashSet<Vec<u8>>,
}

impl Confirmations {
    /// Those that `cmd` is answered with, whose name must be one word.
    pub(super) fn of(cmd: &Cmd, kind: PushKind) -> Self {
        let names = cmd.args_iter().skip(1).filter_map(|arg| match arg {
            Arg::Simple(name) => Some(name.to_vec()),
            _ => None,
        });
        Self { kind, awaited: names.collect() }
    }

    /// Takes note of a push; whether it is one of these.
    pub(super) fn take(&mut self, kind: &PushKind, data: &[Value]) -> bool {
        *kind == self.kind && matches!(data.first(), Some(Value::BulkString(name)) if self.awaited.remove(name))
    }

    /// Whether all have come.
    pub(super) fn are_complete(&self) -> bool {
        self.awaited.is_empty()
    }
}

/// Whether pushes of this kind confirm something.
pub(super) fn is_confirmation(kind: &PushKind) -> bool {
    use PushKind::{PSubscribe, PUnsubscribe, SSubscribe, SUnsubscribe, Subscribe, Unsubscribe};
    matches!(kind, Subscribe | Unsubscribe | PSubscribe | PUnsubscribe | SSubscribe | SUnsubscribe)
}

/// Makes a push of an array that RESP3 would have sent as one, a message or a confirmation; anything else stays as it
/// is.
pub(super) fn from_resp2(value: Value) -> Value {
    let kind = match &value {
        Value::Array(items) => match items.first() {
            Some(Value::BulkString(name)) => kind(name),
            _ => None,
        },
        _ => None,
    };
    match (value, kind) {
        (Value::Array(items), Some(kind)) => Value::Push { kind, data: items.into_iter().skip(1).collect() },
        (value, _) => value,
    }
}

fn kind(name: &[u8]) -> Option<PushKind> {
    Some(match name {
        b"message" => PushKind::Message,
        b"pmessage" => PushKind::PMessage,
        b"smessage" => PushKind::SMessage,
        b"subscribe" => PushKind::Subscribe,
        b"psubscribe" => PushKind::PSubscribe,
        b"ssubscribe" => PushKind::SSubscribe,
        b"unsubscribe" => PushKind::Unsubscribe,
        b"punsubscribe" => PushKind::PUnsubscribe,
        b"sunsubscribe" => PushKind::SUnsubscribe,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
