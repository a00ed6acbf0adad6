//! What is behind the front: the embedded store, or a Redis server.

use super::{ports::Kept, store::Store};
use crate::lock::lock;
use std::{
    io,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex},
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

/// The bytes that a client's connection to the embedded store may hold in each direction.
const STORE_BUFFER: usize = 256 << 10;

/// How long a spawned server may take until it answers.
const STARTUP: Duration = Duration::from_secs(10);

/// Ports are chosen before they are used, so that another program may come first.
const PORT_ATTEMPTS: usize = 5;

#[derive(Clone)]
pub(super) enum Backend {
    Store(Store),
    Address(String),
    /// The first of these that can be reached.
    FirstOf(Arc<Mutex<Vec<Backend>>>),
}

/// A connection to either.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Backend {
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::FirstOf(backends) => {
                let backends = lock(backends).clone();
                let mut last = io::Error::new(io::ErrorKind::ConnectionRefused, "nothing is behind the front");
                for backend in backends {
                    match Box::pin(backend.connect()).await {
                        Ok(stream) => return Ok(stream),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            Self::Address(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Store(store) => {
                let (ours, theirs) = duplex(STORE_BUFFER);
                // It ends when our half is dropped.
                tokio::spawn(store.clone().serve(theirs));
                Ok(Box::new(ours))
            }
        }
    }
}

/// A redis-server of the emulator's own, killed when dropped.
pub(super) struct Server {
    child: Child,
    port: u16,
    /// It comes back to its port.
    _kept: Kept,
}

impl Server {
    pub(super) async fn spawn() -> io::Result<Self> {
        let mut last = io::Error::other("no free port");
        for _ in 0..PORT_ATTEMPTS {
            let (port, kept) = Kept::any()?;
            match Self::spawn_on(port).await {
                Ok(child) => return Ok(Self { child, port, _kept: kept }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(&error)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn spawn_on(port: u16) -> io::Result<Child> {
        let port_text = port.to_string();
        let args = ["--bind", "127.0.0.1", "--port", &port_text, "--appendonly", "no", "--save"];
        let mut child = Command::new("redis-server")
            .args(args)
            .arg("")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let deadline = Instant::now() + STARTUP;
        while !answers(port).await {
            if child.try_wait()?.is_some() {
                return Err(io::Error::other("redis-server ended at once"));
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "redis-server does not answer"));
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(child)
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills the server as a crash would, and starts it again, empty.
    pub(super) async fn restart(&mut self) -> io::Result<()> {
        self.child.kill().await?;
        self.child = Self::spawn_on(self.port).await?;
        Ok(())
    }
}

async fn answers(port: u16) -> bool {
    let ping = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut pong = [0; 7];
        stream.read_exact(&mut pong).await?;
        io::Result::Ok(&pong == b"+PONG\r\n")
    };
    ping.await.unwrap_or(false)
}

pub(super) fn missing(error: &io::Error) -> io::Error {
    let text =
        format!("cannot run redis-server ({error}): install it, with `apt-get install redis-server` for example");
    io::Error::new(io::ErrorKind::NotFound, text)
}
