//! A scripted HTTP server over plain sockets, and the tokens that it gives out.

use crate::{error::Error, lock::lock, token::RequestLimit};
use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::Url;
use serde_json::{Map, Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};

/// A token of the user `me`, good for an hour.
pub(super) fn jwt() -> String {
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(3600);
    let claims = json!({"exp": end.as_secs(), "oid": "me", "aud": "https://redis.azure.com", "tid": "the-tenant"});
    encode(&Header::default(), &claims, &EncodingKey::from_secret(b"k")).unwrap()
}

/// The outcome of `request`, which has this much time and knows it.
pub(super) async fn within<T>(limit: Duration, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let limit_known = RequestLimit::new(limit, limit);
    let bounded = timeout(limit, limit_known.known_to(request));
    bounded.await.unwrap_or_else(|_| Err(limit_known.over("nobody")))
}

pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl HttpReply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string() }
    }

    /// A token, in the form of most endpoints.
    pub(super) fn token() -> Self {
        Self::json(200, &json!({"access_token": jwt(), "expires_in": "3599", "token_type": "Bearer"}))
    }
}

/// Gives one reply to each request, in order, and notes the requests.
pub(super) struct Server {
    url: String,
    replies: Arc<Mutex<VecDeque<HttpReply>>>,
    seen: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let replies = Arc::new(Mutex::new(VecDeque::new()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, Arc::clone(&replies), Arc::clone(&seen)));
        Self { url, replies, seen, task }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn reply(&self, reply: HttpReply) {
        lock(&self.replies).push_back(reply);
    }

    /// What was asked: objects of `method`, `path`, `query`, `headers` (names in lower case) and `form`.
    pub(super) fn seen(&self) -> Vec<Value> {
        lock(&self.seen).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, replies: Arc<Mutex<VecDeque<HttpReply>>>, seen: Arc<Mutex<Vec<Value>>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let request = read(&mut stream).await;
        lock(&seen).push(request);
        let reply = lock(&replies).pop_front();
        let reply =
            reply.unwrap_or_else(|| HttpReply::json(599, &json!({"error": "nothing was scripted for this request"})));
        let mut lines = vec![format!("HTTP/1.1 {} Scripted", reply.status), "Connection: close".to_owned()];
        lines.push(format!("Content-Length: {}", reply.body.len()));
        lines.extend(reply.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        _ = stream.write_all(format!("{}\r\n\r\n{}", lines.join("\r\n"), reply.body).as_bytes()).await;
        _ = stream.shutdown().await;
    }
}

async fn read(stream: &mut TcpStream) -> Value {
    const END: &[u8] = b"\r\n\r\n";
    let mut bytes: Vec<u8> = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(END.len()).position(|window| window == END) {
            break at;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return json!({"method": "(broken)"});
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Map<String, Value> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), json!(value.trim())))
        .collect();
    let length = headers.get("content-length").and_then(|value| value.as_str()?.parse().ok()).unwrap_or(0);
    let body_start = head_end + END.len();
    while bytes.len() < body_start + length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            break;
        }
    }
    let body = String::from_utf8_lossy(&bytes[body_start..]).into_owned();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    json!({"method": method, "path": path, "query": pairs(query), "headers": headers, "form": pairs(&body)})
}

/// The parts of a query or a form, decoded.
fn pairs(encoded: &str) -> Map<String, Value> {
    let mut url = Url::parse("http://server").unwrap();
    url.set_query(Some(encoded).filter(|text| !text.is_empty()));
    url.query_pairs().map(|(name, value)| (name.into_owned(), json!(value))).collect()
}
