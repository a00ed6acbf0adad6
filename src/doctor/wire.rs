//! Requests over one connection, one after the other.

use crate::{
    resp::{claims::Claims, line::Stop, pack::pack, parse::parse_with_claims},
    transport::tcp::Stream,
};
use redis::{Cmd, Value};
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// A connection on which every request is answered before the next one is sent.
pub(super) struct Wire {
    stream: Stream,
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
        Self { stream, received: Vec::new() }
    }

    /// Sends the command and waits for its reply, which may be an error of Redis's.
    pub(super) async fn ask(&mut self, cmd: &Cmd, limit: Duration) -> Result<Value, Lost> {
        timeout(limit, self.exchange(cmd)).await.unwrap_or(Err(Lost::Silent(limit)))
    }

    async fn exchange(&mut self, cmd: &Cmd) -> Result<Value, Lost> {
        let mut bytes = Vec::new();
        pack(cmd, &mut bytes);
        let lost = |error: io::Error| Lost::of(&error);
        self.stream.write_all(&bytes).await.map_err(lost)?;
        self.stream.flush().await.map_err(lost)?;
        loop {
            match parse_with_claims(&self.received, &mut Claims::default()) {
                Ok((value, len)) => {
                    self.received.drain(..len);
                    // A push answers nothing.
                    if !matches!(value, Value::Push { .. }) {
                        return Ok(value);
                    }
                    continue;
                }
                Err(Stop::Incomplete) => {}
                Err(Stop::Garbage(_) | Stop::Unreadable { .. }) => return Err(Lost::Garbage),
            }
            if self.stream.read_buf(&mut self.received).await.map_err(lost)? == 0 {
                return Err(Lost::Closed);
            }
        }
    }
}

/// A command, whose words are parted by single spaces.
pub(super) fn words(line: &str) -> Cmd {
    let mut cmd = Cmd::new();
    line.split(' ').for_each(|word| _ = cmd.arg(word));
    cmd
}
