//! How a live link comes to a new token.

use super::{Done, Keeper, LinkCounts, reauth_span};
use crate::{
    link::{Condition, Link},
    observe::trace::outcome,
    pool::seat::{AUTH_KEEPS_FAILING, Seat, Task},
    token::Current,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::{Instrument, Span};

/// The re-AUTHs of a rotation start within at least this, so that a server does not validate all of them at the same
/// moment.
const SHORTEST_SPREAD: Duration = Duration::from_secs(1);

/// And within this for each link of all nodes: who validates tokens does so for all nodes together, and gets at most a
/// hundred a second.
const SPREAD_OF_A_LINK: Duration = Duration::from_millis(10);

/// How long before its token dies a link whose re-AUTH keeps failing is replaced; a tenth of the token's life if that
/// is shorter.
const LONGEST_MARGIN: Duration = Duration::from_secs(20);

/// Within what time re-AUTHs start, if there are so many links in all: a tenth of the life that is left at most, so
/// that there is time for a second attempt.
fn spread(links: usize, old_life: Duration) -> Duration {
    let links = u32::try_from(links).unwrap_or(u32::MAX);
    SPREAD_OF_A_LINK.saturating_mul(links).max(SHORTEST_SPREAD).min(old_life / 10)
}

impl Keeper {
    /// Within what time the re-AUTHs of a rotation start.
    pub(super) fn spread(&self, old_life: Duration) -> Duration {
        spread(self.shared.seats.get(), old_life)
    }

    /// How long before its token dies a link is replaced whose re-AUTH keeps failing.
    pub(super) fn margin(current: &Current) -> Duration {
        LONGEST_MARGIN.min(current.token.lifetime() / 10)
    }

    /// How long a lone link with this much life left waits for its standby.
    fn patience(&self, current: &Current, old_life: Duration) -> Duration {
        let for_auth = self.shared.options.auth_timeout.min(current.token.lifetime() / 10);
        let early = old_life.saturating_sub(Self::margin(current) + for_auth);
        // Late in a token's life, what is left is shared between the standby and the AUTH, which gets twice what one
        // takes.
        early.max((old_life / 2).min(old_life.saturating_sub(self.slowest_auth() * 2)))
    }

    /// How long Redis took to answer the last `AUTH`s, at most.
    fn slowest_auth(&self) -> Duration {
        self.seats.iter().flat_map(Seat::links).map(|link| link.auth_took()).max().unwrap_or_default()
    }

    /// When the link has to be looked at, whatever else happens or does not.
    pub(super) fn turning_points(&self, link: &Link) -> impl Iterator<Item = Instant> + use<> {
        let points =
            self.shared.tokens.live().filter(|current| link.generation() < current.generation).map(|current| {
                let margin = Self::margin(&current);
                [margin, margin / 2].map(|before| link.authenticated_until().checked_sub(before))
            });
        points.into_iter().flatten().flatten()
    }

    /// Has a link go that cannot be given the new token: once there is another one in its place, if it still serves.
    ///
    /// So there is at most one link more than places, however many of them have to be replaced.
    fn replace(&mut self, index: usize, link: &Link, reason: &'static str, counts: &mut LinkCounts) {
        let serves = |seat: &Seat| {
            seat.is_shared() && seat.to_replace.is_none() && seat.link.as_ref().is_some_and(|link| link.is_open())
        };
        if !link.is_open() && self.seats.iter().any(serves) {
            // At once, so that the next seat does not count on it.
            (counts.open, counts.reauthenticating) = counts.without(link.condition());
            link.retire(reason);
            self.pool.wake_keeper();
        } else if self.seats[index].standby.is_some() {
            // It takes the place at the next look.
            self.pool.wake_keeper();
        } else {
            self.open_standby(index, counts, None);
        }
    }

    /// Opens a link beside the one in this place, unless there is such a standby, here or elsewhere.
    pub(super) fn open_standby(&mut self, index: usize, counts: &mut LinkCounts, deadline: Option<Instant>) {
        if !self.seats.iter().any(Seat::has_standby) {
            self.dial(index, counts, deadline);
        }
    }

    /// Whether a link has to wait with its `AUTH` for those whose `AUTH` is under way, or is more urgent, so that half
    /// of the links keep up the service.
    fn must_wait(&self, index: usize, counts: &LinkCounts, link: &Link, old_life: Duration) -> bool {
        // No time for one AUTH after the other: better that commands wait for an AUTH than that its link is lost.
        if old_life <= self.next_is_back_in(index) + self.slowest_auth() {
            return false;
        }
        let (open, reauthenticating) = counts.without(link.condition());
        // Those whose `AUTH` is late will not be back in time.
        let reauthenticating =
            reauthenticating.saturating_sub(self.late_ones(index).filter(|seat| seat.is_reauthenticating()).count());
        // Where tokens come as fast as a slow server validates them, a link on an older one would find its turn taken
        // again and again, until it cannot wait any more and all are in their AUTH at once.
        let is_urgent = |(other, seat): &(usize, &Seat)| {
            let goes_first = |other: &Arc<Link>| other.is_open() && other.generation() < link.generation();
            *other != index
                && seat.is_shared()
                && seat.task != Task::Reauth
                && seat.to_replace.is_none()
                && !seat.reauth_failed_before()
                && seat.link.as_ref().is_some_and(goes_first)
        };
        let first = reauthenticating + self.seats.iter().enumerate().filter(is_urgent).count();
        first > 0 && first >= (open + reauthenticating).div_ceil(2)
    }

    /// In what time the first of the other links is back whose `AUTH` is under way, if that takes as long as the
    /// slowest one has; as long if there is none, or none but those that should be back already.
    fn next_is_back_in(&self, index: usize) -> Duration {
        let (now, slowest) = (Instant::now(), self.slowest_auth());
        let others = self.seats.iter().enumerate().filter(|(other, seat)| *other != index && seat.is_shared());
        let under_way = others.filter(|(_, seat)| seat.task == Task::Reauth);
        let left = under_way.map(|(_, seat)| (seat.auth_began + slowest).saturating_duration_since(now));
        // Nobody knows when one that is overdue comes back: it must not take the time for the link's own AUTH.
        left.filter(|left| !left.is_zero()).min().unwrap_or(slowest)
    }

    /// The other places whose link's `AUTH` has not been answered for long.
    fn late_ones(&self, index: usize) -> impl Iterator<Item = &Seat> {
        let now = Instant::now();
        let others = self.seats.iter().enumerate().filter(move |(other, _)| *other != index);
        others.map(|(_, seat)| seat).filter(move |seat| seat.is_shared() && seat.auth_is_late(now))
    }

    /// Gives the link the new token; replaces it if that fails until the old one is nearly dead.
    pub(super) fn rotate(&mut self, index: usize, link: &Arc<Link>, current: Arc<Current>, counts: &mut LinkCounts) {
        let now = Instant::now();
        let old_life = link.authenticated_until().saturating_duration_since(now);
        let patience = self.patience(&current, old_life);
        let spread = self.spread(old_life);
        let seat = &mut self.seats[index];
        seat.rotate(current.generation, spread, patience);
        if seat.reauth_failed_before() && old_life <= Self::margin(&current) {
            seat.to_replace.get_or_insert(AUTH_KEEPS_FAILING);
        }
        if let Some(reason) = seat.to_replace {
            return self.replace(index, link, reason, counts);
        }
        if now < seat.reauth_after {
            return;
        }
        let (has_standby, alone_after) = (seat.standby.is_some(), seat.alone_after);
        if self.must_wait(index, counts, link, old_life) {
            return;
        }
        let (open, reauthenticating) = counts.without(link.condition());
        let alone = open == 0;
        if alone && !has_standby && now < alone_after {
            // A second link first, so that no command waits for this one's AUTH; while there is time for one.
            return self.open_standby(index, counts, Some(alone_after));
        }
        if alone && !has_standby && old_life > Self::margin(&current) / 2 && self.late_ones(index).next().is_some() {
            // The last link that serves must not get stuck as the others are.
            return self.open_standby(index, counts, None);
        }
        if !alone && link.condition() == Condition::Open {
            // At once, so that the next seat counts it.
            link.divert();
            (counts.open, counts.reauthenticating) = (open, reauthenticating + 1);
        }
        let link = Arc::clone(link);
        let limit = self.shared.options.auth_timeout;
        let span = reauth_span(&self.shared, &self.setup, &link, &current);
        let reauth = async move {
            let result = link.reauthenticate(&current, limit).await;
            Span::current().record("outcome", outcome(&result));
            Done::Reauthenticated { seat: index, link, current, result }
        };
        let seat = &mut self.seats[index];
        (seat.auth_began, seat.auth_is_late) = (now, Some(now + old_life / 2));
        self.start(index, Task::Reauth, reauth.instrument(span));
    }
}

#[cfg(test)]
mod tests;
