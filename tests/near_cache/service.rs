//! The example `axum_cache` as a process, and the figures that a service exports.

use common::{SECOND, child, eventually, within};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The status and the body of an answer.
async fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", 10 * SECOND, stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// The value of a figure in Prometheus text.
fn figure(text: &str, name: &str) -> f64 {
    let line =
        text.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap_or_else(|| panic!("{name}: {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_web_service_serves_from_memory_and_ends_without_losing_a_request() {
    let service = child::start_example("axum_cache", "Ctrl-C").await;
    let url = service.lines[0].strip_prefix("http://").unwrap();
    let address: SocketAddr = url.split('/').next().unwrap().parse().unwrap();
    assert_eq!(ask(address, "GET", "/books/1", "").await, (404, "no such book".to_owned()));
    for title in ["Dune", "Emma", "Ulysses"] {
        assert_eq!(ask(address, "PUT", "/books/1", title).await.0, 204);
        for _ in 0..20 {
            assert_eq!(ask(address, "GET", "/books/1", "").await, (200, title.to_owned()));
        }
    }
    for probe in ["/ready", "/alive"] {
        assert_eq!(ask(address, "GET", probe, "").await, (200, "healthy\n".to_owned()), "{probe}");
    }
    // Of each 20: one goes to the database, one to Redis, the others to memory.
    eventually("the hits are among the figures", 10 * SECOND, async || {
        let (status, text) = ask(address, "GET", "/metrics", "").await;
        assert_eq!(status, 200);
        let of = |name| figure(&text, name);
        let hits = of("entra_redis_cache_hits_total");
        let ratio = of("entra_redis_cache_hit_ratio");
        (hits >= 50.0 && ratio > 0.7 && of("entra_redis_cache_misses_total") >= 6.0).then_some(())
    })
    .await;
    // On its way to the database when the service is told to end.
    let last = tokio::spawn(async move { ask(address, "GET", "/books/2", "").await });
    tokio::time::sleep(SECOND / 50).await;
    assert_eq!(service.interrupt().await, Some(0));
    assert_eq!(last.await.unwrap(), (404, "no such book".to_owned()));
}
