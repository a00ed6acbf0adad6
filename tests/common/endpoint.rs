//! A token endpoint that says exactly what it is told to say, byte for byte, and notes when it was asked.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use socket2::SockRef;
use std::{
    fmt::Write as _,
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// What a request is answered with.
#[derive(Clone)]
pub enum Say {
    /// These bytes; then the connection is closed.
    This(Vec<u8>),
    /// These bytes; then the connection is reset.
    AndReset(Vec<u8>),
    /// These bytes, and nothing more, on a connection that stays open.
    AndNothing(Vec<u8>),
}

/// What the request of this number, from 1, is answered with.
type Script = Arc<dyn Fn(u64) -> Say + Send + Sync>;

struct Shared {
    script: Mutex<Script>,
    asked: Mutex<Vec<Instant>>,
}

/// It ends, with its connections, when dropped.
pub struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Endpoint {
    pub async fn start(script: impl Fn(u64) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let shared = Arc::new(Shared { script: Mutex::new(Arc::new(script)), asked: Mutex::default() });
        Self {
            address: listener.local_addr().unwrap(),
            accepting: tokio::spawn(serve(Arc::clone(&shared), listener)).abort_handle(),
            shared,
        }
    }

    /// For `Credential::authority_host`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it says this.
    pub fn set(&self, script: impl Fn(u64) -> Say + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// When it was asked.
    pub fn asked(&self) -> Vec<Instant> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }
}

async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(answer(Arc::clone(&shared), client));
        // Those that are through are not kept.
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(shared: Arc<Shared>, mut client: TcpStream) {
    // A client that goes away has been told enough.
    if read_request(&mut client).await.is_err() {
        return;
    }
    let number = {
        let mut asked = shared.asked.lock().unwrap();
        asked.push(Instant::now());
        asked.len() as u64
    };
    let script = Arc::clone(&*shared.script.lock().unwrap());
    let say = script(number);
    let (Say::This(bytes) | Say::AndReset(bytes) | Say::AndNothing(bytes)) = &say;
    _ = client.write_all(bytes).await;
    match say {
        Say::This(_) => {}
        Say::AndReset(_) => SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap(),
        Say::AndNothing(_) => pending().await,
    }
}

/// Reads the whole of it: what is left unread would turn the end of the connection into a reset.
async fn read_request(client: &mut TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    loop {
        if client.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().filter_map(|line| line.split_once(": "));
            let mut length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length: usize = length.next().map_or(0, |(_, value)| value.parse().unwrap());
            if body.len() >= length {
                return Ok(());
            }
        }
    }
}

/// An HTTP answer with these headers beside those it needs.
pub fn http(status: u16, headers: &[(&str, String)], body: &str) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        _ = write!(answer, "{name}: {value}\r\n");
    }
    answer.push_str("\r\n");
    answer.push_str(body);
    answer.into_bytes()
}

/// The body of a successful answer; without `expires_in`, one that leaves that to the token.
pub fn token_body(token: &str, expires_in: Option<Duration>) -> String {
    let mut body = json!({"token_type": "Bearer", "access_token": token});
    if let Some(expires_in) = expires_in {
        body["expires_in"] = Value::from(expires_in.as_secs());
    }
    body.to_string()
}

/// A token of this number for the user `tester`, whose issuer believes that it expires then.
pub fn jwt(expires: SystemTime, number: u64) -> String {
    let exp = expires.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let claims = json!({"exp": exp, "oid": "tester", "uti": number.to_string()});
    encode(&Header::default(), &claims, &EncodingKey::from_secret(b"any key")).unwrap()
}
