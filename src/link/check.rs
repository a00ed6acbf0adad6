//! Whether a connection that is up is of use.

use super::{reply::Outcome, wire::Wire};
use crate::resp::claims::Claims;
use redis::Value;
use tokio::time::Instant;

/// Why a link goes that is up and of no use.
const SILENT: &str = "PING was not answered";
const UNAUTHENTICATED: &str = "NOAUTH";
const READ_ONLY: &str = "READONLY";

/// What a server is to those who write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Primary,
    Replica,
    /// It does not say, or may not be asked.
    Unknown,
}

/// Asks the server, until `deadline`; the reason if the connection is of no use.
pub(super) async fn check(wire: &Wire, claims: Claims, deadline: Instant) -> Result<(), &'static str> {
    let asked = Instant::now();
    match wire.own(&redis::cmd("PING"), deadline).await {
        Outcome::Answered(Value::ServerError(error)) if error.code() == "NOAUTH" => return Err(UNAUTHENTICATED),
        // Errors are signs of life, too.
        Outcome::Answered(_) | Outcome::Unreadable(..) => {}
        // Behind a large reply its answer may come late: whoever sends that is there.
        Outcome::TimedOut if !wire.pulse.silent_since(asked) => {}
        _ => return Err(SILENT),
    }
    if claims.is_read_only() && is_replica(wire, deadline).await {
        return Err(READ_ONLY);
    }
    Ok(())
}

async fn is_replica(wire: &Wire, deadline: Instant) -> bool {
    // Access policies may forbid ROLE; HELLO without arguments changes nothing, and is for everybody.
    for question in ["ROLE", "HELLO"] {
        match role(&wire.own(&redis::cmd(question), deadline).await) {
            Role::Primary => return false,
            Role::Replica => return true,
            Role::Unknown => {}
        }
    }
    // Whom nobody may ask is taken at its word.
    true
}

fn role(answer: &Outcome) -> Role {
    let Outcome::Answered(value) = answer else {
        return Role::Unknown;
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
        role(&Outcome::Answered(redis::parse_redis_value(reply.as_bytes()).unwrap()))
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
        assert_eq!(role(&Outcome::TimedOut), Role::Unknown);
    }
}
