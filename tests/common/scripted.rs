//! A server that speaks TLS and answers each command with the bytes that a script says, sound or not.

use super::{
    links_up,
    logs::{self, Watch},
    resp::message_len,
    server::Certificates,
    tls::acceptor,
};
use entra_redis::{AccessToken, Config, Credential, EntraRedis, Tls};
use futures_util::future::BoxFuture;
use std::{net::Ipv4Addr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

/// What to answer; nothing more on this connection, and its end, if there is none.
type Answer = BoxFuture<'static, Option<Vec<u8>>>;
type Script = Arc<dyn Fn(usize, Vec<String>) -> Answer + Send + Sync>;

/// It ends, with its connections, when dropped.
pub struct Scripted {
    port: u16,
    ca_pem: String,
    accepting: AbortHandle,
    _logs: Watch,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Scripted {
    /// The script is given the connection's number, from 1, and the command's words; what links say on their own
    /// account, except for `PING`, is answered with `+OK`.
    pub async fn start<F>(script: impl Fn(usize, Vec<String>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Vec<u8>>> + Send + 'static,
    {
        Self::start_as(&Certificates::for_name("localhost"), script).await
    }

    /// The same, with these certificates.
    pub async fn start_as<F>(
        certificates: &Certificates,
        script: impl Fn(usize, Vec<String>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Vec<u8>>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Script = Arc::new(move |connection, words| Box::pin(script(connection, words)));
        let accepting = tokio::spawn(accept(listener, acceptor(certificates), script)).abort_handle();
        Self { port, ca_pem: certificates.ca.clone(), accepting, _logs: logs::watch() }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn config(&self) -> Config {
        let token = || async { AccessToken::opaque("any token", Duration::from_secs(3600), "tester") };
        Config::new(Credential::custom(token)).tls(Tls::new().ca_pem(&self.ca_pem))
    }

    pub async fn connect(&self, config: Config) -> EntraRedis {
        EntraRedis::connect("localhost", self.port, config).await.unwrap()
    }

    /// A handle, all of whose links are up.
    pub async fn up(&self, config: Config, links: usize) -> EntraRedis {
        let redis = self.connect(config.pool_size(links)).await;
        links_up(&redis, links).await;
        redis
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, script: Script) {
    let mut connections = JoinSet::new();
    for number in 1.. {
        let Ok((client, _)) = listener.accept().await else {
            return;
        };
        let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
        connections.spawn(async move { _ = serve(client, acceptor, number, script).await });
    }
}

async fn serve(client: TcpStream, acceptor: TlsAcceptor, number: usize, script: Script) -> std::io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut requests = Vec::new();
    while client.read_buf(&mut requests).await? > 0 {
        while let Some(len) = message_len(&requests) {
            let words = words(&requests.drain(..len).collect::<Vec<_>>());
            let answer = match words[0].as_str() {
                "HELLO" | "AUTH" | "CLIENT" => Some(b"+OK\r\n".to_vec()),
                _ => script(number, words).await,
            };
            let Some(answer) = answer else {
                return client.shutdown().await;
            };
            client.write_all(&answer).await?;
            client.flush().await?;
        }
    }
    Ok(())
}

/// The words of a command, none of which holds a line break.
fn words(message: &[u8]) -> Vec<String> {
    let lines = String::from_utf8_lossy(message);
    lines.split("\r\n").skip(2).step_by(2).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
