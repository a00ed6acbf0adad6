//! The cursor of a command that iterates, and of its reply.

use super::timeout::replaced;
use redis::{Arg, Cmd, Value};

/// The cursor that a command has at this place, whether it is an argument or the iterator of the redis crate counts it.
pub(crate) fn cursor_of(cmd: &Cmd, at: usize) -> Option<u64> {
    match cmd.args_iter().nth(at)? {
        Arg::Simple(cursor) => number(cursor),
        // The redis crate shows it only in the command as it is sent.
        _ => number(packed_argument(&cmd.get_packed_command(), at)?),
    }
}

/// The argument at this place of a command as it is sent: `*n`, then for each of them `$length` and the argument.
fn packed_argument(packed: &[u8], at: usize) -> Option<&[u8]> {
    let line = |rest: &[u8]| rest.windows(2).position(|two| two == b"\r\n");
    let mut rest = packed.get(line(packed)? + 2..)?;
    for index in 0.. {
        let end = line(rest)?;
        let len = usize::try_from(number(rest.get(1..end)?)?).ok()?;
        let argument = rest.get(end + 2..end + 2 + len)?;
        if index == at {
            return Some(argument);
        }
        rest = rest.get(end + 2 + len + 2..)?;
    }
    None
}

/// The cursor that a node has answered.
pub(crate) fn answered(reply: &Value) -> Option<u64> {
    let Value::Array(parts) = reply else {
        return None;
    };
    match parts.first()? {
        Value::BulkString(text) => number(text),
        Value::SimpleString(text) => number(text.as_bytes()),
        _ => None,
    }
}

/// The reply of a node, with the cursor for the caller in place of the one that the node has answered.
pub(crate) fn with_answer(reply: Value, cursor: u64) -> Value {
    match reply {
        Value::Array(mut parts) => {
            if let Some(first) = parts.first_mut() {
                *first = Value::BulkString(cursor.to_string().into_bytes());
            }
            Value::Array(parts)
        }
        reply => reply,
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// The same command with another cursor, for one node.
pub(crate) fn with_cursor(cmd: &Cmd, at: usize, cursor: u64) -> Cmd {
    // Only one argument can be a cursor of the redis crate's: the one that is replaced.
    let mut node = replaced(cmd, |place| (place == at).then_some(cursor));
    node.set_no_response(cmd.is_no_response());
    node
}

#[cfg(test)]
mod tests;
