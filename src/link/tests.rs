//! What a link tells of itself, and how it comes to a new token.

use super::{
    wire::tests::{HOUR, SECOND, expect},
    *,
};
use crate::{
    admission::Admission,
    error::{ErrorKind, Stage},
    token::{AccessToken, Current},
};
use futures_util::FutureExt;
use redis::Value;
use std::pin::pin;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{advance, sleep},
};

/// A link whose token lives so long, and its server.
fn link(life: Duration) -> (Link, DuplexStream) {
    let (near, far) = duplex(4096);
    (Link::over(7, near, Admission::new(usize::MAX), life), far)
}

fn current() -> Current {
    let token = AccessToken::opaque("token".to_owned(), HOUR, "tester").unwrap();
    Current { token, generation: 3, username: crate::ids::UserName::new("tester") }
}

fn get(link: &Link, key: &str) -> PendingReply {
    link.command(Access::Open, redis::cmd("GET").arg(key), None, false).expect("it is open").0
}

async fn said(server: &mut DuplexStream) -> String {
    let mut came = vec![0; 4096];
    let len = server.read(&mut came).await.unwrap();
    String::from_utf8(came[..len].to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_link_is_shown_as_it_is() {
    let (link, mut server) = link(HOUR);
    link.succeeds(2);
    let first = get(&link, "a");
    let shown = link.stats(LinkPurpose::Shared);
    assert_eq!((shown.link, &*shown.node, shown.state), (7, "none", LinkState::Open));
    assert_eq!((shown.generation, shown.in_flight, shown.reauths, shown.reconnects), (0, 1, 0, 2));
    assert_eq!((link.commands_queued(), link.has_answered(1)), (1, false));
    expect(&mut server, &["a"]).await;
    server.write_all(b":1\r\n").await.unwrap();
    assert!(matches!(first.await.outcome, Outcome::Answered(Value::Int(1))));
    assert!(link.has_answered(1) && link.in_flight() == 0);
    link.divert();
    assert_eq!(link.stats(LinkPurpose::Shared).state, LinkState::Reauthenticating);
    link.drained().await;
    link.retire("a test");
    assert_eq!((link.stats(LinkPurpose::Shared).state, link.condition()), (LinkState::Down, Condition::Down("a test")));
    assert!(!link.is_open() && !link.has_ended() && Arc::ptr_eq(link.queue(), &link.wire.queue));
    drop(server);
    while !link.has_ended() {
        sleep(SECOND / 100).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_is_idle_since_it_was_last_used_or_heard() {
    let (link, mut server) = link(HOUR);
    sleep(SECOND).await;
    assert_eq!((link.age(), link.idle(), link.since_heard()), (SECOND, SECOND, SECOND));
    let asked = get(&link, "a");
    expect(&mut server, &["a"]).await;
    server.write_all(b":1\r\n").await.unwrap();
    asked.await;
    assert_eq!((link.idle(), link.since_heard()), (Duration::ZERO, Duration::ZERO));
    sleep(SECOND).await;
    let checked = pin!(link.check(HOUR));
    assert!(checked.now_or_never().is_none());
    assert_eq!(
        (link.age(), link.idle(), link.since_heard()),
        (2 * SECOND, Duration::ZERO, SECOND),
        "it is being asked"
    );
}

#[tokio::test(start_paused = true)]
async fn a_link_is_not_silent_while_its_token_is_validated() {
    let (link, mut server) = link(HOUR);
    assert!(!link.silent_since(Instant::now()));
    sleep(SECOND).await;
    let moment = Instant::now();
    assert!(link.silent_since(moment));
    let current = current();
    let mut auth = pin!(link.reauthenticate(&current, HOUR));
    assert!(auth.as_mut().now_or_never().is_none());
    assert!(link.is_validating() && !link.silent_since(moment));
    said(&mut server).await;
    server.write_all(b"+OK\r\n").await.unwrap();
    auth.await.unwrap();
    assert!(!link.is_validating());
}

#[tokio::test(start_paused = true)]
async fn a_new_token_is_the_links_when_redis_has_taken_it() {
    let (link, mut server) = link(10 * SECOND);
    link.divert();
    let current = current();
    let answer = async {
        assert_eq!(said(&mut server).await, "*3\r\n$4\r\nAUTH\r\n$6\r\ntester\r\n$5\r\ntoken\r\n");
        sleep(2 * SECOND).await;
        server.write_all(b"+OK\r\n").await.unwrap();
    };
    let (result, ()) = tokio::join!(link.reauthenticate(&current, HOUR), answer);
    result.unwrap();
    assert_eq!((link.generation(), link.reauths(), link.auth_took()), (3, 1, 2 * SECOND));
    assert_eq!(link.authenticated_until(), current.token.usable_until());
    assert!(link.is_open());
    // The end of the old one is not the link's any more.
    advance(60 * SECOND).await;
    let asked = get(&link, "a");
    expect(&mut server, &["a"]).await;
    server.write_all(b":1\r\n").await.unwrap();
    assert!(matches!(asked.await.outcome, Outcome::Answered(_)));
}

#[tokio::test(start_paused = true)]
async fn a_link_goes_on_with_its_old_token_when_redis_refuses_the_new_one() {
    let (link, mut server) = link(HOUR);
    link.divert();
    let current = current();
    let answer = async {
        said(&mut server).await;
        server.write_all(b"-WRONGPASS invalid username-password pair\r\n").await.unwrap();
    };
    let (result, ()) = tokio::join!(link.reauthenticate(&current, HOUR), answer);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::AuthenticationRejected);
    assert_eq!((link.generation(), link.reauths(), link.is_open(), link.is_validating()), (0, 0, true, false));
}

/// What follows would wait behind the `AUTH`.
#[tokio::test(start_paused = true)]
async fn a_link_whose_auth_is_not_answered_takes_no_commands() {
    let whole = "(`auth_timeout`)";
    let rest = "the rest of the old token's life";
    for (life, limit, expected) in
        [(HOUR, 5 * SECOND, whole), (5 * SECOND, 5 * SECOND, whole), (5 * SECOND, HOUR, rest)]
    {
        let (link, _server) = link(life);
        link.divert();
        let current = current();
        let began = Instant::now();
        let error = link.reauthenticate(&current, limit).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Timeout(Stage::Auth), 5 * SECOND));
        assert!(error.to_string().contains(expected), "{error}");
        assert!(link.is_reauthenticating() && link.generation() == 0);
    }
}

/// The `AUTH` needs the other half.
#[tokio::test(start_paused = true)]
async fn what_is_in_flight_is_waited_for_before_the_auth_for_half_of_the_time() {
    let current = current();
    for answered_after in [2 * SECOND, 8 * SECOND] {
        let (link, mut server) = link(HOUR);
        let _asked = get(&link, "a");
        expect(&mut server, &["a"]).await;
        link.divert();
        let began = Instant::now();
        let serve = async {
            if answered_after > 5 * SECOND {
                sleep((5 * SECOND).saturating_sub(Duration::from_millis(1))).await;
                assert_eq!(link.in_flight(), 1, "it waits");
                sleep(Duration::from_millis(2)).await;
                assert_eq!(link.in_flight(), 2, "its AUTH is the next to be written");
            }
            sleep(answered_after.saturating_sub(began.elapsed())).await;
            server.write_all(b":1\r\n").await.unwrap();
            assert!(said(&mut server).await.contains("AUTH"));
            assert_eq!(began.elapsed(), answered_after);
            server.write_all(b"+OK\r\n").await.unwrap();
        };
        let (result, ()) = tokio::join!(link.reauthenticate(&current, 10 * SECOND), serve);
        result.unwrap();
    }
    // One that is not diverted goes on taking commands: it would never be without.
    let (link, mut server) = link(HOUR);
    let _asked = get(&link, "a");
    expect(&mut server, &["a"]).await;
    let auth = pin!(link.reauthenticate(&current, 10 * SECOND));
    assert!(auth.now_or_never().is_none());
    assert_eq!(link.in_flight(), 2, "its AUTH is queued");
}

#[tokio::test(start_paused = true)]
async fn the_topology_is_asked_for_once_more_unless_its_reply_is_to_come() {
    let (link, mut server) = link(HOUR);
    let asked = link.ask_for_slots(Instant::now() + SECOND).expect("there is a connection");
    assert_eq!(said(&mut server).await, "*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n");
    *lock(&link.slots) = Some(asked);
    let given = link.ask_for_slots(Instant::now() + SECOND).unwrap();
    assert_eq!(link.in_flight(), 1, "nothing is sent");
    server.write_all(b"*0\r\n").await.unwrap();
    assert!(matches!(given.await.outcome, Outcome::Answered(Value::Array(values)) if values.is_empty()));
    let again = link.ask_for_slots(Instant::now() + SECOND).unwrap();
    assert!(matches!(again.await.outcome, Outcome::TimedOut));
}

#[tokio::test]
async fn pipelines_and_questions_for_multi_go_over_the_links_connection() {
    let (link, mut server) = link(HOUR);
    assert!(link.must_ask_for_multi(|| true) && !link.must_ask_for_multi(|| false));
    let pipeline = redis::pipe().get("a").get("b").clone();
    let whole = link.pipeline(Access::Open, &pipeline, (0, 2), None, false).unwrap().0;
    let question = link.ask_for_multi(Access::Open, None).unwrap().0;
    server.write_all(b":1\r\n:2\r\n+OK\r\n+OK\r\n").await.unwrap();
    let Outcome::Answered(values) = whole.await.outcome else { panic!("it is answered") };
    assert_eq!(values, Value::Array(vec![Value::Int(1), Value::Int(2)]));
    assert!(matches!(question.await.outcome, Outcome::HeldBack(_)));
    let sent = said(&mut server).await;
    assert!(sent.ends_with("*1\r\n$5\r\nMULTI\r\n*1\r\n$7\r\nDISCARD\r\n"), "{sent}");
    assert!(!link.must_ask_for_multi(|| true), "it may be used");
}

/// It blocked for its last user's command, which has been answered early.
#[tokio::test(start_paused = true)]
async fn a_link_that_was_let_go_of_is_doubted_as_soon_as_any_other() {
    let (link, mut server) = link(HOUR);
    for let_go in [Link::release, Link::unblock] {
        link.hold();
        link.block_until(Instant::now() + HOUR);
        let (reply, _) = link.command_alone(redis::cmd("BLPOP").arg("k").arg(0), None).unwrap();
        assert!(said(&mut server).await.contains("BLPOP"));
        sleep(60 * SECOND).await;
        assert!(!link.is_silent());
        server.write_all(b"*0\r\n").await.unwrap();
        reply.await;
        let_go(&link);
        let reply = get(&link, "k");
        said(&mut server).await;
        // It is looked at once a second.
        sleep(2 * SECOND + SECOND / 10).await;
        assert!(link.is_silent());
        server.write_all(b":1\r\n").await.unwrap();
        reply.await;
    }
}

#[tokio::test(start_paused = true)]
async fn silence_is_no_reason_for_doubt_while_a_command_blocks() {
    for blocks in [false, true] {
        let (link, mut server) = link(HOUR);
        let blocked = link.command_alone(redis::cmd("BLPOP").arg("list").arg(60), None).expect("it is open").0;
        if blocks {
            link.block_until(Instant::now() + 60 * SECOND);
        }
        said(&mut server).await;
        sleep(50 * SECOND).await;
        assert_eq!(link.is_silent(), !blocks);
        sleep(20 * SECOND).await;
        assert!(link.is_silent(), "Redis should have answered");
        drop(blocked);
    }
}

/// The old token's end counts no more from the moment on at which the `AUTH` is queued, whoever polls when.
#[tokio::test(start_paused = true)]
async fn the_auth_of_a_link_that_one_user_has_is_under_way_when_it_is_queued() {
    let (link, mut server) = link(HOUR);
    let (link, current) = (Arc::new(link), Arc::new(current()));
    link.hold();
    assert!(link.reauthenticate_unheld(&current, HOUR).is_none() && !link.is_validating());
    link.release();
    let auth = link.reauthenticate_unheld(&current, HOUR).unwrap();
    assert!(link.is_validating() && link.awaits_auth());
    said(&mut server).await;
    server.write_all(b"+OK\r\n").await.unwrap();
    auth.await.unwrap();
    assert!(!link.is_validating());
    drop(link.reauthenticate_unheld(&current, HOUR));
    assert!(!link.is_validating(), "nobody waits for it");
}

/// What is stuck before the `AUTH` is not what that makes wait.
#[tokio::test(start_paused = true)]
async fn an_auth_explains_silence_only_when_it_is_the_next_to_be_answered() {
    for is_before in [false, true] {
        let (link, mut server) = link(HOUR);
        let _before = is_before.then(|| get(&link, "a"));
        let current = current();
        let mut auth = pin!(link.reauthenticate(&current, HOUR));
        assert!(auth.as_mut().now_or_never().is_none());
        let _behind = get(&link, "b");
        said(&mut server).await;
        sleep(3 * SECOND).await;
        assert!(link.is_silent(), "commands go elsewhere all the same");
        assert_eq!((link.awaits_auth(), link.is_stuck()), (!is_before, is_before));
        if !is_before {
            server.write_all(b"+OK\r\n").await.unwrap();
            auth.await.unwrap();
            assert!(!link.is_silent() && !link.awaits_auth());
        }
    }
}
