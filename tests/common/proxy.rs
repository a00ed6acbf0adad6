//! A man in the middle between a client and the emulator's front. He ends TLS on both sides, so that he knows what each
//! message is about, and lets one thing go wrong at a time, at one stage.

mod relay;

use super::{
    fault::{Behaviour, SLOW, Stage},
    ports::{Deaf, Refusing},
    server::Certificates,
    tls::{acceptor, connector},
};
use futures_util::future::BoxFuture;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use std::{
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What a scripted error says.
pub const SCRIPTED: &str = "scripted fault";

/// A fatal alert: the handshake has failed.
const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 40];

/// The first bytes of a `ServerHello` that is longer.
const HALF_A_SERVER_HELLO: &[u8] = &[22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3, 7, 7, 7, 7, 7];

pub type Lookup = BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

/// It ends, with its connections, when dropped.
pub struct Proxy {
    shared: Arc<Shared>,
    accepting: AbortHandle,
    /// The CA that clients have to trust.
    pub ca_pem: String,
}

struct Shared {
    address: SocketAddr,
    front: SocketAddr,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    refusing: Refusing,
    deaf: OnceLock<Deaf>,
    fault: Mutex<Option<(Stage, Behaviour)>>,
    rng: Mutex<fastrand::Rng>,
    struck: AtomicUsize,
    open: AtomicUsize,
    parked: AtomicUsize,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// Before the front at this port, on the runtime that this is called on.
    pub async fn start(front_port: u16, front_ca_pem: &str, seed: u64) -> Self {
        Self::start_as(&Certificates::for_name("localhost"), front_port, front_ca_pem, seed).await
    }

    /// The same, with these certificates.
    pub async fn start_as(certificates: &Certificates, front_port: u16, front_ca_pem: &str, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let shared = Arc::new(Shared {
            address: listener.local_addr().unwrap(),
            front: SocketAddr::from((Ipv4Addr::LOCALHOST, front_port)),
            acceptor: acceptor(certificates),
            connector: connector(front_ca_pem),
            refusing: Refusing::new(),
            deaf: OnceLock::new(),
            fault: Mutex::new(None),
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            struck: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(Arc::clone(&shared).accept(listener)).abort_handle();
        Self { shared, accepting, ca_pem: certificates.ca.clone() }
    }

    pub fn port(&self) -> u16 {
        self.shared.address.port()
    }

    /// For `Config::resolver`: where the faults of `Stage::Dns` are, and those of `Stage::Tcp` that come before any
    /// connection.
    pub fn resolver(&self) -> impl Fn(String, u16) -> Lookup + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move |_: String, _: u16| -> Lookup {
            let shared = Arc::clone(&shared);
            Box::pin(async move { shared.resolve().await })
        }
    }

    /// From now on, this behaviour at this stage; what has been broken stays broken.
    pub fn set(&self, fault: Option<(Stage, Behaviour)>) {
        if fault == Some((Stage::Tcp, Behaviour::Never)) {
            self.shared.deaf.get_or_init(Deaf::new);
        }
        *self.shared.fault.lock().unwrap() = fault;
        self.shared.struck.store(0, SeqCst);
    }

    /// How often the fault has had its effect since it was set.
    pub fn struck(&self) -> usize {
        self.shared.struck.load(SeqCst)
    }

    /// Connections of clients that neither side has closed.
    pub fn connections(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    /// Those of them on which nothing will ever be answered.
    pub fn parked(&self) -> usize {
        self.shared.parked.load(SeqCst)
    }
}

impl Shared {
    fn standing(&self, stage: Stage) -> Option<Behaviour> {
        self.fault.lock().unwrap().filter(|(at, _)| *at == stage).map(|(_, behaviour)| behaviour)
    }

    /// What is to happen at this stage, which has been reached.
    fn strike(&self, stage: Stage) -> Option<Behaviour> {
        let behaviour = self.standing(stage);
        self.struck.fetch_add(usize::from(behaviour.is_some()), SeqCst);
        behaviour
    }

    /// Nothing that Redis or TLS could begin with, and then anything.
    fn garbage(&self) -> Vec<u8> {
        let mut rng = self.rng.lock().unwrap();
        let first = rng.choice(b"?@AZaz{\0\xff").copied().unwrap();
        let rest = (0..48).map(|_| rng.u8(..));
        [first].into_iter().chain(rest).chain(*b"\r\n").collect()
    }

    async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self.strike(Stage::Dns) {
            Some(Behaviour::Error) => return Err(io::Error::other(SCRIPTED)),
            Some(Behaviour::Slow) => sleep(SLOW).await,
            Some(Behaviour::Never) => pending::<()>().await,
            // A name without addresses.
            Some(Behaviour::Garbage) => return Ok(Vec::new()),
            _ => {}
        }
        let address = match self.standing(Stage::Tcp) {
            Some(Behaviour::Error) => self.refusing.address,
            Some(Behaviour::Never) => self.deaf.get().map_or(self.address, |deaf| deaf.address),
            _ => return Ok(vec![self.address]),
        };
        self.strike(Stage::Tcp);
        Ok(vec![address])
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            connections.spawn(Arc::clone(&self).connection(client));
            // Those that are through are not kept.
            while connections.try_join_next().is_some() {}
        }
    }

