//! Links that one user has alone: opened for that user, and kept up between its commands.

use super::{Done, Keeper, LinkCounts, reauth_span};
use crate::{
    link::{EXPIRED, Link},
    observe::trace::outcome,
    pool::{
        orders::Order,
        seat::{Seat, Task},
    },
    token::Current,
};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::{Instrument, Span};

impl Keeper {
    /// Gives each order that has come a seat.
    pub(super) fn take_orders(&mut self) {
        for mut order in self.pool.take_orders() {
            let is_free = |seat: &Seat| !seat.is_wanted() && seat.task == Task::None;
            let at = self.seats.iter().position(is_free).unwrap_or_else(|| {
                self.seats.push(Seat::new(order.purpose));
                self.seats.len() - 1
            });
            let seat = &mut self.seats[at];
            seat.begin(order.purpose);
            seat.ticket = order.ticket.take();
            seat.order = Some(order);
        }
    }

    /// Opens the link that somebody waits for, if anybody still does.
    pub(super) fn fill(&mut self, index: usize, counts: &mut LinkCounts) {
        let seat = &mut self.seats[index];
        if seat.order.as_ref().is_some_and(Order::is_cancelled) {
            (seat.order, seat.ticket) = (None, None);
        }
        if seat.order.is_some() {
            self.dial(index, counts, None);
        }
    }

    /// Brings a link to the newest token, and finds out whether it is alive, unless its user holds it.
    pub(super) fn maintain_own(&mut self, index: usize, link: &Arc<Link>) {
        if let Some(current) = self.shared.tokens.live()
            && link.generation() < current.generation
        {
            self.rotate_own(index, link, &current);
        }
        let seat = &self.seats[index];
        let is_due = link.is_suspect()
            || link.idle() >= self.shared.options.ping_after
            || link.has_claims() && seat.may_verify();
        if is_due
            && seat.task == Task::None
            && link.is_open()
            && let Some(check) = link.check_unheld(self.shared.options.ping_timeout)
        {
            let link = Arc::clone(link);
            self.start(index, Task::Check, async move {
                let result = check.await;
                Done::Checked { seat: index, link, result }
            });
        }
    }

    /// Gives the link the new token once its user does not hold it; gives it up if that has not come to be when the old
    /// token is nearly dead.
    fn rotate_own(&mut self, index: usize, link: &Arc<Link>, current: &Arc<Current>) {
        let now = Instant::now();
        let old_life = link.authenticated_until().saturating_duration_since(now);
        let spread = self.spread(old_life);
        let seat = &mut self.seats[index];
        seat.rotate(current.generation, spread, old_life);
        if old_life <= Self::margin(current) && (seat.reauth_failed_before() || link.is_held() || link.refuses_auth()) {
            // Its user learns of it before the next command. The server would cut it in the middle of one.
            link.retire(EXPIRED);
            return self.pool.wake_keeper();
        }
        if now < seat.reauth_after {
            return;
        }
        let span = reauth_span(&self.shared, &self.setup, link, current);
        let Some(reauth) = link.reauthenticate_unheld(current, self.shared.options.auth_timeout) else {
            // Whoever lets go of it wakes the keeper.
            return;
        };
        let (link, current) = (Arc::clone(link), Arc::clone(current));
        let reauth = async move {
            let result = reauth.await;
            Span::current().record("outcome", outcome(&result));
            Done::Reauthenticated { seat: index, link, current, result }
        };
        self.start(index, Task::Reauth, reauth.instrument(span));
    }
}

#[cfg(test)]
mod tests;
