//! What the emulator is too correct for: a server that gives everybody the same answer and notes what it was sent.

use super::logs::{self, Watch};
use reqwest::Url;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

pub struct Listener {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
    _logs: Watch,
}

impl Listener {
    /// Answers with this status (`200 OK`), this header (`Name: value`) and this body.
    pub async fn answering(status: &str, header: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{header}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, format!("{head}{body}"), Arc::clone(&seen)));
        Self { address, seen, task, _logs: logs::watch() }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What has been sent to it so far, a text for each connection.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, answer: String, seen: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let request = read(&mut stream).await;
        seen.lock().unwrap().push(request);
        // A client that has gone away meanwhile is no concern of this one.
        _ = stream.write_all(answer.as_bytes()).await;
        _ = stream.shutdown().await;
    }
}

/// A whole request, or as much as came of it.
async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::<u8>::new();
    while !is_whole(&bytes) {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0);
    body.len() >= length
}

/// A field of the form that is a request's body.
pub fn form_field(request: &str, name: &str) -> Option<String> {
    let (_, body) = request.split_once("\r\n\r\n")?;
    let url = Url::parse(&format!("http://server/?{body}")).unwrap();
    url.query_pairs().find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
}
