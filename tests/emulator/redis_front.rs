//! The front: who is let in, how long a connection lasts, and what goes through it.

use crate::{Raw, auth, start};
use common::{SECOND, eventually, within};
use entra_redis::emulator::{AuthFault, Emulator, TokenClaims};
use std::time::Duration;
use tokio::{io::AsyncReadExt, net::TcpStream};

const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";

#[tokio::test]
async fn only_good_tokens_of_the_right_user_are_let_in() {
    let emulator = start(Emulator::builder()).await;
    let stranger = start(Emulator::builder()).await;
    let mut raw = Raw::connect(&emulator).await;
    raw.expect("GET key\r\n", "-NOAUTH Authentication required.\r\n").await;
    let token = |claims: TokenClaims| emulator.identity().issue_token_with(&claims).unwrap();
    let good = token(TokenClaims::new());
    for refused in [
        auth(&emulator, "garbage"),
        auth(&emulator, &stranger.identity().issue_token().unwrap()),
        auth(&emulator, &token(TokenClaims::new().oid("somebody-else"))),
        auth(&emulator, &token(TokenClaims::new().without_oid())),
        auth(&emulator, &token(TokenClaims::new().without_exp())),
        auth(&emulator, &token(TokenClaims::new().expired())),
        format!("AUTH {} {good}\r\n", emulator.client_id()),
        format!("AUTH default {good}\r\n"),
        format!("AUTH {good}\r\n"),
        format!("HELLO 3 AUTH {} garbage\r\n", emulator.object_id()),
    ] {
        raw.expect(&refused, WRONGPASS).await;
        raw.expect("GET key\r\n", "-NOAUTH Authentication required.\r\n").await;
    }
    raw.expect(&auth(&emulator, &good), "+OK\r\n").await;
    raw.expect("GET key\r\n", "$-1\r\n").await;
    assert_eq!(emulator.redis_front().stats().rejected, 10);
}

/// What the wire looks like to a client: everything in order, whoever answers it.
#[tokio::test]
async fn answers_come_in_the_order_of_the_requests() {
    for builder in [Emulator::builder(), Emulator::builder().redis_server()] {
        let emulator = start(builder).await;
        let mut raw = Raw::connect(&emulator).await;
        let login = auth(&emulator, &emulator.identity().issue_token().unwrap());
        let script = format!("PING\r\n{login}SET a 1\r\nAUTH x y\r\nGET a\r\n{login}INCR a\r\n");
        let replies = format!("-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n{WRONGPASS}$1\r\n1\r\n+OK\r\n:2\r\n");
        raw.expect(&script, &replies).await;
    }
}

#[tokio::test]
async fn a_connection_is_cut_when_its_token_expires_unless_it_authenticates_again() {
    let emulator = start(Emulator::builder().token_lifetime(SECOND)).await;
    let mut idle = Raw::authenticated(&emulator).await;
    let mut diligent = Raw::authenticated(&emulator).await;
    let longer = TokenClaims::new().lifetime(Duration::from_secs(3600));
    let longer = emulator.identity().issue_token_with(&longer).unwrap();
    diligent.expect(&auth(&emulator, &longer), "+OK\r\n").await;
    idle.closed().await;
    assert_eq!(emulator.redis_front().stats().expired, 1);
    diligent.expect("ECHO alive\r\n", "$5\r\nalive\r\n").await;
    // A wrong re-AUTH leaves a connection as it was.
    diligent.expect("AUTH somebody else\r\n", WRONGPASS).await;
    diligent.expect("ECHO alive\r\n", "$5\r\nalive\r\n").await;
}

#[tokio::test]
async fn subscribers_re_authenticate_in_resp3_only() {
    for builder in [Emulator::builder(), Emulator::builder().redis_server()] {
        let emulator = start(builder).await;
        let login = auth(&emulator, &emulator.identity().issue_token().unwrap());
        let mut publisher = Raw::authenticated(&emulator).await;

        let mut old = Raw::authenticated(&emulator).await;
        old.expect("SUBSCRIBE news\r\n", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n").await;
        publisher.expect("PUBLISH news one\r\n", ":1\r\n").await;
        old.reads("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\none\r\n").await;
        old.expect(&login, "-ERR Can't execute 'auth'").await;

        let mut new = Raw::connect(&emulator).await;
        let token = emulator.identity().issue_token().unwrap();
        new.send(&format!("HELLO 3 AUTH {} {token}\r\nSUBSCRIBE news\r\n", emulator.object_id())).await;
        let mut text = String::new();
        let subscribed = ">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
        eventually("HELLO and SUBSCRIBE are answered", 5 * SECOND, async || {
            let mut chunk = [0; 1024];
            let read = new.0.read(&mut chunk).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&chunk[..read]));
            text.ends_with(subscribed).then_some(())
        })
        .await;
        assert!(text.starts_with('%'), "{text}");
        publisher.expect("PUBLISH news two\r\n", ":2\r\n").await;
        new.reads(">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$3\r\ntwo\r\n").await;
        new.expect(&format!("{login}GET nothing\r\n"), "+OK\r\n_\r\n").await;
    }
}

