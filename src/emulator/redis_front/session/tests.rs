//! What clients say before they are let in: anything at all.

use super::*;
use crate::emulator::{
    backend::Backend,
    certs::{Certificates, LOCAL},
    redis_front::{Policy, RedisFront},
    store::Store,
    tokens::{OBJECT_ID, Signer, TokenClaims},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use std::{sync::LazyLock, time::Duration};
use tokio::{
    io::{DuplexStream, duplex},
    task::JoinHandle,
    time::timeout,
};

const HOUR: Duration = Duration::from_secs(3600);

static SIGNER: LazyLock<Arc<Signer>> = LazyLock::new(|| Arc::new(Signer::generate().unwrap()));

/// In front of the embedded store.
static FRONT: LazyLock<RedisFront> = LazyLock::new(|| {
    let tls = Certificates::generate(LOCAL).unwrap().server_config(false).unwrap();
    RedisFront::new(Arc::clone(&SIGNER), Backend::Store(Store::default()), Arc::new(tls).into(), Policy::Open)
});

static GOOD: LazyLock<String> = LazyLock::new(|| token(&SIGNER, &TokenClaims::new()));

/// Tokens that were never good.
static BAD: LazyLock<Vec<String>> = LazyLock::new(|| {
    let (_, signed) = GOOD.split_once('.').unwrap();
    let (claims, _) = signed.split_once('.').unwrap();
    vec![
        token(&SIGNER, &TokenClaims::new().expired()),
        token(&SIGNER, &TokenClaims::new().without_exp()),
        token(&SIGNER, &TokenClaims::new().without_oid()),
        token(&SIGNER, &TokenClaims::new().oid("somebody-else")),
        token(&SIGNER, &TokenClaims::new().audience("https://vault.azure.net")),
        token(&Signer::generate().unwrap(), &TokenClaims::new()),
        // {"alg":"none"}
        format!("eyJhbGciOiJub25lIn0.{claims}."),
    ]
});

fn token(signer: &Signer, claims: &TokenClaims) -> String {
    signer.sign(claims, HOUR).unwrap().0
}

/// Those, and a good one with damage or cut short.
fn bad_token() -> impl Strategy<Value = Vec<u8>> {
    let damaged = |(at, change): (Index, u8)| {
        let mut token = GOOD.clone().into_bytes();
        let at = at.index(token.len());
        token[at] ^= change;
        token
    };
    let cut = |at: Index| GOOD.as_bytes()[..at.index(GOOD.len())].to_vec();
    prop_oneof![
        select(BAD.clone()).prop_map(String::into_bytes),
        (any::<Index>(), 1..=u8::MAX).prop_map(damaged),
        any::<Index>().prop_map(cut),
    ]
}

/// `AUTH` and `HELLO` with anything behind them but a good token: what they take, often nearly right, and any bytes.
fn login() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let word = |words: &'static [&'static str]| select(words).prop_map(|word| word.as_bytes().to_vec());
    let argument = prop_oneof![
        4 => word(&["2", "3", "4", "AUTH", "auth", "SETNAME", "default", OBJECT_ID, ""]),
        2 => bad_token(),
        1 => vec(any::<u8>(), 0..80),
    ];
    let user = || Just(OBJECT_ID.as_bytes().to_vec());
    let (auth, hello) = (word(&["AUTH", "auth"]), word(&["HELLO"]));
    prop_oneof![
        1 => (auth, user(), bad_token()).prop_map(|(auth, user, token)| vec![auth, user, token]),
        1 => (hello, word(&["2", "3"]), word(&["AUTH", "Auth"]), user(), bad_token())
            .prop_map(|(hello, version, auth, user, token)| vec![hello, version, auth, user, token]),
        2 => (word(&["AUTH", "HELLO", "hello"]), vec(argument, 0..7))
            .prop_map(|(name, arguments)| [vec![name], arguments].concat()),
    ]
}

/// Bytes that look like requests often enough to get past the first line.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[*$]-?[0-9]{0,20}\r?\n".prop_map(String::into_bytes),
        "\\*[1-5]\r\n\\$(4\r\nAUTH|5\r\nHELLO|3\r\nGET)\r\n".prop_map(String::into_bytes),
        "(AUTH|HELLO|GET|RESET|SUBSCRIBE|MONITOR)( [a-zA-Z0-9]{0,9}){0,5}\r\n".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..12),
    ];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// A client's end of a new connection, what the front knows of that, and its session.
async fn connect() -> (DuplexStream, Arc<Control>, JoinHandle<()>) {
    let (ours, theirs) = duplex(1 << 20);
    let control = Arc::new(Control::new(1));
    let backend = FRONT.shared.backend.connect().await.unwrap();
    let session = Session::new(Arc::clone(&FRONT.shared), Arc::clone(&control));
    (ours, control, tokio::spawn(session.run(theirs, backend)))
}

/// Everything that comes, until it ends like this or the connection does.
async fn hear(client: &mut DuplexStream, end: &str) -> String {
    let mut heard = Vec::new();
    let whole = async { while !heard.ends_with(end.as_bytes()) && client.read_buf(&mut heard).await.unwrap() > 0 {} };
    timeout(Duration::from_secs(10), whole).await.expect("it is answered");
    String::from_utf8_lossy(&heard).into_owned()
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

proptest! {
    /// Each is refused, in one line; nobody is let in before the good token has come.
    #[test]
    fn no_login_is_a_reason_to_panic_or_to_let_somebody_in(logins in vec(login(), 1..12)) {
        block_on(async {
            let (mut client, control, session) = connect().await;
            let mut said = Vec::new();
            for words in &logins {
                Reply::Array(words.iter().map(Reply::bulk).collect()).write(false, &mut said);
            }
            said.extend_from_slice(b"GET key\r\n");
            client.write_all(&said).await.unwrap();
            let heard = hear(&mut client, "-NOAUTH Authentication required.\r\n").await;
            let refusals: Vec<_> = heard.lines().collect();
            assert_eq!(refusals.len(), logins.len() + 1, "{heard}");
            assert!(refusals.iter().all(|line| line.starts_with('-')), "{heard}");
            assert!(!control.is_authenticated());
            let good = format!("AUTH {OBJECT_ID} {}\r\nGET key\r\n", *GOOD);
            client.write_all(good.as_bytes()).await.unwrap();
            assert_eq!(hear(&mut client, "$-1\r\n").await, "+OK\r\n$-1\r\n");
            drop(client);
            session.await.unwrap();
        });
    }

    /// The connection comes to its end, whatever was on it, and nobody was let in.
    #[test]
    fn no_bytes_are_a_reason_to_panic_or_to_let_somebody_in(said in noise()) {
        block_on(async {
            let (mut client, control, session) = connect().await;
            // It may hang up before it has heard everything.
            _ = client.write_all(&said).await;
            _ = client.shutdown().await;
            hear(&mut client, "no such end").await;
            session.await.unwrap();
            assert!(!control.is_authenticated());
        });
    }
}
