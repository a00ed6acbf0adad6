//! Where clients reach a node: its front, which listens, or not, and at which port.

use super::ports::{self, Place};
use crate::{
    emulator::{
        backend::Backend,
        ports::Kept,
        redis_front::{Listening, Policy, RedisFront},
        tokens::Signer,
    },
    lock::lock,
};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

/// A node that is removed stays until no command has come to it for so long: clients have learned from `MOVED` by then
/// where its slots are.
const DRAINED_AFTER: Duration = Duration::from_millis(100);
/// But no longer than this.
const LONGEST_DRAIN: Duration = Duration::from_secs(2);

/// What the fronts of all nodes have in common.
#[derive(Clone)]
pub(in crate::emulator) struct Fronts {
    pub(in crate::emulator) signer: Arc<Signer>,
    pub(in crate::emulator) acceptor: TlsAcceptor,
    pub(in crate::emulator) policy: Policy,
}

impl Fronts {
    pub(in crate::emulator) fn front(&self, backend: Backend) -> RedisFront {
        RedisFront::new(Arc::clone(&self.signer), backend, self.acceptor.clone(), self.policy)
    }
}

pub(super) struct Site {
    pub(super) front: RedisFront,
    state: Mutex<State>,
}

struct State {
    address: SocketAddr,
    /// It comes back to its port.
    kept: Kept,
    listening: Option<Listening>,
    frozen: bool,
}

impl Site {
    /// At a port that is free.
    pub(super) async fn open(front: RedisFront) -> io::Result<Self> {
        let Place { listening, kept } = ports::listen(&front).await?;
        let state = State { address: listening.address(), kept, listening: Some(listening), frozen: false };
        Ok(Self { front, state: Mutex::new(state) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        lock(&self.state).address
    }

    /// Whether it listens and is not frozen.
    pub(super) fn is_live(&self) -> bool {
        let state = lock(&self.state);
        state.listening.is_some() && !state.frozen
    }

    /// Waits until no command comes any more.
    pub(super) async fn drained(&self) {
        let until = Instant::now() + LONGEST_DRAIN;
        let commands = || self.front.stats().commands;
        let mut before = commands();
        while Instant::now() < until {
            sleep(DRAINED_AFTER).await;
            if std::mem::replace(&mut before, commands()) == before {
                return;
            }
        }
    }

    /// Refuses connections from now on, and ends those that there are.
    pub(super) async fn close(&self) {
        let listening = self.take();
        self.front.thaw();
        if let Some(listening) = listening {
            listening.end().await;
        }
    }

    /// The same in a moment, for whoever cannot wait.
    pub(super) fn begin_close(&self) {
        drop(self.take());
    }

    fn take(&self) -> Option<Listening> {
        let mut state = lock(&self.state);
        state.frozen = false;
        state.listening.take()
    }

    /// Listens again at the same port.
    pub(super) async fn reopen(&self) -> io::Result<()> {
        let listening = self.front.listen(self.address().port()).await?;
        lock(&self.state).listening = Some(listening);
        Ok(())
    }

    pub(super) fn freeze(&self) {
        lock(&self.state).frozen = true;
        self.front.freeze();
    }

    pub(super) fn thaw(&self) {
        self.front.thaw();
        lock(&self.state).frozen = false;
    }

    /// Lets the front listen at another port, too; [`move_to`](Self::move_to) it is the next step.
    pub(super) async fn another_port(&self) -> io::Result<Place> {
        ports::listen(&self.front).await
    }

    /// Is there from now on. Connections to the old port are cut.
    pub(super) async fn move_to(&self, place: Place) {
        let old = {
            let mut state = lock(&self.state);
            state.address = place.address();
            state.kept = place.kept;
            state.listening.replace(place.listening)
        };
        if let Some(old) = old {
            old.end().await;
        }
    }
}
