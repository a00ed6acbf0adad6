use super::*;
use tokio::net::TcpListener;

#[tokio::test]
async fn a_connection_sends_at_once_and_finds_out_about_a_peer_that_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = open_tcp(listener.local_addr().unwrap()).await.unwrap();
    assert!(tcp.nodelay().unwrap());
    let socket = SockRef::from(&tcp);
    assert!(socket.keepalive().unwrap());
    #[cfg(target_os = "linux")]
    {
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_EVERY);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }
}
