//! Whatever is sent to the emulator's gate in place of a login: it answers, and lets nobody in.

mod common;

use common::{SECOND, resp::message_len, tls::connector, within};
use entra_redis::emulator::Emulator;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

const LOGINS: u32 = 500;

/// Sends a command, and returns the first byte of its reply.
async fn ask(gate: &mut TlsStream<TcpStream>, words: &[Vec<u8>]) -> u8 {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    gate.write_all(&bytes).await.unwrap();
    gate.flush().await.unwrap();
    let mut reply = Vec::new();
    while message_len(&reply).is_none() {
        let read = within("an answer", 5 * SECOND, gate.read_buf(&mut reply)).await.unwrap();
        assert!(read > 0, "the connection was closed after {words:?}");
    }
    reply[0]
}

/// Some that look right: versions, options, the user, and a token of another emulator's.
fn words(user: &str, token: &str) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let known = ["HELLO", "AUTH", "2", "3", "SETNAME", "default", "", user, token].map(|word| word.as_bytes().to_vec());
    let word = prop_oneof![
        2 => prop::sample::select(known.to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let first = prop::sample::select(vec![b"HELLO".to_vec(), b"AUTH".to_vec(), b"auth".to_vec()]);
    (first, prop::collection::vec(word, 0..8)).prop_map(|(first, rest)| [vec![first], rest].concat())
}

#[tokio::test]
async fn nothing_but_a_good_token_is_a_login() {
    let emulator = common::start(Emulator::builder()).await;
    let stranger = common::start(Emulator::builder()).await;
    let foreign = stranger.identity().issue_token().unwrap();
    let tcp = TcpStream::connect((emulator.host(), emulator.port())).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut gate = connector(emulator.ca_pem()).connect(name, tcp).await.unwrap();
    let mut runner = TestRunner::new(Config::default());
    let logins = words(emulator.object_id(), &foreign);
    for _ in 0..LOGINS {
        let login = logins.new_tree(&mut runner).unwrap().current();
        assert_eq!(ask(&mut gate, &login).await, b'-', "{login:?}");
        assert_eq!(ask(&mut gate, &[b"GET".to_vec(), b"key".to_vec()]).await, b'-', "let in by {login:?}");
    }
    // The same connection is good for a good one.
    let token = emulator.identity().issue_token().unwrap();
    let login = ["AUTH", emulator.object_id(), &token].map(|word| word.as_bytes().to_vec());
    assert_eq!(ask(&mut gate, &login).await, b'+');
}
