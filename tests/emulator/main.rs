//! The emulator behaves as Microsoft Entra ID, IMDS and Azure Managed Redis do, seen from raw sockets.

mod differential;
mod identity;
mod libraries;
#[cfg(unix)]
mod programs;
mod redis_front;
mod soak;

use common::{Azure, SECOND, eventually, within};
use entra_redis::emulator::{Emulator, EmulatorBuilder};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A Redis client that knows nothing but sockets.
struct Raw(TlsStream<TcpStream>);

impl Raw {
    async fn connect(emulator: &Azure) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let tcp = TcpStream::connect((emulator.host(), emulator.port())).await.unwrap();
        let name = "localhost".try_into().unwrap();
        Self(TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap())
    }

    async fn authenticated(emulator: &Azure) -> Self {
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

fn auth(emulator: &Azure, token: &str) -> String {
    format!("AUTH {} {token}\r\n", emulator.object_id())
}

async fn start(builder: EmulatorBuilder) -> Azure {
    common::start(builder).await
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
