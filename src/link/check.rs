//! Whether a connection that is up is of use.

use super::{reply::Outcome, wire::Wire};
use crate::resp::claims::{Claims, NOAUTH, READONLY};
use redis::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Why a link goes that does not speak.
const SILENT: &str = "PING was not answered";

/// What a server is to those who write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Primary,
    Replica,
    /// Its answer does not say: it may not be asked, or does not know the question.
    Unsaid,
    /// It has not answered.
    Unanswered,
}

/// Asks the server, and waits for `limit` at most, and as long again for its role; the reason if the connection is of
/// no use.
pub(super) async fn check(wire: &Wire, claims: Claims, limit: Duration) -> Result<(), &'static str> {
    let asked = Instant::now();
    verdict(&wire.own(&redis::cmd("PING"), asked + limit).await, wire, asked)?;
    if !claims.is_read_only() {
        return Ok(());
    }
    match ask_for_role(wire, Instant::now() + limit).await {
        Role::Primary => Ok(()),
        // The error that it has answered stands if it may not be asked.
        Role::Replica | Role::Unsaid => Err(READONLY),
        Role::Unanswered => {
            // Asked again at the next look: a primary that is slow is no replica.
            wire.liveness.claim(claims);
            Ok(())
        }
    }
}

/// What the end of a `PING` means that was sent when it was `asked`.
pub(super) fn verdict(outcome: &Outcome, wire: &Wire, asked: Instant) -> Result<(), &'static str> {
    match outcome {
        Outcome::Answered(Value::ServerError(error)) if error.code() == NOAUTH => Err(NOAUTH),
        // Errors are signs of life, too.
        Outcome::Answered(_) | Outcome::Unreadable(..) => Ok(()),
        // Behind a large reply its answer may come late: whoever sends that is there.
        Outcome::TimedOut if !wire.liveness.silent_since(asked) => Ok(()),
        _ => Err(SILENT),
    }
}

async fn ask_for_role(wire: &Wire, deadline: Instant) -> Role {
    let mut said = Role::Unsaid;
    // Access policies may forbid ROLE; HELLO without arguments changes nothing, and is for everybody.
    for question in ["ROLE", "HELLO"] {
        said = role(&wire.own(&redis::cmd(question), deadline).await);
        if said != Role::Unsaid {
            break;
        }
    }
    said
}

fn role(answer: &Outcome) -> Role {
    let value = match answer {
        Outcome::Answered(value) => value,
        Outcome::Unreadable(..) => return Role::Unsaid,
        _ => return Role::Unanswered,
    };
    let name = match value {
        // ROLE: the name comes first. HELLO in RESP2: names and values by turns.
        Value::Array(values) => {
            let after = values.iter().position(|value| text(value) == Some(b"role".as_slice())).map_or(0, |at| at + 1);
            values.get(after)
        }
        Value::Map(pairs) => {
            pairs.iter().find(|(name, _)| text(name) == Some(b"role".as_slice())).map(|(_, value)| value)
        }
        _ => None,
    };
    match name.and_then(text) {
        Some(b"master" | b"primary") => Role::Primary,
        Some(b"slave" | b"replica") => Role::Replica,
        _ => Role::Unsaid,
    }
}

fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
