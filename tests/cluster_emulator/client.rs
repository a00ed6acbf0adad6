//! A client of one node that knows nothing but sockets and redis-rs's reader of replies.

use common::{SECOND, cmd, within};
use entra_redis::emulator::Emulator;
use redis::{Cmd, ErrorKind, FromRedisValue, ServerErrorKind, Value};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub struct Client {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

pub fn tls(emulator: &Emulator) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(emulator.ca_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

impl Client {
    /// Dials the address, and verifies the certificate by this name.
    pub async fn dial(emulator: &Emulator, address: SocketAddr, name: &'static str) -> io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name).unwrap();
        Ok(Self { stream: tls(emulator).connect(name, tcp).await?, buffer: Vec::new() })
    }

    /// Logged in, with the newest token.
    pub async fn connect(emulator: &Emulator, address: SocketAddr) -> Self {
        let mut client = Self::dial(emulator, address, "localhost").await.unwrap();
        let token = emulator.identity().issue_token().unwrap();
        client.ask::<()>(redis::cmd("AUTH").arg(emulator.object_id()).arg(token)).await;
        client
    }

    /// By the address that clients are configured with.
    pub async fn of_seed(emulator: &Emulator) -> Self {
        Self::connect(emulator, ([127, 0, 0, 1], emulator.port()).into()).await
    }

    pub async fn of_node(emulator: &Emulator, node: usize) -> Self {
        let address = emulator.cluster().unwrap().address(node).unwrap();
        Self::connect(emulator, address).await
    }

    pub async fn reply(&mut self, cmd: &Cmd) -> io::Result<Value> {
        self.stream.write_all(&cmd.get_packed_command()).await?;
        self.stream.flush().await?;
        self.next().await
    }

    /// What comes next.
    pub async fn next(&mut self) -> io::Result<Value> {
        loop {
            if let Some((value, len)) = whole(&self.buffer) {
                self.buffer.drain(..len);
                return Ok(value);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub async fn ask<T: FromRedisValue>(&mut self, cmd: &Cmd) -> T {
        let reply = within("a reply", 10 * SECOND, self.reply(cmd)).await.unwrap();
        let value = reply.extract_error().unwrap_or_else(|error| panic!("{error}"));
        redis::from_redis_value(value).unwrap()
    }

    /// Of words parted by spaces.
    pub async fn run<T: FromRedisValue>(&mut self, line: &str) -> T {
        self.ask(&cmd(line)).await
    }

    /// The error that these words are answered with, code and all.
    pub async fn refusal(&mut self, line: &str) -> String {
        let reply = within("a reply", 10 * SECOND, self.reply(&cmd(line))).await.unwrap();
        let error = reply.extract_error().expect_err(line);
        let code = match error.kind() {
            ErrorKind::Server(ServerErrorKind::ResponseError) => "ERR",
            _ => error.code().unwrap_or("ERR"),
        };
        format!("{code} {}", error.detail().unwrap_or_default())
    }

    /// The node and the kind of the redirection that these words are answered with; none if they are not.
    pub async fn redirection(&mut self, line: &str) -> Option<(String, u16)> {
        let refusal = self.refusal(line).await;
        let mut words = refusal.split(' ');
        let (kind, _slot, address) = (words.next()?, words.next()?, words.next()?);
        let (_, port) = address.rsplit_once(':')?;
        Some((kind.to_owned(), port.parse().ok()?))
    }

    /// Waits until the server closes the connection.
    pub async fn closed(mut self) {
        let mut rest = Vec::new();
        // A cut is seen as an end or as an error, whichever the kernel makes of it.
        _ = within("the connection is closed", 10 * SECOND, self.stream.read_to_end(&mut rest)).await;
    }
}

/// The reply at the start of the bytes, once it is there in whole.
fn whole(bytes: &[u8]) -> Option<(Value, usize)> {
    let len = frame(bytes)?;
    Some((redis::parse_redis_value(&bytes[..len]).unwrap(), len))
}

/// How long the RESP2 reply at the start of the bytes is.
fn frame(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")? + 2;
    let count = || str::from_utf8(&bytes[1..end - 2]).unwrap().parse::<i64>().unwrap();
    let len = match bytes[0] {
        b'$' if count() >= 0 => end + usize::try_from(count()).unwrap() + 2,
        b'*' => (0..count()).try_fold(end, |at, _| Some(at + frame(&bytes[at..])?))?,
        _ => end,
    };
    (len <= bytes.len()).then_some(len)
}
