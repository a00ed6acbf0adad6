//! How a link comes to be.

use super::{Link, context::WireContext, handshake, push::Pushes, reauth::Authenticated, setup::Setup, wire::Wire};
use crate::{admission::Admission, error::Error, lock::lock, token::Current};
use std::sync::{Arc, Mutex, atomic::AtomicU64};
#[cfg(any(test, feature = "bench-api"))]
use std::time::Duration;
use tokio::{sync::Notify, time::Instant};
#[cfg(any(test, feature = "bench-api"))]
use tokio_util::task::TaskTracker;

impl Link {
    /// Connects and authenticates with the token that `token` yields; TCP and TLS are set up meanwhile.
    ///
    /// `keeper` is notified when the link goes down.
    pub(crate) async fn open(
        setup: &Setup,
        token: impl Future<Output = Result<Arc<Current>, Error>>,
        keeper: Arc<Notify>,
        admission: Arc<Admission>,
    ) -> Result<Self, Error> {
        let (stream, current) = futures_util::future::try_join(setup.dialer.connect(), token).await?;
        let wire = {
            let (patience, record) = (setup.command_timeout, setup.dialer.transport.record());
            let is_one_of_several = setup.is_one_of_several;
            let (pool, node) = (Arc::clone(&setup.pool), Arc::clone(&setup.node));
            let (tasks, multi) = (setup.tasks.clone(), Arc::clone(&setup.multi));
            let pushes = Arc::new(Pushes::over(setup.protocol));
            Wire::start(
                stream,
                WireContext {
                    keeper,
                    admission,
                    patience,
                    record,
                    is_one_of_several,
                    pool,
                    node,
                    tasks,
                    multi,
                    pushes,
                },
            )
        };
        let asked = Instant::now();
        let slots = handshake::authenticate(&wire, setup, &current).await?;
        let authenticated = Authenticated::with(&current, asked.elapsed());
        wire.liveness.expires_at(authenticated.until);
        let link = Self::new(setup.next_id(), Arc::clone(&setup.node), wire, authenticated);
        link.touch();
        *lock(&link.slots) = slots;
        Ok(link)
    }

    /// A link over any stream, without authentication; requests may take `patience`. Must be called on a runtime.
    #[cfg(any(test, feature = "bench-api"))]
    pub(crate) fn over<S>(id: u64, stream: S, admission: Arc<Admission>, patience: Duration) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (keeper, pool, tasks) = (Arc::default(), Arc::from("none"), TaskTracker::new());
        let (node, multi, pushes) = (Arc::from("none"), Arc::default(), Arc::default());
        let (record, is_one_of_several) = (16 << 10, false);
        let wire = Wire::start(
            stream,
            WireContext { keeper, admission, patience, record, is_one_of_several, pool, node, tasks, multi, pushes },
        );
        let until = Instant::now() + patience;
        let authenticated = Authenticated { generation: 0, until, took: Duration::ZERO };
        Self::new(id, Arc::from("none"), wire, authenticated)
    }

    fn new(id: u64, node: Arc<str>, wire: Wire, authenticated: Authenticated) -> Self {
        Self {
            id,
            node,
            wire,
            slots: Mutex::new(None),
            authenticated: Mutex::new(authenticated),
            reauthenticated: Notify::new(),
            held: Mutex::new(false),
            last_used: AtomicU64::new(0),
            reauths: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        }
    }
}
