//! The links to one node: which there are, and which one takes the next command.
//!
//! Commands read a snapshot, without a lock; only the keeper changes it, through its [`Roster`].

mod availability;
#[cfg(test)]
pub(crate) mod fixture;
mod keeper;
mod leases;
mod orders;
mod pace;
mod roster;
mod seat;
mod seat_total;
#[cfg(test)]
pub(in crate::pool) mod tests;

use crate::{
    error::Error,
    link::{Access, Condition, Link},
    lock::lock,
    observe::stats::LinkStats,
};
use arc_swap::{ArcSwap, Guard};
use orders::Order;
use seat::Purpose;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};
use tokio::sync::Notify;

pub(crate) use availability::Availability;
pub(crate) use keeper::{Keeper, KeeperOptions, Shared};
pub(crate) use leases::{Lease, Leases, Offer, Turn, Waiter};
pub(crate) use pace::DialPace;
pub(crate) use roster::Roster;
pub(crate) use seat_total::SeatTotal;

/// Commands in flight on one link before the next one is used.
///
/// Fill, then spill: the more commands share a link, the larger its batches, and the less each costs.
const SPILL_AT: usize = 2048;

/// The same for those whose replies, or they themselves, are large.
///
/// Fewer such connections leave a server more turns for the others: beside 8 tasks that read 1 MiB each, small `GET`s
/// were 1.5 to 2 times as many with one such connection as with two, and the large ones as many, on two cores shared
/// with the server (`make bench-peers QUICK="--workloads beside-large --only entra-redis"`, with 16 and with 1 here).
const SPILL_LARGE_AT: usize = 16;

/// The links in use, for those who read.
pub(crate) struct Pool {
    links: ArcSwap<Vec<Arc<Link>>>,
    /// Links that one user has alone, and what for.
    own: Mutex<Vec<(Purpose, Arc<Link>)>>,
    /// Such links that somebody waits for, until the keeper sees to it.
    orders: Mutex<Vec<Order>>,
    /// Links that were taken out, until what is in flight on them is answered.
    leaving: Mutex<Vec<Arc<Link>>>,
    /// Seats that there are to be, and that have a link.
    size: AtomicUsize,
    filled: AtomicUsize,
    /// Links that are being opened.
    dialing: AtomicUsize,
    last_error: Mutex<Option<Error>>,
    /// Rung when the keeper should look again.
    keeper: Arc<Notify>,
    /// There is no keeper any more.
    ended: AtomicBool,
}

impl Pool {
    /// A pool of `size` seats, and the keeper's way to change what is in it.
    pub(crate) fn new(size: usize, availability: Arc<Availability>, leases: Arc<Leases>) -> (Arc<Self>, Roster) {
        let pool = Arc::new(Self {
            links: ArcSwap::default(),
            own: Mutex::default(),
            orders: Mutex::default(),
            leaving: Mutex::default(),
            size: size.into(),
            filled: 0.into(),
            dialing: 0.into(),
            last_error: Mutex::new(None),
            keeper: Arc::default(),
            ended: AtomicBool::new(false),
        });
        (Arc::clone(&pool), Roster::new(pool, availability, leases))
    }

    /// The links in use, as they are now.
    pub(crate) fn snapshot(&self) -> Guard<Arc<Vec<Arc<Link>>>> {
        self.links.load()
    }

    /// The links that one user has alone each, those included that wait for a user.
    pub(crate) fn own_links(&self) -> Vec<Arc<Link>> {
        lock(&self.own).iter().map(|(_, link)| Arc::clone(link)).collect()
    }

    /// What all links are doing that are in use.
    pub(crate) fn stats(&self) -> Vec<LinkStats> {
        let shared = self.links.load();
        let shared = shared.iter().map(|link| link.stats(Purpose::Shared));
        let own = lock(&self.own);
        shared.chain(own.iter().map(|(purpose, link)| link.stats(*purpose))).collect()
    }

    /// The link of this number, if its connection has not ended, in use or not. Not one that one user has alone.
    pub(crate) fn any_link(&self, id: u64) -> Option<Arc<Link>> {
        self.link(id).or_else(|| lock(&self.leaving).iter().find(|link| link.id() == id).map(Arc::clone))
    }

    /// The link of this number, if it is still in use.
    pub(crate) fn link(&self, id: u64) -> Option<Arc<Link>> {
        self.links.load().iter().find(|link| link.id() == id).map(Arc::clone)
    }

