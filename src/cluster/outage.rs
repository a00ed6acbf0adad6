//! When the configured name is asked: nodes are gone, and it may lead to what has taken their place.

use super::address::NodeAddress;
use crate::retry::{Backoff, RetryPolicy};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// A node without links for so long may be gone, though others still list it.
const DEAD_AFTER: Duration = Duration::from_secs(2);

/// The bounds of the delays between questions: while no node answers, the name is the only way; while one node of
/// several is dead, and may be listed for half an hour, the others may know as much as the name does.
const WHILE_LOST: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];
const WHILE_DEAD: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];

const SHORTEST: Duration = Duration::from_millis(100);

pub(super) struct Outage {
    /// Since when nodes of the map have had no link.
    dead_since: HashMap<NodeAddress, Instant>,
    /// No node has answered the last question.
    is_lost: bool,
    /// When the name may be asked again.
    next: Instant,
    while_lost: Backoff,
    while_dead: Backoff,
}

impl Outage {
    pub(super) fn new(now: Instant) -> Self {
        let policy = |[first, last]: [Duration; 2]| RetryPolicy::new().delay(first).max_delay(last);
        Self {
            dead_since: HashMap::new(),
            is_lost: false,
            next: now,
            while_lost: Backoff::new(&policy(WHILE_LOST)),
            while_dead: Backoff::new(&policy(WHILE_DEAD)),
        }
    }

    /// Notes which nodes that own slots have no link now.
    pub(super) fn look<'a>(&mut self, dead: impl Iterator<Item = &'a NodeAddress>, now: Instant) {
        let dead_since = dead.map(|address| (address.clone(), self.dead_since.get(address).copied().unwrap_or(now)));
        self.dead_since = dead_since.collect();
        if self.dead_since.is_empty() {
            self.while_dead.reset();
        }
    }

    /// Whether the name is to be asked now.
    pub(super) fn wants_seed(&self, now: Instant) -> bool {
        let is_dead = |since: &Instant| now.saturating_duration_since(*since) >= DEAD_AFTER;
        now >= self.next && (self.is_lost || self.dead_since.values().any(is_dead))
    }

    /// Some node has answered, or none.
    pub(super) fn asked_nodes(&mut self, has_answered: bool, now: Instant) {
        if has_answered {
            self.while_lost.reset();
        } else if !self.is_lost {
            // The delay after earlier questions, which were about single nodes, does not count.
            self.next = now;
        }
        self.is_lost = !has_answered;
    }

    /// The name has been asked, whatever came of it.
    pub(super) fn asked_seed(&mut self, now: Instant) {
        let backoff = if self.is_lost { &mut self.while_lost } else { &mut self.while_dead };
        // Full jitter may draw nothing at all.
        self.next = now + backoff.next_delay().max(SHORTEST);
    }
}

#[cfg(test)]
mod tests;
