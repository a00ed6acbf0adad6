//! The keeper's writing side of a pool.

use super::{Availability, Leases, Pool, orders::Order, seat::Purpose};
use crate::{error::Error, link::Link, lock::lock};
use std::{
    ops::Deref,
    sync::{Arc, atomic::Ordering::SeqCst},
};

/// Changes what commands find in a pool. There is one for each pool, and its keeper has it.
pub(crate) struct Roster {
    pool: Arc<Pool>,
    availability: Arc<Availability>,
    leases: Arc<Leases>,
}

impl Roster {
    pub(super) fn new(pool: Arc<Pool>, availability: Arc<Availability>, leases: Arc<Leases>) -> Self {
        Self { pool, availability, leases }
    }

    /// The new snapshot for the commands to read.
    ///
    /// `filled` seats have a link; links more than that stand in for others.
    pub(crate) fn publish(&self, links: Vec<Arc<Link>>, filled: usize) {
        self.pool.links.store(Arc::new(links));
        self.pool.filled.store(filled, SeqCst);
        self.availability.announce();
    }

    /// The links that one user has alone each, and what for.
    pub(super) fn publish_own(&self, links: Vec<(Purpose, Arc<Link>)>) {
        *lock(&self.pool.own) = links;
    }

    /// What has been asked for since the last look.
    pub(super) fn take_orders(&self) -> Vec<Order> {
        std::mem::take(&mut *lock(&self.pool.orders))
    }

    /// Lets the commands that wait for a link look again.
    pub(super) fn wake_commands(&self) {
        self.availability.announce();
    }

    /// Notes a link that is about to be taken out, so that whoever looks for it goes on finding it.
    pub(super) fn leaves(&self, link: &Arc<Link>) {
        lock(&self.pool.leaving).push(Arc::clone(link));
    }

    pub(super) fn has_left(&self, link: u64) {
        lock(&self.pool.leaving).retain(|leaving| leaving.id() != link);
    }

    pub(super) fn dial_began(&self) {
        self.pool.dialing.fetch_add(1, SeqCst);
    }

    pub(super) fn dial_ended(&self) {
        self.pool.dialing.fetch_sub(1, SeqCst);
    }

    /// Notes how the last dial went. That none comes up any more is told to those who wait for one: some of them can
    /// go elsewhere.
    pub(super) fn note_error(&self, error: Option<Error>) {
        let is_first = error.is_some();
        let before = std::mem::replace(&mut *lock(&self.pool.last_error), error);
        if is_first && before.is_none() {
            self.availability.announce();
        }
    }
}

impl Deref for Roster {
    type Target = Arc<Pool>;

    fn deref(&self) -> &Arc<Pool> {
        &self.pool
    }
}

/// Without a keeper no link comes up any more.
impl Drop for Roster {
    fn drop(&mut self) {
        self.pool.dialing.store(0, SeqCst);
        let orders = {
            let mut orders = lock(&self.pool.orders);
            self.pool.ended.store(true, SeqCst);
            std::mem::take(&mut *orders)
        };
        // Those who wait learn that there will be no link.
        drop(orders);
        self.leases.clear(&self.pool);
        self.availability.announce();
    }
}
