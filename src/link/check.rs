//! Whether a connection that is up is of use.

use super::{reply::Outcome, wire::Wire};
use crate::resp::claims::Claims;
use redis::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Why a link goes that is up and of no use.
const SILENT: &str = "PING was not answered";
pub(crate) const UNAUTHENTICATED: &str = "NOAUTH";
pub(crate) const READ_ONLY: &str = "READONLY";

/// What a server is to those who write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Primary,
    Replica,
    /// It does not say, or may not be asked.
    Unknown,
}

/// Asks the server, for `limit` each time; the reason if the connection is of no use.
pub(super) async fn check(wire: &Wire, claims: Claims, limit: Duration) -> Result<(), &'static str> {
    let asked = Instant::now();
    match wire.own(&redis::cmd("PING"), asked + limit).await {
        Outcome::Answered(Value::ServerError(error)) if error.code() == "NOAUTH" => return Err(UNAUTHENTICATED),
        // Errors are signs of life, too.
        Outcome::Answered(_) | Outcome::Unreadable(..) => {}
        // Behind a large reply its answer may come late: whoever sends that is there.
        Outcome::TimedOut if !wire.pulse.silent_since(asked) => {}
        _ => return Err(SILENT),
    }
    if !claims.is_read_only() {
        return Ok(());
    }
    // The PING may have used up all of its time, behind a large reply.
    match role_of(wire, Instant::now() + limit).await {
        Some(Role::Primary) => Ok(()),
        // A server that answers, and tells nobody its role, is believed what its errors say.
        Some(Role::Replica | Role::Unknown) => Err(READ_ONLY),
        None => {
            wire.pulse.claim(claims);
            Ok(())
        }
    }
}

/// The server's role; none if it does not answer in time.
async fn role_of(wire: &Wire, deadline: Instant) -> Option<Role> {
    // Access policies may forbid ROLE; HELLO without arguments changes nothing, and everybody may use it.
    for question in ["ROLE", "HELLO"] {
        let Outcome::Answered(answer) = wire.own(&redis::cmd(question), deadline).await else {
            return None;
        };
        let role = role(&answer);
        if role != Role::Unknown {
            return Some(role);
        }
    }
    Some(Role::Unknown)
}

fn role(value: &Value) -> Role {
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
        _ => Role::Unknown,
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
mod tests {
    use super::*;

    fn of(reply: &str) -> Role {
        role(&redis::parse_redis_value(reply.as_bytes()).unwrap())
    }

    #[test]
    fn the_role_is_read_from_every_form_of_answer() {
        assert_eq!(of("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"), Role::Primary);
        assert_eq!(of("*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:0\r\n"), Role::Replica);
        assert_eq!(of("*4\r\n$5\r\nproto\r\n:2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"), Role::Primary);
        assert_eq!(of("%1\r\n$4\r\nrole\r\n$7\r\nreplica\r\n"), Role::Replica);
        for unknown in ["-NOPERM no\r\n", "*0\r\n", "*1\r\n$8\r\nsentinel\r\n", "%0\r\n", "+OK\r\n"] {
            assert_eq!(of(unknown), Role::Unknown, "{unknown}");
        }
    }
}
