//! All subscriptions of a connection manager: one task that puts each where it belongs, and a task for each line.

use super::{line::LineTask, mailbox::Mailbox, places::Places, shared::Shared, state::Consumer};
use crate::{client::manager::ConnectionManager, error::Error, lock::lock};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    task::{AbortHandle, JoinSet},
    time::sleep,
};

/// A topic that nobody serves is looked at again after this, should nothing else happen.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Keeps the subscriptions up, for as long as a stream of deliveries has it.
pub(super) struct Hub {
    pub(super) manager: Arc<ConnectionManager>,
    pub(super) shared: Arc<Shared>,
    director: AbortHandle,
}

impl Drop for Hub {
    fn drop(&mut self) {
        // With it go the lines, and with these their links.
        self.director.abort();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl Hub {
    /// The hub of a connection manager, which all its streams share.
    pub(super) fn of(manager: &Arc<ConnectionManager>) -> Result<Arc<Self>, Error> {
        let core = manager.core();
        if core.is_closed() {
            return Err(Error::closed());
        }
        let mut current = lock(&manager.pubsub.hub);
        if let Some(hub) = current.upgrade()
            && !hub.shared.state().has_ended
        {
            return Ok(hub);
        }
        let shared = Arc::new(Shared::new(manager.pubsub.buffer));
        let director = direct(Arc::clone(manager), Arc::clone(&shared));
        let director = manager.connections.spawn_on(director, core.timers.runtime()).abort_handle();
        let hub = Arc::new(Self { manager: Arc::clone(manager), shared, director });
        *current = Arc::downgrade(&hub);
        Ok(hub)
    }

    /// A new consumer, which has no subscriptions yet.
    pub(super) fn consumer(&self) -> (u64, Arc<Mailbox>) {
        let mailbox = Arc::new(Mailbox::new(self.manager.pubsub.buffer));
        let mut state = self.shared.state();
        let id = state.number();
        state.consumers.insert(id, Consumer::new(Arc::clone(&mailbox)));
        if state.has_ended {
            _ = mailbox.end();
        }
        (id, mailbox)
    }
}

/// Ends the streams when dropped: when everything is shut down, or the runtime is.
struct Ends(Arc<Shared>);

impl Drop for Ends {
    fn drop(&mut self) {
        let wakers = self.0.state().end();
        self.0.through(wakers);
    }
}

/// Puts topics where they belong, and has a task for each line.
async fn direct(manager: Arc<ConnectionManager>, shared: Arc<Shared>) {
    let _ends = Ends(Arc::clone(&shared));
    let core = manager.core();
    let mut lines = JoinSet::new();
    let mut places = Places::default();
    loop {
        let changed = core.availability.changed();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if core.is_closed() {
            return;
        }
        let has_rest = places.look(core, &shared, |id, node, bell| {
            let (manager, shared) = (Arc::clone(&manager), Arc::clone(&shared));
            lines.spawn(
                manager
                    .connections
                    .track_future(LineTask { manager: Arc::clone(&manager), shared, id, node, bell }.run()),
            );
        });
        tokio::select! {
            () = changed => {}
            () = shared.bell.notified() => {}
            Some(_) = lines.join_next() => {}
            () = sleep(LOOK_AGAIN), if has_rest => {}
        }
    }
}
