//! How links leave their seats: those that are down, and those that are not needed any more.

use super::{Done, Keeper, ROUND};
use crate::{
    link::{EXPIRED, Link},
    observe::event::Event,
    pool::{
        leases::{Ticket, is_given_up},
        seat::{Gone, Seat},
    },
};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

impl Keeper {
    /// Takes what is down out of its seat, and shows the commands what there is.
    pub(super) fn tidy(&mut self) {
        let now = Instant::now();
        self.shared.leases.tidy(&self.pool, now);
        let has_died = |link: &&Arc<Link>| link.authenticated_until() <= now && !link.is_validating();
        for link in self.seats.iter().flat_map(Seat::links).filter(has_died) {
            // The server is about to cut it, and whatever is in flight with it. Not so one whose `AUTH` has been
            // accepted in time, though nobody has read that yet: the end of the `AUTH` says which it is.
            link.retire(EXPIRED);
        }
        if self.seats.iter().flat_map(Seat::links).any(|link| link.is_stuck()) {
            // Whether the server is slow or that link alone is stuck, the others' answers tell.
            self.suspect_all(now);
            self.shared.trouble.notify_one();
        }
        let gone: Vec<_> = self.seats.iter_mut().flat_map(Seat::tidy).collect();
        if gone.is_empty() {
            return;
        }
        self.take_out(gone.iter().map(|gone| &gone.link));
        let mut is_fault = false;
        for Gone { link, reason, ticket, is_alone } in gone {
            let (node, id) = (self.node(), link.id());
            self.let_go(link, ticket, is_alone);
            if is_given_up(reason) {
                self.shared.journal.record(Event::LinkRetired { node, link: id });
            } else {
                is_fault = true;
                self.shared.journal.record(Event::LinkDown { node, link: id, reason: reason.into() });
            }
        }
        if !is_fault {
            return;
        }
        self.shared.trouble.notify_one();
        for (link, by) in self.seats.iter_mut().filter_map(Seat::replaced) {
            self.shared.journal.record(Event::LinkReplaced { node: Arc::clone(&self.setup.node), link, by });
        }
        // What took one link may have taken others: better a PING finds out than the commands of somebody.
        self.suspect_all(now);
    }

    /// Has every link answer a `PING`, if that has not just been done.
    fn suspect_all(&mut self, now: Instant) {
        if now >= self.next_doubt {
            self.next_doubt = now + ROUND;
            self.seats.iter().flat_map(Seat::links).for_each(|link| link.suspect());
        }
    }

    /// Takes links out of use that are in no seat any more. What is on its way on them may be answered before their
    /// connections close.
    pub(super) fn take_out<'a>(&self, links: impl Iterator<Item = &'a Arc<Link>>) {
        // In this order, so that whoever looks for a live link finds it at every moment.
        links.for_each(|link| self.pool.leaves(link));
        self.publish();
    }

    /// Has a link that was taken out close when it is through; its `ticket` is good until then.
    pub(super) fn let_go(&mut self, link: Arc<Link>, ticket: Option<Ticket>, is_alone: bool) {
        let limit = Instant::now() + self.setup.command_timeout.max(self.shared.options.ping_timeout);
        self.tasks.push(Box::pin(async move {
            // What a broken connection has in flight is gone, not answered.
            let drained = timeout_at(limit, link.drained()).await.is_ok() && !link.has_ended();
            let id = link.id();
            if drained && is_alone {
                // Its user may hold it for long, and cannot send anything over it any more.
                link.end();
            }
            drop(link);
            drop(ticket);
            Done::LetGo { link: id, drained }
        }));
    }
}
