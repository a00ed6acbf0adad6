//! Taking in connections, whatever happens.

use std::time::Duration;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// Too many open files, for example: some are closed again.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// The next connection. One that fails, or all of them for a moment, is no reason to take in no more.
pub(super) async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => sleep(RETRY_DELAY).await,
        }
    }
}