    /// The links in use, and those that were taken out and have something in flight yet.
    pub(crate) fn all_links(&self) -> Vec<Arc<Link>> {
        let mut links = self.links.load().to_vec();
        links.extend(self.own_links());
        for link in &*lock(&self.leaving) {
            // One that is just being taken out is in both.
            if links.iter().all(|other| other.id() != link.id()) {
                links.push(Arc::clone(link));
            }
        }
        links
    }

    /// Seats of the pool.
    pub(crate) fn size(&self) -> usize {
        self.size.load(SeqCst)
    }

    /// Adds seats until there are so many; the keeper fills them.
    pub(crate) fn grow(&self, size: usize) {
        self.size.fetch_max(size, SeqCst);
        self.wake_keeper();
    }

    /// Links that are being opened.
    pub(crate) fn dialing(&self) -> usize {
        self.dialing.load(SeqCst)
    }

    /// Links that were taken out and have something in flight yet.
    pub(crate) fn draining(&self) -> usize {
        lock(&self.leaving).len()
    }

    /// Seats whose link takes commands; links that stand in for others do not count.
    pub(crate) fn open_seats(&self) -> usize {
        self.open_links().min(self.filled.load(SeqCst))
    }

    /// Links that take commands.
    pub(crate) fn open_links(&self) -> usize {
        let links = self.links.load();
        links.iter().filter(|link| !matches!(link.condition(), Condition::Down(_))).count()
    }

    pub(crate) fn wake_keeper(&self) {
        self.keeper.notify_one();
    }

    /// Why the last link that was tried did not come up; none since one has.
    pub(crate) fn last_error(&self) -> Option<Error> {
        lock(&self.last_error).clone()
    }

    /// Whether nobody opens links any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    /// Lets go of the links; their connections close, also those of links that somebody has alone.
    pub(crate) fn clear(&self) {
        self.links.store(Arc::default());
        let own = std::mem::take(&mut *lock(&self.own));
        for (_, link) in &own {
            link.end();
        }
        // Some may be held by one user, who must not keep `shutdown` waiting.
        let leaving = std::mem::take(&mut *lock(&self.leaving));
        for link in &leaving {
            link.end();
        }
    }
}

/// Offers a request to `links`, the best one first, until one takes it.
///
/// `offer` gives it to a link; none if the link does not take it now.
#[inline]
pub(crate) fn choose<T>(
    links: &[Arc<Link>],
    expects_large: bool,
    offer: impl Fn(&Arc<Link>, Access) -> Option<T>,
) -> Option<T> {
    // What nearly always happens: the first one has room.
    if let Some(first) = links.first()
        && !expects_large
        && has_room(first)
        && let Some(taken) = offer(first, Access::Open)
    {
        return Some(taken);
    }
    choose_among(links, expects_large, offer)
}

#[inline(never)]
fn choose_among<T>(
    links: &[Arc<Link>],
    expects_large: bool,
    offer: impl Fn(&Arc<Link>, Access) -> Option<T>,
) -> Option<T> {
    // Somebody whose last request was large is expected to send another such.
    let preferred = if expects_large {
        // From the back, so that the front stays free for small replies.
        let back = &links[links.len() / 2..];
        let has_room = |link: &&Arc<Link>| is_well(link) && link.in_flight() < SPILL_LARGE_AT;
        let link = back.iter().rev().find(has_room).or_else(|| least_busy(back, is_well));
        link.and_then(|link| offer(link, Access::Open))
    } else {
        links.iter().filter(|link| has_room(link)).find_map(|link| offer(link, Access::Open))
    };
    preferred
        .or_else(|| offer(least_busy(links, is_well)?, Access::Open))
        .or_else(|| offer(least_busy(links, Link::is_open)?, Access::Open))
        // Better behind an AUTH than not at all.
        .or_else(|| offer(least_busy(links, Link::is_reauthenticating)?, Access::Reauthenticating))
}

/// Whether small requests go over it rather than over those behind it.
#[inline]
fn has_room(link: &Link) -> bool {
    is_well(link) && link.in_flight() < SPILL_AT && !link.is_congested()
}

/// Whether it takes commands, and answers those that it has.
fn is_well(link: &Link) -> bool {
    link.is_open() && !link.is_silent()
}

fn least_busy(links: &[Arc<Link>], takes_commands: fn(&Link) -> bool) -> Option<&Arc<Link>> {
    links.iter().filter(|link| takes_commands(link)).min_by_key(|link| link.in_flight())
}
