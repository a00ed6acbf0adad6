//! The front of an emulated Azure Managed Redis: TLS, tokens that are checked, connections that are cut when they
//! expire.

mod connection;
mod listening;
mod policy;
mod session;

use super::{backend::Backend, faults::AuthFault, tokens::Signer};
use crate::lock::lock;
use connection::Control;
use rustls::HandshakeKind;
use session::Session;
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{net::TcpStream, sync::watch, time::timeout};
use tokio_rustls::TlsAcceptor;

pub use connection::FrontConnection;
pub(super) use listening::Listening;
pub(super) use policy::Policy;

/// A client that connects and says nothing is not waited for longer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The front that Redis clients connect to: what has come through it, and what it shall do wrong.
#[derive(Clone)]
pub struct RedisFront {
    shared: Arc<Shared>,
}

struct Shared {
    signer: Arc<Signer>,
    backend: Backend,
    acceptor: TlsAcceptor,
    policy: Policy,
    frozen: watch::Sender<bool>,
    refuse: AtomicBool,
    without_hello: AtomicBool,
    totals: Totals,
    faults: Mutex<Faults>,
    connections: Mutex<Vec<Arc<Control>>>,
}

#[derive(Default)]
struct Faults {
    auth_delay: Duration,
    first_auths: VecDeque<AuthFault>,
    reauths: VecDeque<AuthFault>,
    /// Whether an `AUTH` that fails is answered only if nothing comes with it.
    drops_failed_auths: bool,
}

#[derive(Default)]
struct Totals {
    accepted: AtomicU64,
    tls_failures: AtomicU64,
    resumed: AtomicU64,
    authentications: AtomicU64,
    reauths: AtomicU64,
    rejected: AtomicU64,
    expired: AtomicU64,
    accompanied_auths: AtomicU64,
    commands: AtomicU64,
}

/// What has come through the front so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrontStats {
    /// Connections with which TLS was set up.
    pub accepted: u64,
    /// Connections with which it was not.
    pub tls_failures: u64,
    /// Accepted connections that resumed a TLS session.
    pub resumed: u64,
    /// Successful `AUTH`s and `HELLO … AUTH`s, the first of a connection included.
    pub authentications: u64,
    /// Successful ones on connections that were authenticated already.
    pub reauths: u64,
    /// `WRONGPASS` answers.
    pub rejected: u64,
    /// Connections cut because their token had expired.
    pub expired: u64,
    /// `AUTH`s that came behind something unanswered, or together with something else.
    pub accompanied_auths: u64,
    /// Commands passed on to Redis.
    pub commands: u64,
}

impl RedisFront {
    pub(super) fn new(signer: Arc<Signer>, backend: Backend, acceptor: TlsAcceptor, policy: Policy) -> Self {
        Self {
            shared: Arc::new(Shared {
                signer,
                backend,
                acceptor,
                policy,
                frozen: watch::Sender::new(false),
                refuse: AtomicBool::new(false),
                without_hello: AtomicBool::new(false),
                totals: Totals::default(),
                faults: Mutex::default(),
                connections: Mutex::default(),
            }),
        }
    }

    /// The connections that are open, oldest first.
    #[must_use]
    pub fn connections(&self) -> Vec<FrontConnection> {
        let mut connections = lock(&self.shared.connections);
        connections.retain(|control| control.is_open());
        connections.iter().map(|control| FrontConnection::new(Arc::clone(control))).collect()
    }

    /// How many connections are open.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections().len()
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> FrontStats {
        let totals = &self.shared.totals;
        FrontStats {
            accepted: totals.accepted.load(Relaxed),
            tls_failures: totals.tls_failures.load(Relaxed),
            resumed: totals.resumed.load(Relaxed),
            authentications: totals.authentications.load(Relaxed),
            reauths: totals.reauths.load(Relaxed),
            rejected: totals.rejected.load(Relaxed),
            expired: totals.expired.load(Relaxed),
            accompanied_auths: totals.accompanied_auths.load(Relaxed),
            commands: totals.commands.load(Relaxed),
        }
    }

    /// How long each `AUTH` takes to validate from now on; its connection serves nothing meanwhile. Default none.
    pub fn auth_delay(&self, delay: Duration) {
        lock(&self.shared.faults).auth_delay = delay;
    }

    /// From now on gives no answer to an `AUTH` that fails and comes behind something unanswered or together with
    /// something else, and serves what follows, as some versions of Redis do; or no longer does.
    pub fn drop_failed_auths(&self, drop: bool) {
        lock(&self.shared.faults).drops_failed_auths = drop;
    }

    /// Closes new connections as soon as they are made, or no longer does.
    pub fn refuse_connections(&self, refuse: bool) {
        self.shared.refuse.store(refuse, Relaxed);
    }

    /// Plays a server that is too old for `HELLO`, and so for RESP3, or no longer does.
    pub fn without_hello(&self, without: bool) {
        self.shared.without_hello.store(without, Relaxed);
    }

    /// Lets the next `AUTH`s of connections that are authenticated already go wrong, one each, in this order.
    pub fn script_auth(&self, faults: impl IntoIterator<Item = AuthFault>) {
        lock(&self.shared.faults).reauths.extend(faults);
    }

    /// Lets the next first authentications of connections go wrong, one each, in this order.
    pub fn script_first_auth(&self, faults: impl IntoIterator<Item = AuthFault>) {
        lock(&self.shared.faults).first_auths.extend(faults);
    }

    /// Closes all connections at once.
    pub fn cut_all(&self) {
        self.connections().iter().for_each(FrontConnection::cut);
    }

    /// Makes it and all its connections half-open: sockets stay and new ones are accepted, but nothing gets through in
    /// either direction, no TLS handshake either.
    pub fn freeze(&self) {
        self.shared.frozen.send_replace(true);
    }

    /// Lets everything through again, what was held up included.
    pub fn thaw(&self) {
        self.shared.frozen.send_replace(false);
    }
}

impl std::fmt::Debug for RedisFront {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisFront").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Shared {
    async fn session(self: Arc<Self>, stream: TcpStream) {
        // Failing to set it costs speed only.
        _ = stream.set_nodelay(true);
        self.flowing().await;
        let Ok(Ok(client)) = timeout(HANDSHAKE_TIMEOUT, self.acceptor.accept(stream)).await else {
            self.totals.tls_failures.fetch_add(1, Relaxed);
            return;
        };
        let id = self.totals.accepted.fetch_add(1, Relaxed) + 1;
        if client.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.totals.resumed.fetch_add(1, Relaxed);
        }
        let Ok(backend) = self.backend.connect().await else {
            return;
        };
        let control = Arc::new(Control::new(id));
        lock(&self.connections).push(Arc::clone(&control));
        Session::new(Arc::clone(&self), control).run(client, backend).await;
    }

    /// Waits until the front is not frozen.
    async fn flowing(&self) {
        if *self.frozen.borrow() {
            _ = self.frozen.subscribe().wait_for(|frozen| !*frozen).await;
        }
    }

    fn drops_failed_auths(&self) -> bool {
        lock(&self.faults).drops_failed_auths
    }

    /// The delay and the fault of the next `AUTH`.
    fn next_auth(&self, reauth: bool) -> (Duration, Option<AuthFault>) {
        let mut faults = lock(&self.faults);
        let script = if reauth { &mut faults.reauths } else { &mut faults.first_auths };
        let fault = script.pop_front();
        (faults.auth_delay, fault)
    }
}
