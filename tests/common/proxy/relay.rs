//! The conversation of a client and the front, message by message, and what goes wrong with one.

use super::{SCRIPTED, Shared, reset};
use crate::{
    fault::{Behaviour, SLOW, Stage},
    resp::{command_name, message_len},
};
use std::{collections::VecDeque, io, ops::ControlFlow};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use tokio_rustls::{client::TlsStream as FrontStream, server::TlsStream as ClientStream};

impl Shared {
    /// Until either side ends it, or the fault does.
    pub(super) async fn relay(
        &self,
        mut client: ClientStream<TcpStream>,
        mut front: FrontStream<TcpStream>,
    ) -> io::Result<()> {
        let (mut requests, mut replies) = (Vec::<u8>::with_capacity(16 << 10), Vec::<u8>::with_capacity(16 << 10));
        let mut expected = VecDeque::new();
        loop {
            tokio::select! {
                read = client.read_buf(&mut requests) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    let mut batch: Vec<u8> = Vec::new();
                    while let Some(len) = message_len(&requests) {
                        let request: Vec<u8> = requests.drain(..len).collect();
                        let stage = stage_of(&request);
                        if let Some(stage) = stage
                            && self.standing(stage) == Some(Behaviour::HalfOpen)
                        {
                            self.strike(stage);
                            self.park(&mut client).await;
                            return Ok(());
                        }
                        expected.push_back(stage);
                        batch.extend(request);
                    }
                    front.write_all(&batch).await?;
                    front.flush().await?;
                }
                read = front.read_buf(&mut replies) => {
                    if read? == 0 || self.answer(&mut client, &mut replies, &mut expected).await?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Passes on the replies that are complete, in their order; breaks when the connection has come to its end.
    async fn answer(
        &self,
        client: &mut ClientStream<TcpStream>,
        replies: &mut Vec<u8>,
        expected: &mut VecDeque<Option<Stage>>,
    ) -> io::Result<ControlFlow<()>> {
        let mut out: Vec<u8> = Vec::new();
        let mut late = false;
        let mut end = None;
        while end.is_none()
            && let Some(len) = message_len(replies)
        {
            let reply: Vec<u8> = replies.drain(..len).collect();
            // A push answers nothing.
            let stage = if reply[0] == b'>' { None } else { expected.pop_front().flatten() };
            let behaviour = stage.and_then(|stage| self.strike(stage));
            late |= behaviour == Some(Behaviour::Slow);
            match behaviour {
                None | Some(Behaviour::Ok | Behaviour::Slow) => out.extend(reply),
                Some(Behaviour::Error) => out.extend(format!("-ERR {SCRIPTED}\r\n").into_bytes()),
                Some(Behaviour::Truncated) => {
                    let cut = self.rng.lock().unwrap().usize(1..len);
                    out.extend(&reply[..cut]);
                    end = behaviour;
                }
                Some(Behaviour::Garbage) => {
                    out.extend(self.garbage());
                    end = behaviour;
                }
                Some(Behaviour::Never | Behaviour::Reset | Behaviour::HalfOpen) => end = behaviour,
            }
        }
        if late {
            sleep(SLOW).await;
        }
        client.write_all(&out).await?;
        client.flush().await?;
        match end {
            None => return Ok(ControlFlow::Continue(())),
            Some(Behaviour::Reset) => reset(client.get_ref().0),
            Some(Behaviour::Truncated) => {}
            Some(_) => self.park(client).await,
        }
        Ok(ControlFlow::Break(()))
    }
}

fn stage_of(request: &[u8]) -> Option<Stage> {
    match command_name(request) {
        b"HELLO" => Some(Stage::Auth),
        b"AUTH" => Some(Stage::Reauth),
        // The library's name, which goes with HELLO: only the answer to that counts.
        b"CLIENT" => None,
        _ => Some(Stage::Command),
    }
}
