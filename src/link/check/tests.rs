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
    assert_eq!(of("*1\r\n+slave\r\n"), Role::Replica);
    for unknown in ["-NOPERM no\r\n", "*0\r\n", "*1\r\n$8\r\nsentinel\r\n", "%0\r\n", "+OK\r\n"] {
        assert_eq!(of(unknown), Role::Unsaid, "{unknown}");
    }
    assert_eq!(role(&Outcome::Unreadable(None, "a test")), Role::Unsaid, "an answer, though nobody can read it");
    for none in [Outcome::TimedOut, Outcome::Lost("down", "host:1".into()), Outcome::Unsent(None)] {
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

#[tokio::test(start_paused = true)]
async fn any_answer_is_a_sign_of_life_and_only_noauth_says_that_nobody_is_known() {
    let (wire, mut far) = wire(1024);
    let answered = |text: &str| Outcome::Answered(redis::parse_redis_value(text.as_bytes()).unwrap());
    let asked = Instant::now();
    for sign in ["+PONG\r\n", "-NOPERM no\r\n", "-ERR unknown command\r\n"] {
        assert_eq!(verdict(&answered(sign), &wire, asked), Ok(()), "{sign}");
    }
    assert_eq!(verdict(&answered("-NOAUTH Authentication required.\r\n"), &wire, asked), Err(NOAUTH));

    tokio::time::sleep(SECOND).await;
    let asked = Instant::now();
    assert_eq!(verdict(&Outcome::TimedOut, &wire, asked), Err(SILENT));
    // A part of a large reply, which the answer to the PING stands behind.
    let _large = get(&wire, "a");
    tokio::time::sleep(SECOND).await;
    far.write_all(b"$100\r\nabc").await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(verdict(&Outcome::TimedOut, &wire, asked), Ok(()));
}