    async fn connection(self: Arc<Self>, client: TcpStream) {
        let _open = Count::of(&self.open);
        match self.strike(Stage::Tcp) {
            Some(Behaviour::Slow) => sleep(SLOW).await,
            Some(Behaviour::Reset) => return reset(&client),
            Some(Behaviour::HalfOpen) => return self.park(client).await,
            _ => {}
        }
        match self.strike(Stage::Tls) {
            None | Some(Behaviour::Ok) => {}
            Some(Behaviour::Slow) => sleep(SLOW).await,
            Some(behaviour) => return self.spoil_handshake(client, behaviour).await,
        }
        // Speed only.
        _ = client.set_nodelay(true);
        let Ok(client) = self.acceptor.accept(client).await else {
            return;
        };
        let Ok(front) = TcpStream::connect(self.front).await else {
            return;
        };
        _ = front.set_nodelay(true);
        let name = ServerName::try_from("localhost").unwrap();
        if let Ok(front) = self.connector.connect(name, front).await {
            // Whichever side breaks it off, the other one sees it end.
            _ = self.relay(client, front).await;
        }
    }

    async fn spoil_handshake(&self, mut client: TcpStream, behaviour: Behaviour) {
        // The client speaks first, and is heard out: what is left unread would turn the end into a reset.
        let mut hello = [0; 4096];
        if !matches!(client.read(&mut hello).await, Ok(1..)) {
            return;
        }
        let garbage = self.garbage();
        let words: &[u8] = match behaviour {
            Behaviour::Error => ALERT,
            Behaviour::HalfOpen | Behaviour::Truncated => HALF_A_SERVER_HELLO,
            Behaviour::Garbage => &garbage,
            _ => &[],
        };
        _ = client.write_all(words).await;
        match behaviour {
            Behaviour::Reset => reset(&client),
            Behaviour::Error | Behaviour::Truncated => {}
            _ => self.park(client).await,
        }
    }

    /// Takes what comes and answers nothing, until the client gives up.
    async fn park(&self, mut client: impl AsyncRead + Unpin) {
        let _parked = Count::of(&self.parked);
        let mut sink = [0; 1024];
        while matches!(client.read(&mut sink).await, Ok(1..)) {}
    }
}

/// Lets the connection end with a reset when it is dropped, which has to be next.
fn reset(client: &TcpStream) {
    SockRef::from(client).set_linger(Some(Duration::ZERO)).unwrap();
}

/// One more, for as long as it lives.
struct Count<'a>(&'a AtomicUsize);

impl<'a> Count<'a> {
    fn of(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, SeqCst);
        Self(counter)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
