//! One connection of a client, as tests see and disturb it.

use crate::{emulator::faults::AuthFault, lock::lock};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};
use tokio::sync::watch;

/// A handle to one connection of a client; it keeps nothing open.
#[derive(Clone)]
pub struct FrontConnection {
    control: Arc<Control>,
}

/// What a connection's session looks at while it runs.
pub(super) struct Control {
    id: u64,
    authentications: AtomicU64,
    /// The expiry of its token; none while it is not authenticated.
    until: watch::Sender<Option<SystemTime>>,
    frozen: watch::Sender<bool>,
    closed: watch::Sender<bool>,
    next_auth: Mutex<Option<AuthFault>>,
}

impl Control {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            authentications: AtomicU64::new(0),
            until: watch::Sender::new(None),
            frozen: watch::Sender::new(false),
            closed: watch::Sender::new(false),
            next_auth: Mutex::new(None),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !*self.closed.borrow()
    }

    pub(super) fn is_authenticated(&self) -> bool {
        self.until.borrow().is_some()
    }

    pub(super) fn authenticated(&self, until: SystemTime) {
        self.authentications.fetch_add(1, Relaxed);
        self.until.send_replace(Some(until));
    }

    pub(super) fn deauthenticate(&self) {
        self.until.send_replace(None);
    }

    pub(super) fn take_fault(&self) -> Option<AuthFault> {
        lock(&self.next_auth).take()
    }

    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Waits until it is closed from outside.
    pub(super) async fn closed(&self) {
        // The sender is in `self`, so that this can end in one way only.
        _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Waits while the connection is frozen.
    pub(super) async fn flowing(&self) {
        if *self.frozen.borrow() {
            _ = self.frozen.subscribe().wait_for(|frozen| !*frozen).await;
        }
    }

    /// Waits until the token has expired.
    pub(super) async fn expired(&self) {
        let mut until = self.until.subscribe();
        loop {
            let expiry = *until.borrow_and_update();
            let Some(expiry) = expiry else {
                _ = until.changed().await;
                continue;
            };
            let Ok(left) = expiry.duration_since(SystemTime::now()) else {
                return;
            };
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                _ = until.changed() => {}
            }
        }
    }
}

impl FrontConnection {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self { control }
    }

    /// Its number, from 1 in order of acceptance.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.control.id
    }

    /// How often it has authenticated successfully.
    #[must_use]
    pub fn authentications(&self) -> u64 {
        self.control.authentications.load(Relaxed)
    }

    /// When its token expires; none while it is not authenticated.
    #[must_use]
    pub fn authenticated_until(&self) -> Option<SystemTime> {
        *self.control.until.borrow()
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.control.is_open()
    }

    /// Closes it at once.
    pub fn cut(&self) {
        self.control.close();
    }

    /// Makes it half-open: the socket stays, but nothing gets through in either direction.
    pub fn freeze(&self) {
        self.control.frozen.send_replace(true);
    }

    /// Lets everything through again, what was held up included.
    pub fn thaw(&self) {
        self.control.frozen.send_replace(false);
    }

    /// Forgets that it has authenticated: its next commands are answered with `NOAUTH`.
    pub fn deauthenticate(&self) {
        self.control.deauthenticate();
    }

    /// Lets its next `AUTH` go wrong.
    pub fn next_auth(&self, fault: AuthFault) {
        *lock(&self.control.next_auth) = Some(fault);
    }
}

impl std::fmt::Debug for FrontConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrontConnection")
            .field("id", &self.id())
            .field("is_open", &self.is_open())
            .field("authentications", &self.authentications())
            .finish_non_exhaustive()
    }
}
