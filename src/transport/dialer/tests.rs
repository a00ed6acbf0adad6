use super::*;
use crate::transport::tls::Tls;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;

/// Listeners that say nothing, and a dialer that has these addresses for its host.
async fn silent(count: usize) -> (Vec<TcpListener>, Dialer) {
    let mut listeners = Vec::new();
    for _ in 0..count {
        listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
    }
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let resolver = Resolver::custom(move |_, _| std::future::ready(Ok(addresses.clone())));
    let transport = Tls::new().build("cache").unwrap();
    let connect_timeout = Duration::from_millis(400);
    let host = "cache".to_owned();
    (listeners, Dialer { host, port: 1, resolver, transport, connect_timeout, hint: None, misconfigured: None })
}

#[tokio::test]
async fn the_time_that_is_told_is_that_which_an_address_was_given() {
    let said = async |count| {
        let (_listeners, dialer) = silent(count).await;
        let error = dialer.connect().await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Timeout(Stage::Connect));
        error.to_string()
    };
    let alone = said(1).await;
    assert!(alone.contains("cache:1 within 400ms (`connect_timeout`)"), "{alone}");
    let last = said(2).await;
    let (_, share) = last.split_once("cache:1 within ").unwrap();
    let (share, whole) = share.split_once("ms, the share of one of its addresses of ").unwrap();
    // What the first address took beyond its own share is lost to the second one.
    assert!(share.parse::<u64>().unwrap() <= 200 && whole.starts_with("400ms (`connect_timeout`)"), "{last}");
}
