//! What the keeper makes of the end of a dial, an `AUTH` or a `PING`.

use super::{Done, Keeper};
use crate::{
    error::{Error, ErrorKind, Stage},
    link::{EXPIRED, Link},
    observe::event::Event,
    pool::seat::{AUTH_UNANSWERED, Task},
    token::Current,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

impl Keeper {
    pub(super) fn settle(&mut self, done: Done) {
        match done {
            Done::LetGo { link, drained } => {
                self.pool.has_left(link);
                if drained {
                    self.shared.journal.record(Event::LinkDrained { node: self.node(), link });
                }
            }
            Done::Dialed { seat: index, generation, result } => {
                self.pool.dial_ended();
                match result {
                    Ok((link, took)) => self.dialed(index, Arc::new(link), took),
                    Err(error) => self.dial_failed(index, generation, error),
                }
            }
            Done::Reauthenticated { seat: index, link, current, result } => {
                self.reauthenticated(index, &link, &current, result);
            }
            Done::Checked { seat: index, link, result } => {
                self.seats[index].checked();
                if let Err(reason) = result {
                    link.retire(reason);
                }
            }
        }
    }

    fn dialed(&mut self, index: usize, link: Arc<Link>, took: Duration) {
        // A token that came while the link was being opened is seen by the next look at this seat.
        let (id, generation) = (link.id(), link.generation());
        let seat = &mut self.seats[index];
        seat.dial_ended();
        let order = seat.order.take();
        let replaced = seat.dialed(Arc::clone(&link));
        self.publish();
        self.pool.note_error(None);
        self.shared.journal.record(Event::LinkUp {
            node: self.node(),
            link: id,
            generation,
            reconnect: replaced.is_some(),
            took,
        });
        if let Some(link) = replaced {
            self.shared.journal.record(Event::LinkReplaced { node: self.node(), link, by: id });
        }
        if let Some(order) = order {
            order.fill(link, &self.pool, &self.shared.leases);
        }
        if let Some(first) = self.first.take() {
            // A caller that has given up on `connect` has dropped everything else, too.
            _ = first.send(Ok(()));
        }
    }

    fn dial_failed(&mut self, index: usize, generation: u64, error: Error) {
        self.seats[index].dial_ended();
        let refused = error.kind() == ErrorKind::AuthenticationRejected;
        let retry_in = self.seats[index].dial_failed(refused.then_some(generation));
        if refused {
            self.shared.tokens.refused(generation);
        }
        self.pool.note_error(Some(error.clone()));
        self.shared.trouble.notify_one();
        self.shared.journal.record(Event::DialFailed { node: self.node(), error: error.clone(), retry_in });
        if let Some(first) = self.first.take() {
            _ = first.send(Err(error));
        }
    }

    fn reauthenticated(&mut self, index: usize, link: &Arc<Link>, current: &Current, result: Result<(), Error>) {
        let seat = &mut self.seats[index];
        seat.task = Task::None;
        seat.auth_is_late = None;
        // It may have gone meanwhile: what is in its place now has nothing to do with that.
        let is_here = seat.link.as_ref().is_some_and(|here| Arc::ptr_eq(here, link));
        // Commands that found it neither open nor usable behind its `AUTH` look again.
        self.pool.wake_commands();
        let (id, generation) = (link.id(), current.generation);
        let Err(error) = result else {
            seat.reauthenticated();
            return self.shared.journal.record(Event::Reauthenticated { node: self.node(), link: id, generation });
        };
        match error.kind() {
            ErrorKind::Timeout(Stage::Auth) if link.authenticated_until() <= Instant::now() => link.retire(EXPIRED),
            // Nobody else's commands go over it: there is no need for another one in its place.
            ErrorKind::Timeout(Stage::Auth) if !seat.is_shared() => link.retire(AUTH_UNANSWERED),
            ErrorKind::Timeout(Stage::Auth) => {
                if is_here {
                    seat.to_replace = Some(AUTH_UNANSWERED);
                }
            }
            kind => {
                if is_here {
                    seat.reauth_failed();
                }
                if kind == ErrorKind::AuthenticationRejected {
                    self.shared.tokens.refused(generation);
                }
            }
        }
        self.shared.journal.record(Event::ReauthFailed { node: self.node(), link: id, error });
    }
}

#[cfg(test)]
mod tests;