#[tokio::test]
async fn a_reset_takes_everything_back() {
    for builder in [Emulator::builder(), Emulator::builder().redis_server()] {
        let emulator = start(builder).await;
        let login = auth(&emulator, &emulator.identity().issue_token().unwrap());
        let mut raw = Raw::authenticated(&emulator).await;
        raw.expect("SUBSCRIBE news\r\n", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n").await;
        raw.expect("RESET\r\n", "+RESET\r\n").await;
        raw.expect("GET nothing\r\n", "-NOAUTH Authentication required.\r\n").await;
        raw.expect(&format!("{login}GET nothing\r\n"), "+OK\r\n$-1\r\n").await;
        raw.expect("MULTI\r\n", "+OK\r\n").await;
        raw.expect("RESET\r\n", "+RESET\r\n").await;
        raw.expect(&format!("{login}GET nothing\r\n"), "+OK\r\n$-1\r\n").await;
    }
}

const SUBSCRIBED: &str = "-ERR Can't execute 'auth': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                          allowed in this context\r\n";

#[tokio::test]
async fn who_has_left_all_channels_may_authenticate_again() {
    for builder in [Emulator::builder(), Emulator::builder().redis_server()] {
        let emulator = start(builder).await;
        let login = auth(&emulator, &emulator.identity().issue_token().unwrap());
        let mut raw = Raw::authenticated(&emulator).await;
        raw.expect("SUBSCRIBE news\r\n", "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n").await;
        raw.expect("PSUBSCRIBE n*\r\n", "*3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:2\r\n").await;
        raw.expect("UNSUBSCRIBE\r\n", "*3\r\n$11\r\nunsubscribe\r\n$4\r\nnews\r\n:1\r\n").await;
        raw.expect(&login, SUBSCRIBED).await;
        raw.expect("PUNSUBSCRIBE\r\n", "*3\r\n$12\r\npunsubscribe\r\n$2\r\nn*\r\n:0\r\n").await;
        raw.expect(&format!("{login}GET nothing\r\n"), "+OK\r\n$-1\r\n").await;
    }
}

#[tokio::test]
async fn connections_can_be_disturbed_one_by_one() {
    let emulator = start(Emulator::builder()).await;
    let mut first = Raw::authenticated(&emulator).await;
    let mut second = Raw::authenticated(&emulator).await;
    let front = emulator.redis_front();
    let [one, two] = &front.connections()[..] else { panic!("two connections") };
    assert_eq!((one.authentications(), one.is_open()), (1, true));

    one.freeze();
    first.send("ECHO late\r\n").await;
    second.expect("ECHO soon\r\n", "$4\r\nsoon\r\n").await;
    let mut byte = [0];
    let nothing = tokio::time::timeout(SECOND / 5, first.0.read(&mut byte)).await;
    assert!(nothing.is_err(), "a frozen connection answered");
    one.thaw();
    first.reads("$4\r\nlate\r\n").await;

    two.deauthenticate();
    second.expect("GET key\r\n", "-NOAUTH Authentication required.\r\n").await;
    let login = auth(&emulator, &emulator.identity().issue_token().unwrap());
    two.next_auth(AuthFault::WrongPass);
    second.expect(&login, WRONGPASS).await;
    two.next_auth(AuthFault::Error("ERR not now".to_owned()));
    second.expect(&login, "-ERR not now\r\n").await;
    second.expect(&login, "+OK\r\n").await;
    two.cut();
    second.closed().await;
    first.expect("ECHO here\r\n", "$4\r\nhere\r\n").await;

    front.refuse_connections(true);
    let refused = TcpStream::connect((emulator.host(), emulator.port())).await;
    if let Ok(mut stream) = refused {
        // A reset is as good as an end.
        _ = within("closed at once", 5 * SECOND, stream.read(&mut byte)).await;
    }
    assert_eq!(front.connection_count(), 1);
}

#[tokio::test]
async fn garbage_ends_a_connection_and_nothing_else() {
    let emulator = start(Emulator::builder()).await;
    let mut good = Raw::authenticated(&emulator).await;
    for garbage in ["*1\r\n:5\r\n", "*99999999999\r\n", "*1\r\n$999999999999\r\n", "*x\r\n", "*1\r\n$-5\r\n"] {
        let mut bad = Raw::authenticated(&emulator).await;
        bad.send(garbage).await;
        bad.closed().await;
    }
    good.expect("ECHO alive\r\n", "$5\r\nalive\r\n").await;
}
