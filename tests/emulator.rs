//! The emulator behaves as Microsoft Entra ID, IMDS and Azure Managed Redis do, seen from raw sockets.

mod common;

use common::{SECOND, eventually, within};
use entra_redis::emulator::{AuthFault, Emulator, EmulatorBuilder, IdentityFault, TokenClaims};
use reqwest::Client;
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A Redis client that knows nothing but sockets.
struct Raw(TlsStream<TcpStream>);

impl Raw {
    async fn connect(emulator: &Emulator) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let tcp = TcpStream::connect((emulator.host(), emulator.port())).await.unwrap();
        let name = "localhost".try_into().unwrap();
        Self(TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap())
    }

    async fn authenticated(emulator: &Emulator) -> Self {
        let mut raw = Self::connect(emulator).await;
        raw.expect(&auth(emulator, &emulator.identity().issue_token().unwrap()), "+OK\r\n").await;
        raw
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Sends, and compares the reply to the last byte.
    async fn expect(&mut self, text: &str, reply: &str) {
        self.send(text).await;
        self.reads(reply).await;
    }

    async fn reads(&mut self, reply: &str) {
        let mut got = vec![0; reply.len()];
        let read = within(reply, 5 * SECOND, self.0.read_exact(&mut got)).await;
        let got = String::from_utf8_lossy(&got);
        assert!(read.is_ok() && got == reply, "expected {reply:?}, got {got:?}");
    }

    /// Waits until the server closes the connection.
    async fn closed(&mut self) {
        let mut rest = Vec::new();
        // A cut is seen as an end or as an error, whichever the kernel makes of it.
        _ = within("the connection is closed", 10 * SECOND, self.0.read_to_end(&mut rest)).await;
    }
}

fn auth(emulator: &Emulator, token: &str) -> String {
    format!("AUTH {} {token}\r\n", emulator.object_id())
}

async fn start(builder: EmulatorBuilder) -> Emulator {
    common::start(builder).await
}

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
    assert_eq!(emulator.gate().stats().rejected, 10);
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
    assert_eq!(emulator.gate().stats().expired, 1);
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
    let gate = emulator.gate();
    let [one, two] = &gate.connections()[..] else { panic!("two connections") };
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

    gate.refuse_connections(true);
    let refused = TcpStream::connect((emulator.host(), emulator.port())).await;
    if let Ok(mut stream) = refused {
        // A reset is as good as an end.
        _ = within("closed at once", 5 * SECOND, stream.read(&mut byte)).await;
    }
    assert_eq!(gate.connection_count(), 1);
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

/// Asks for a token as an application does.
async fn ask(emulator: &Emulator, tenant: &str, changes: &[(&str, &str)]) -> (u16, Value) {
    let mut form = vec![
        ("client_id", emulator.client_id()),
        ("client_secret", emulator.client_secret()),
        ("scope", "https://redis.azure.com/.default"),
        ("grant_type", "client_credentials"),
    ];
    for (name, value) in changes {
        form.retain(|(field, _)| field != name);
        form.push((name, value));
    }
    let url = format!("{}/{tenant}/oauth2/v2.0/token", emulator.authority_host());
    answer(client().post(url).form(&form)).await
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

fn client() -> Client {
    let roots = RootCertStore::empty();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_root_certificates(roots).with_no_client_auth();
    Client::builder().no_proxy().tls_backend_preconfigured(tls).build().unwrap()
}

/// Statuses and codes of <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>.
#[tokio::test]
async fn the_token_endpoint_answers_as_documented() {
    let emulator = start(Emulator::builder()).await;
    let tenant = emulator.tenant_id();
    let (status, token) = ask(&emulator, tenant, &[]).await;
    assert_eq!((status, &token["token_type"]), (200, &Value::from("Bearer")));
    assert!(token["expires_in"].is_u64() && token["ext_expires_in"].is_u64(), "{token}");
    let mut raw = Raw::connect(&emulator).await;
    raw.expect(&auth(&emulator, token["access_token"].as_str().unwrap()), "+OK\r\n").await;

    for (tenant, change, status, error, code) in [
        (tenant, ("client_secret", "wrong"), 401, "invalid_client", 7_000_215),
        (tenant, ("client_id", "unknown"), 400, "unauthorized_client", 700_016),
        ("unknown.example", ("client_id", ""), 400, "invalid_request", 90_002),
        (tenant, ("grant_type", "password"), 400, "unsupported_grant_type", 70_003),
        (tenant, ("scope", "https://redis.azure.com"), 400, "invalid_scope", 70_011),
    ] {
        let (got, body) = ask(&emulator, tenant, &[change]).await;
        assert_eq!((got, &body["error"]), (status, &Value::from(error)), "{body}");
        assert_eq!(body["error_codes"], Value::from(vec![code]));
        assert!(body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{code}: ")), "{body}");
        assert!(body["correlation_id"].is_string() && body["trace_id"].is_string() && body["timestamp"].is_string());
    }
    assert_eq!((emulator.identity().requests(), emulator.identity().tokens_issued()), (6, 1));
}

#[tokio::test]
async fn imds_answers_as_documented() {
    let emulator = start(Emulator::builder()).await;
    let url = format!("{}/metadata/identity/oauth2/token", emulator.imds_host());
    let query = [("api-version", "2018-02-01"), ("resource", "https://redis.azure.com")];
    let (status, token) = answer(client().get(&url).query(&query).header("Metadata", "true")).await;
    // Numbers are strings here.
    assert_eq!((status, token["expires_in"].is_string(), token["expires_on"].is_string()), (200, true, true));
    assert_eq!(token["resource"], "https://redis.azure.com");
    let (status, refusal) = answer(client().get(&url).query(&query)).await;
    assert_eq!((status, &refusal["error"]), (400, &Value::from("invalid_request")));
    let (status, _) = answer(client().get(&url).query(&query[..1]).header("Metadata", "true")).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn faults_are_scripted_one_request_each() {
    let emulator = start(Emulator::builder()).await;
    let tenant = emulator.tenant_id();
    let same = ask(&emulator, tenant, &[]).await.1["access_token"].clone();
    emulator.identity().script([IdentityFault::Status(503), IdentityFault::WrongSecret, IdentityFault::SameToken]);
    emulator.identity().fault_all(Some(IdentityFault::Status(500)));
    assert_eq!(ask(&emulator, tenant, &[]).await.0, 503);
    assert_eq!(ask(&emulator, tenant, &[]).await.0, 401);
    assert_eq!(ask(&emulator, tenant, &[]).await.1["access_token"], same);
    assert_eq!(ask(&emulator, tenant, &[]).await.0, 500);
    emulator.identity().fault_all(None);
    let (status, fresh) = ask(&emulator, tenant, &[]).await;
    assert!(status == 200 && fresh["access_token"] != same);
}

#[tokio::test]
async fn dropping_it_ends_everything() {
    let emulator = start(Emulator::builder().redis_server()).await;
    let mut raw = Raw::authenticated(&emulator).await;
    let (port, pid) = (emulator.port(), emulator.redis_pid().unwrap());
    drop(emulator);
    raw.closed().await;
    eventually("the port is closed", 5 * SECOND, async || TcpStream::connect(("127.0.0.1", port)).await.err()).await;
    let gone = || !std::path::Path::new(&format!("/proc/{pid}/stat")).exists();
    eventually("redis-server has ended", 5 * SECOND, async || gone().then_some(())).await;
}
