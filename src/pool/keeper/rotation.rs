//! How a live link comes to a new token.

use super::{Census, Done, Keeper};
use crate::{
    link::{Condition, Link},
    pool::slot::{AUTH_KEEPS_FAILING, Slot, Task},
    token::Current,
    trace::{outcome, target},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::{Instrument, Span, field::Empty, info_span};

/// The re-AUTHs of a rotation start within this, so that a server does not validate all of them at the same moment.
const LONGEST_SPREAD: Duration = Duration::from_secs(1);

/// How long before its token dies a link whose re-AUTH keeps failing is replaced; a tenth of the token's life if that is
/// shorter.
const LONGEST_MARGIN: Duration = Duration::from_secs(20);

/// The least time that an `AUTH` is given, however little life the old token has left; but no more than three quarters of
/// that, so that a link that does not answer is gone before the server cuts it.
const SHORTEST_AUTH: Duration = Duration::from_millis(500);

impl Keeper {
    /// How long before its token dies a link is replaced whose re-AUTH keeps failing, and how much longer before that a lone
    /// one no longer waits for a stand-in.
    fn reserves(&self, current: &Current) -> (Duration, Duration) {
        let tenth = current.token.lifetime() / 10;
        (LONGEST_MARGIN.min(tenth), self.options.auth_timeout.min(tenth))
    }

    /// When the link has to be looked at for those two, whatever else happens or does not.
    pub(super) fn turning_points(&self, link: &Link) -> impl Iterator<Item = Instant> + use<> {
        let points = self.tokens.live().filter(|current| link.generation() < current.generation).map(|current| {
            let (margin, for_auth) = self.reserves(&current);
            [margin + for_auth, margin].map(|before| link.authenticated_until().checked_sub(before))
        });
        points.into_iter().flatten().flatten()
    }

    /// Takes a link out of use whose re-AUTH keeps failing; if commands could not do without it, only once there is another.
    ///
    /// So there is at most one link more than places, however many of them have to be replaced.
    fn replace(&mut self, index: usize, link: &Link, census: &mut Census) {
        let serves = |slot: &Slot| !slot.doomed && slot.link.as_ref().is_some_and(|link| link.is_open());
        if self.slots.iter().any(serves) {
            // At once, so that the next slot does not count on it.
            (census.open, census.aside) = census.without(link.condition());
            link.retire(AUTH_KEEPS_FAILING);
            self.pool.wake_keeper();
        } else if self.slots[index].spare.is_some() {
            // It takes the place at the next look.
            self.pool.wake_keeper();
        } else if !self.slots.iter().any(|slot| slot.spare.is_some() || slot.task == Task::Dial) {
            self.dial(index, census, None);
        }
    }

    /// Gives the link the new token; replaces it if that fails until the old one is nearly dead.
    pub(super) fn rotate(&mut self, index: usize, link: &Arc<Link>, current: Arc<Current>, census: &mut Census) {
        let now = Instant::now();
        let (margin, for_auth) = self.reserves(&current);
        let old_life = link.authenticated_until().saturating_duration_since(now);
        let slot = &mut self.slots[index];
        slot.rotate(current.generation, LONGEST_SPREAD.min(old_life / 10));
        slot.doomed |= slot.reauth_failed_before() && old_life <= margin;
        if slot.doomed {
            return self.replace(index, link, census);
        }
        if now < slot.reauth_after {
            return;
        }
        let has_spare = slot.spare.is_some();
        let is_open = link.condition() == Condition::Open;
        let (open, aside) = census.without(link.condition());
        if aside > 0 && aside >= (open + aside).div_ceil(2) {
            // Half of the links keep up the service; those that are aside will be back.
            return;
        }
        let alone = open == 0;
        let patience = old_life.saturating_sub(margin + for_auth);
        if alone && !has_spare && !patience.is_zero() {
            // A second link first, so that no command waits for this one's AUTH; while there is time for one.
            return self.dial(index, census, Some(now + patience));
        }
        if !alone && is_open {
            // At once, so that the next slot counts it.
            link.step_aside();
            (census.open, census.aside) = (open, aside + 1);
        }
        let least = SHORTEST_AUTH.min(old_life * 3 / 4);
        let limit = old_life.saturating_sub(margin).max(least).min(self.options.auth_timeout);
        let link = Arc::clone(link);
        let generation = current.generation;
        let pool = &*self.journal.name();
        let span = info_span!(target: target::LINK, "reauth", pool, link = link.id(), generation, outcome = Empty);
        let reauth = async move {
            let result = link.reauthenticate(&current, now + limit).await;
            Span::current().record("outcome", outcome(&result));
            Done::Reauthenticated(index, link, current, result)
        };
        self.start(index, Task::Reauth, reauth.instrument(span));
    }
}
