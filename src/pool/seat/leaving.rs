//! How links leave a seat, and what takes their place.

use super::Seat;
use crate::{
    link::{Condition, Link},
    pool::leases::{Ticket, is_given_up},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The loss of a link that has lived this long says nothing against the server: delays begin again.
pub(super) const STEADY: Duration = Duration::from_secs(1);

/// A link that has left its seat, why, and its right to be, if it was a leased one.
pub(in crate::pool) struct Gone {
    pub(in crate::pool) link: Arc<Link>,
    pub(in crate::pool) reason: &'static str,
    pub(in crate::pool) ticket: Option<Ticket>,
    /// Whether one user has it alone.
    pub(in crate::pool) is_alone: bool,
}

impl Seat {
    /// Drops what is down, and lets the standby take the place of a link that is gone. Returns what went.
    pub(in crate::pool) fn tidy(&mut self) -> Vec<Gone> {
        let mut gone = Vec::new();
        let is_alone = !self.is_shared();
        for place in [&mut self.link, &mut self.standby] {
            if let Some(link) = place.take_if(|link| down(link).is_some()) {
                // A server that accepts and closes is no reason to dial as fast as it does.
                if link.age() >= STEADY {
                    self.dial_backoff.reset();
                }
                // Jittered from the first one on: many clients may have lost theirs at this moment.
                let reason = down(&link).unwrap_or("down");
                if is_given_up(reason) {
                    gone.push(Gone { link, reason, ticket: self.ticket.take(), is_alone });
                    continue;
                }
                self.is_server_doubted = link.age() < STEADY;
                self.dial_after = Instant::now() + self.dial_backoff.next_delay();
                self.losses += 1;
                self.lost = Some(link.id());
                gone.push(Gone { link, reason, ticket: self.ticket.take(), is_alone });
            }
        }
        if let Some(reason) = self.to_replace
            && self.standby.is_some()
            && let Some(link) = self.link.take()
        {
            link.retire(reason);
            self.losses += 1;
            self.lost = Some(link.id());
            gone.push(Gone { link, reason, ticket: None, is_alone });
        }
        if self.link.is_none() {
            self.to_replace = None;
            self.link = self.standby.take();
            if let Some(link) = &self.link {
                link.succeeds(self.losses);
            }
        }
        gone
    }
}

fn down(link: &Link) -> Option<&'static str> {
    match link.condition() {
        Condition::Down(reason) => Some(reason),
        _ => None,
    }
}
