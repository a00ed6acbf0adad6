//! A sign of life that a node has given, and what it says of what has been read from it.

use crate::{
    cluster::owned::SlotSet,
    near_cache::{Both, Coverage},
};
use redis::Value;

/// A node's answer to what it was asked at some moment. Before it, the node has told of all changes until then that it
/// knows of. On a cluster the answer says which slots it has: of changes to keys that have moved away it does not tell.
pub(super) struct Sign {
    pub(super) asked: Both,
    pub(super) slots: Option<SlotSet>,
    /// It changes whenever the node gets slots that another one had.
    pub(super) epoch: Option<u64>,
}

impl Sign {
    /// None if the node serves nothing: one that is cut off from the others claims its slots, while another one may
    /// have got them.
    pub(super) fn of_cluster(asked: Both, info: &Value, slots: SlotSet) -> Option<Self> {
        let epoch = field(info, "cluster_my_epoch").and_then(|epoch| epoch.parse().ok());
        (field(info, "cluster_state") != Some("fail")).then_some(Self { asked, slots: Some(slots), epoch })
    }

    /// Whether the node has not all the slots whose keys have been read: neither those that it has lost, nor those that
    /// it had for a time, between two signs.
    pub(super) fn has_not(&self, read: &Coverage) -> bool {
        self.slots.as_ref().is_some_and(|slots| !slots.has_all_of(read.slots()))
    }

    /// Whether something has happened since an earlier sign after which what has been read may not be served: slots
    /// have come, and may have been away for a time; or the wall clock has been set back.
    pub(super) fn has_changed_since(&self, earlier: &Self, now: Both) -> bool {
        let has_got_slots = matches!((earlier.epoch, self.epoch), (Some(before), Some(now)) if before != now);
        has_got_slots || earlier.asked.was_set_back_until(now)
    }
}

/// What a node's `CLUSTER INFO` says under this name; none if the user may not ask for it.
fn field<'a>(info: &'a Value, name: &str) -> Option<&'a str> {
    let text = match info {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?,
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text,
        _ => return None,
    };
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    text.lines().find_map(value).map(str::trim)
}

#[cfg(test)]
mod tests;
