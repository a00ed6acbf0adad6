//! Many clients of one server, which lose their connections at one moment: they do not come back at one moment.

use common::{SECOND, eventually, server::Server};
use futures_util::future::join_all;
use redis::AsyncCommands;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const CLIENTS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn their_first_dials_are_spread() {
    let server = Server::start();
    let mut admin = server.admin().await;
    let (port, dials) = (server.port, Arc::new(Mutex::new(Vec::new())));
    let clients = join_all((0..CLIENTS).map(async |client| {
        let dials = Arc::clone(&dials);
        let resolver = move |_, _| {
            dials.lock().unwrap().push((client, Instant::now()));
            async move { io::Result::Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]) }
        };

        server.up(server.config().resolver(resolver), 1).await
    }))
    .await;
    // Connections that have lived for a second are dialed again without the delay that grows.
    tokio::time::sleep(SECOND + SECOND / 5).await;
    dials.lock().unwrap().clear();
    let cut = Instant::now();
    admin.ask::<u64>("CLIENT KILL TYPE normal SKIPME yes").await;
    for redis in &clients {
        eventually("service", 5 * SECOND, async || redis.clone().set::<_, _, ()>("key", 1).await.ok()).await;
    }
    let dials = dials.lock().unwrap();
    let first = |client| dials.iter().find(|(of, _)| *of == client).map(|(_, at)| at.duration_since(cut));
    let mut first: Vec<_> = (0..CLIENTS).map(|client| first(client).unwrap()).collect();
    first.sort();
    // Drawn from a tenth of a second each: all within 30 ms of one another happens once in a thousand million times.
    let spread = first[CLIENTS - 1].saturating_sub(first[0]);
    assert!(spread > Duration::from_millis(30), "{first:?}");
    assert_eq!(dials.len(), CLIENTS, "one dial each is enough");
}
