//! Waiting for room: for one command, or for all parts of one.

use super::{core::Core, waiting::unsent};
use crate::{
    admission::{Overload, Permit},
    error::{Error, ErrorKind, Stage},
};
use tokio::time::Instant;

impl Core {
    /// A permit for one command, if need be after those who came before.
    pub(super) async fn permit(&self, deadline: Instant, overload: Overload, was_sent: bool) -> Result<Permit, Error> {
        if overload == Overload::Refuse {
            return if !self.admission.has_queue() && self.admission.try_acquire() {
                Ok(Permit::acquired(&self.admission))
            } else if self.is_closed() {
                Err(Error::closed())
            } else {
                Err(self.admission.overloaded())
            };
        }
        let permit = async {
            self.admission.acquire().await;
            Permit::acquired(&self.admission)
        };
        self.in_turn(permit, deadline, was_sent).await
    }

    /// Permits for all of `count` parts, before any of them is sent.
    pub(super) async fn permits(&self, count: usize, deadline: Instant) -> Result<Vec<Permit>, Error> {
        let _waiting = self.admission.wait();
        if !self.admission.has_room_for(count) {
            return Err(self.admission.too_many(count));
        }
        if self.overload == Overload::Refuse {
            return if !self.admission.has_queue() && self.admission.try_acquire_many(count) {
                Ok((0..count).map(|_| Permit::acquired(&self.admission)).collect())
            } else if self.is_closed() {
                Err(Error::closed())
            } else {
                Err(self.admission.overloaded())
            };
        }
        let permits = async {
            // Two that had some permits each, and waited for more, would wait for each other.
            let _alone = self.gathering.lock().await;
            let mut permits = Vec::with_capacity(count);
            while permits.len() < count {
                self.admission.acquire().await;
                permits.push(Permit::acquired(&self.admission));
            }
            permits
        };
        self.in_turn(permits, deadline, false).await
    }

    async fn in_turn<T>(&self, permit: impl Future<Output = T>, deadline: Instant, was_sent: bool) -> Result<T, Error> {
        let turn = async {
            tokio::select! {
                permit = permit => Ok(permit),
                () = self.until_closed() => Err(Error::closed()),
            }
        };
        self.timers.timeout_at(deadline, turn).await.unwrap_or_else(|| {
            if self.is_closed() {
                return Err(Error::closed());
            }
            let unsent = unsent(was_sent);
            let text =
                format!("too many commands were in flight (`max_in_flight`) until this one's deadline; {unsent}");
            Err(Error::new(ErrorKind::Timeout(Stage::Command), text).not_run())
        })
    }

    async fn until_closed(&self) {
        loop {
            let changed = self.availability.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_closed() {
                return;
            }
            changed.await;
        }
    }
}
