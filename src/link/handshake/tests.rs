use super::*;
use crate::{
    link::wire::tests::{HOUR, SECOND, wire},
    token::AccessToken,
    transport::{dialer::Dialer, resolve::Resolver},
};
use redis::ServerError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TOKEN: &str = "the-whole-of-the-token";

fn setup(protocol: ProtocolVersion) -> Setup {
    Setup {
        dialer: Dialer {
            host: "localhost".to_owned(),
            port: 1,
            resolver: Resolver::default(),
            transport: Transport::Plaintext,
            connect_timeout: HOUR,
            hint: None,
            misconfigured: None,
        },
        protocol,
        auth_timeout: 5 * SECOND,
        command_timeout: HOUR,
        links_opened: std::sync::Arc::default(),
        asks_for_slots: std::sync::Arc::default(),
        is_one_of_several: false,
        client_name: None,
        node: "localhost:1".into(),
        pool: "test".into(),
        tasks: tokio_util::task::TaskTracker::new(),
        multi: std::sync::Arc::default(),
    }
}

fn current() -> Current {
    let token = AccessToken::opaque(TOKEN.to_owned(), HOUR, "tester").unwrap();
    Current { token, generation: 1, username: crate::ids::UserName::new("tester") }
}

/// What a connection says first, and what it says when the first of that is answered with `+OK`, if it waits for that;
/// and whether a topology is to come.
async fn first_words(setup: &Setup) -> (Vec<String>, bool) {
    let (wire, mut far) = wire(4096);
    let mut said = Vec::new();
    let server = async {
        let mut words = 0;
        // HELLO or AUTH and CLIENT SETINFO twice, and what else is asked for.
        let asked = [setup.asks_for_slots.load(Relaxed), setup.client_name.is_some()];
        let commands = 3 + asked.into_iter().filter(|asked| *asked).count();
        while words < commands {
            let mut came = vec![0; 4096];
            let len = far.read(&mut came).await.unwrap();
            let came = String::from_utf8(came[..len].to_vec()).unwrap();
            let answers = came.lines().filter(|line| line.starts_with('*')).count();
            far.write_all(&b"+OK\r\n".repeat(answers)).await.unwrap();
            said.push(came.lines().filter(|line| !line.starts_with(['*', '$'])).collect::<Vec<_>>().join(" "));
            words += answers;
        }
    };
    let current = current();
    let (slots, ()) = tokio::join!(authenticate(&wire, setup, &current), server);
    (said, slots.unwrap().is_some())
}

#[tokio::test]
async fn the_first_words_are_the_token_and_the_librarys_name_and_once_a_question() {
    const NAME: &str =
        concat!("CLIENT SETINFO LIB-NAME entra-redis CLIENT SETINFO LIB-VER ", env!("CARGO_PKG_VERSION"));
    let mut setups = [setup(ProtocolVersion::RESP3), setup(ProtocolVersion::RESP2)];
    let hello = format!("HELLO 3 AUTH tester {TOKEN} {NAME}");
    assert_eq!(first_words(&setups[0]).await, (vec![hello], false));
    let alone = vec![format!("AUTH tester {TOKEN}"), NAME.to_owned()];
    assert_eq!(first_words(&setups[1]).await, (alone, false), "an AUTH travels alone");
    setups[1].client_name = Some("orders".into());
    assert!(first_words(&setups[1]).await.0[1].ends_with(" CLIENT SETNAME orders"));
    setups[0].asks_for_slots.store(true, Relaxed);
    let (said, slots) = first_words(&setups[0]).await;
    assert!(said[0].ends_with("CLUSTER SLOTS") && slots, "{said:?}");
    assert!(!first_words(&setups[0]).await.1, "the next link has not to ask");
}

#[test]
fn links_are_numbered_from_one_on() {
    let setup = setup(ProtocolVersion::RESP3);
    assert_eq!((setup.next_id(), setup.next_id()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up_in_time() {
    let (wire, _far) = wire(4096);
    let began = Instant::now();
    let Err(error) = authenticate(&wire, &setup(ProtocolVersion::RESP3), &current()).await else {
        panic!("nobody has answered")
    };
    assert_eq!((error.kind(), began.elapsed()), (ErrorKind::Timeout(Stage::Auth), 5 * SECOND));
    assert!(error.to_string().contains("within 5s (`auth_timeout`)"), "{error}");
}

#[tokio::test]
async fn a_port_with_tls_is_told_from_a_server_without() {
    let (wire, far) = wire(4096);
    drop(far);
    let Err(error) = authenticate(&wire, &setup(ProtocolVersion::RESP3), &current()).await else {
        panic!("it has closed")
    };
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains(PLAINTEXT), "{error}");
}

fn verdict_of(outcome: Outcome) -> Result<(), Error> {
    verdict(outcome, &current(), Limit::AuthTimeout(SECOND))
}

fn refused(line: &str) -> Error {
    let value = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
    assert!(matches!(&value, redis::Value::ServerError(error) if !ServerError::code(error).is_empty()));
    verdict_of(Outcome::Answered(value)).unwrap_err()
}

#[test]
fn a_refused_token_is_told_from_other_errors() {
    assert!(verdict_of(Outcome::Answered(redis::Value::Okay)).is_ok());
    for (line, kind) in [
        ("WRONGPASS invalid username-password pair or user is disabled.", ErrorKind::AuthenticationRejected),
        ("ERR WRONGPASS invalid username-password pair", ErrorKind::AuthenticationRejected),
        ("ERR max number of clients reached", ErrorKind::Server),
        ("NOPERM WRONGPASS is no part of this", ErrorKind::Server),
    ] {
        let error = refused(line);
        assert_eq!(error.kind(), kind, "{line}");
        assert!(error.to_string().contains(line), "{error}");
        assert_eq!(error.to_string().contains("object id"), kind == ErrorKind::AuthenticationRejected, "{error}");
    }
}

#[test]
fn a_server_that_quotes_the_token_does_not_put_it_into_an_error() {
    let quotes = refused(&format!("ERR unknown command 'AUTH', with args beginning with: 'tester' '{TOKEN}'"));
    assert!(quotes.to_string().contains("unknown command 'AUTH'"), "{quotes}");
    assert!(!quotes.to_string().contains("tester"), "{quotes}");
    let quotes = refused(&format!("ERR what is {TOKEN}"));
    assert!(!quotes.to_string().contains(TOKEN), "{quotes}");
    let long = refused(&format!("ERR {}", "x".repeat(10_000)));
    assert!(long.to_string().len() < 600);
}

#[test]
fn what_is_no_answer_says_what_is_wrong_with_the_connection() {
    for outcome in [
        Outcome::Lost("connection closed", "redis:1".into()),
        Outcome::Unsent(None),
        Outcome::HeldBack(None),
        Outcome::Written,
    ] {
        let error = verdict_of(outcome).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.to_string().contains("broke during authentication"), "{error}");
    }
    for outcome in [Outcome::Lost(GARBAGE, "redis:1".into()), Outcome::Unreadable(None, "a test")] {
        let error = verdict_of(outcome).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.to_string().contains("does not speak the Redis protocol"), "{error}");
    }
}

#[test]
fn a_limit_says_where_it_comes_from() {
    assert_eq!(Limit::AuthTimeout(SECOND * 3 / 2).to_string(), "1.5s (`auth_timeout`)");
    let rest = Limit::OldToken(Duration::from_micros(1_234_567));
    assert_eq!(rest.to_string(), "1.234s, the rest of the old token's life");
    assert_eq!((rest.duration(), Limit::AuthTimeout(SECOND).duration()), (Duration::from_micros(1_234_567), SECOND));
}
