//! The bytes that have come and are not parsed yet.

use super::queue::LARGEST_IDLE_BUFFER;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, ReadBuf};

/// Room for a burst of small replies; doubles when it proves too small.
const FIRST_ROOM: usize = 16 << 10;

#[derive(Default)]
pub(super) struct Inbox {
    buffer: Vec<u8>,
    from: usize,
    to: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.from..self.to]
    }

    pub(super) fn consume(&mut self, len: usize) {
        self.from += len;
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
            if self.buffer.len() > LARGEST_IDLE_BUFFER {
                self.buffer = Vec::new();
            }
        }
    }

    /// Reads once; how many bytes came.
    pub(super) fn fill(&mut self, stream: Pin<&mut impl AsyncRead>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut room = ReadBuf::new(&mut self.buffer[self.to..]);
        ready!(stream.poll_read(cx, &mut room))?;
        let came = room.filled().len();
        self.to += came;
        Poll::Ready(Ok(came))
    }

    fn make_room(&mut self) {
        if self.to < self.buffer.len() {
            return;
        }
        if self.from > self.buffer.len() / 2 {
            self.buffer.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        } else {
            self.buffer.resize((self.buffer.len() * 2).max(FIRST_ROOM), 0);
        }
    }
}

#[cfg(test)]
mod tests;
