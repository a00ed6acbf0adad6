//! Whether a connection that is up is of use.

use super::{reply::Outcome, wire::Wire};
use crate::resp::claims::{LinkClaims, NOAUTH, READONLY};
use redis::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Why a link is given up that does not answer.
const SILENT: &str = "PING was not answered";

/// A server's part in replication: only a primary takes writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Primary,
    Replica,
    /// Its answer does not say: the user may not ask it, or it does not know the command.
    Unsaid,
    /// It has not answered.
    Unanswered,
}

/// Sends `PING`, and waits for `limit` at most; if it is claimed to be a replica, asks for its role, within `limit`
/// again. The error is why the connection is of no use.
pub(super) async fn check(wire: &Wire, claims: LinkClaims, limit: Duration) -> Result<(), &'static str> {
    let asked = Instant::now();
    verdict(&wire.own(&redis::cmd("PING"), asked + limit).await, wire, asked)?;
    if !claims.is_read_only() {
        return Ok(());
    }
    match ask_for_role(wire, Instant::now() + limit).await {
        Role::Primary => Ok(()),
        // If it does not say, its error `READONLY` is believed.
        Role::Replica | Role::Unsaid => Err(READONLY),
        Role::Unanswered => {
            // It is asked again at the next look: it may be a primary that is slow.
            wire.liveness.claim(claims);
            Ok(())
        }
    }
}

/// What the outcome of a `PING` means that was sent at `asked`.
pub(super) fn verdict(outcome: &Outcome, wire: &Wire, asked: Instant) -> Result<(), &'static str> {
    match outcome {
        Outcome::Answered(Value::ServerError(error)) if error.code() == NOAUTH => Err(NOAUTH),
        // Errors are signs of life, too.
        Outcome::Answered(_) | Outcome::Unreadable(..) => Ok(()),
        // The answer may come late, behind a large reply: a server that sends that one is alive.
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
        // ROLE: the name comes first. HELLO in RESP2: names and values alternate.
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
