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
    match wire.own(&redis::cmd("PING"), asked + limit).await {
        Outcome::Answered(Value::ServerError(error)) if error.code() == NOAUTH => return Err(NOAUTH),
        // Errors are signs of life, too.
        Outcome::Answered(_) | Outcome::Unreadable(..) => {}
        // Behind a large reply its answer may come late: whoever sends that is there.
        Outcome::TimedOut if !wire.liveness.silent_since(asked) => {}
        _ => return Err(SILENT),
    }
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
mod tests {
    use super::{
        super::wire::tests::{SECOND, get, wire},
        *,
    };
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

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
            assert_eq!(of(unknown), Role::Unsaid, "{unknown}");
        }
        for none in [Outcome::TimedOut, Outcome::Lost("down"), Outcome::Unsent(None)] {
            assert_eq!(role(&none), Role::Unanswered);
        }
    }

    async fn say(far: &mut DuplexStream, question: &str, answer: &str) {
        let mut came = vec![0; redis::cmd(question).get_packed_command().len()];
        far.read_exact(&mut came).await.unwrap();
        assert_eq!(came, redis::cmd(question).get_packed_command());
        far.write_all(answer.as_bytes()).await.unwrap();
    }

    /// What is found out of a server that has answered as a replica does, and then these questions; and whether it is
    /// found out later.
    async fn found(answers: &[(&str, &str)]) -> (Result<(), &'static str>, bool) {
        let (wire, mut far) = wire(1024);
        let refused = get(&wire, "a");
        let mut came = [0; 20];
        far.read_exact(&mut came).await.unwrap();
        far.write_all(b"-READONLY You can't write against a read only replica.\r\n").await.unwrap();
        assert!(matches!(refused.await.outcome, Outcome::Answered(Value::ServerError(_))));
        let claims = wire.liveness.take_claims();
        assert!(claims.is_read_only());
        let answer = async {
            for (question, answer) in answers {
                say(&mut far, question, answer).await;
            }
            // It stays silent until the check is through.
            std::future::pending::<()>().await;
        };
        // The refusal was a sign of life, which is noted to the millisecond.
        tokio::time::sleep(SECOND / 100).await;
        let checked = tokio::select! {
            checked = check(&wire, claims, SECOND) => checked,
            () = answer => unreachable!("it does not end"),
        };
        (checked, wire.liveness.has_claims())
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_answers_is_a_replica() {
        let (pong, forbidden) = (("PING", "+PONG\r\n"), "-NOPERM no\r\n");
        let unknown = "-ERR unknown command\r\n";
        let role = |name: &str| format!("*2\r\n$4\r\nrole\r\n${}\r\n{name}\r\n", name.len());
        assert_eq!(found(&[pong]).await, (Ok(()), true));
        assert_eq!(found(&[pong, ("ROLE", forbidden)]).await, (Ok(()), true));
        assert_eq!(found(&[pong, ("ROLE", forbidden), ("HELLO", unknown)]).await, (Err(READONLY), false));
        assert_eq!(found(&[pong, ("ROLE", forbidden), ("HELLO", &role("master"))]).await, (Ok(()), false));
        assert_eq!(found(&[pong, ("ROLE", &role("replica"))]).await, (Err(READONLY), false));
        assert_eq!(found(&[]).await.0, Err(SILENT));
    }
}
