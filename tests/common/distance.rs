//! A relay that makes a server on this machine look far away: every byte takes its time, in both directions.

use std::{net::Ipv4Addr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc::unbounded_channel,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

/// It ends, with its connections, when dropped.
pub struct Distance {
    /// The port on this side.
    pub port: u16,
    accepting: AbortHandle,
}

impl Drop for Distance {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Distance {
    /// To this port, with so much time for a byte there and its answer back; a connection alone is had at once.
    pub async fn to(port: u16, round_trip: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(accept(listener, port, round_trip / 2)).abort_handle();
        Self { port: own_port, accepting }
    }
}

async fn accept(listener: TcpListener, port: u16, one_way: Duration) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(relay(client, port, one_way));
        // Those that are through are not kept.
        while connections.try_join_next().is_some() {}
    }
}

async fn relay(client: TcpStream, port: u16, one_way: Duration) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return;
    };
    for stream in [&client, &server] {
        // Without it, pieces would wait for each other's acknowledgement.
        _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(carry(from_client, to_server, one_way), carry(from_server, to_client, one_way));
}

/// Passes on each piece so long after it came, and the end as well; those that follow do not wait for it.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, one_way: Duration) {
    let (leaving, mut arriving) = unbounded_channel();
    let read = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer).await {
            _ = leaving.send((Instant::now() + one_way, buffer[..len].to_vec()));
        }
    };
    let write = async move {
        while let Some((due, piece)) = arriving.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}
