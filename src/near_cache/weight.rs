//! How many bytes a value takes in memory, as far as that can be told from outside of an allocator.

use redis::Value;
use std::mem::size_of;

/// Bytes that `value` takes, the space for itself included.
pub(super) fn of(value: &Value) -> usize {
    size_of::<Value>() + beside(value)
}

/// Bytes outside of the space of the value itself.
fn beside(value: &Value) -> usize {
    match value {
        Value::BulkString(bytes) => bytes.capacity(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.capacity(),
        Value::Array(values) | Value::Set(values) => values.iter().map(of).sum(),
        Value::Map(pairs) => pairs.iter().map(|(key, value)| of(key) + of(value)).sum(),
        _ => 0,
    }
}
