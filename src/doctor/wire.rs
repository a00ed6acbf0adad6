//! Requests over one connection, one after the other.

use crate::{
    resp::{claims::LinkClaims, line::Stop, pack::pack, parse::parse_with_claims},
    transport::tcp::Stream,
};
use redis::{Cmd, Value};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// A connection on which every request is answered before the next one is sent. Once a reply has not come it takes no
/// more requests: one that came late would be taken for the answer to the next request.
#[derive(Default)]
pub(super) struct Wire {
    /// None while a request is under way, and after one that was not answered.
    stream: Option<Stream>,
    received: Vec<u8>,
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Not within this time.
    Silent(Duration),
    /// The other side has closed the connection.
    Closed,
    /// It was reset, or something on the way cut it.
    Reset,
    /// What came is no reply.
    Garbage,
}

impl Lost {
    pub(super) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Self::Reset,
            _ => Self::Closed,
        }
    }

    /// In words, for behind `the connection to …`.
    pub(super) fn told(self) -> String {
        match self {
            Self::Silent(limit) => format!("no answer came within {limit:.0?}"),
            Self::Closed => "the connection was closed without an answer".to_owned(),
            Self::Reset => "the connection was reset".to_owned(),
            Self::Garbage => "what came is not the Redis protocol".to_owned(),
        }
    }
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream: Some(stream), received: Vec::new() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Sends the command and waits for its reply, which may be an error of Redis's. Without one, the connection is
    /// closed.
    pub(super) async fn ask(&mut self, cmd: &Cmd, limit: Duration) -> Result<Value, Lost> {
        let mut stream = self.stream.take().ok_or(Lost::Closed)?;
        let reply = timeout(limit, exchange(&mut stream, &mut self.received, cmd)).await;
        let value = reply.unwrap_or(Err(Lost::Silent(limit)))?;
        self.stream = Some(stream);
        Ok(value)
    }
}

async fn exchange(stream: &mut Stream, received: &mut Vec<u8>, cmd: &Cmd) -> Result<Value, Lost> {
    let mut bytes = Vec::new();
    pack(cmd, &mut bytes);
    let lost = |error: io::Error| Lost::of(&error);
    stream.write_all(&bytes).await.map_err(lost)?;
    stream.flush().await.map_err(lost)?;
    loop {
        match parse_with_claims(received, &mut LinkClaims::default()) {
            Ok((value, len)) => {
                received.drain(..len);
                // A push answers nothing.
                if !matches!(value, Value::Push { .. }) {
                    return Ok(value);
                }
                continue;
            }
            Err(Stop::Incomplete) => {}
            Err(Stop::Garbage(_) | Stop::Unreadable { .. }) => return Err(Lost::Garbage),
        }
        if stream.read_buf(received).await.map_err(lost)? == 0 {
            return Err(Lost::Closed);
        }
    }
}

/// A command, whose words are parted by single spaces.
pub(super) fn words(line: &str) -> Cmd {
    let mut cmd = Cmd::new();
    line.split(' ').for_each(|word| _ = cmd.arg(word));
    cmd
}
