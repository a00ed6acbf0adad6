//! The links of the lines: which one comes and goes, what is asked for over it, and since when its messages count.

use super::{
    delivery::GapReason,
    feed::{At, Feed, Phase},
    shared::Shared,
    topic::Topic,
};
use crate::link::Link;
use std::{sync::Arc, time::SystemTime};

impl Shared {
    /// Takes in a link of a line's.
    pub(super) fn attach(&self, line: u64, link: &Arc<Link>, phase: Phase) -> At {
        let mut state = self.state();
        let feed = state.number();
        if let Some(line) = state.lines.get_mut(&line) {
            line.feeds.push(Feed::new(feed, phase, Arc::downgrade(link)));
            if phase == Phase::Holding {
                line.dirty.extend(line.wanted.topics());
            }
        }
        At { line, feed }
    }

    /// Lets go of a link of which nothing is missed.
    pub(super) fn detach(&self, at: At) {
        self.let_go(at, None, |_| false);
    }

    /// Lets go of a link; what came over it is missed from then on.
    pub(super) fn lose(&self, at: At, from: SystemTime, reason: GapReason) {
        self.let_go(at, Some((from, reason)), |_| true);
    }

    /// Lets go of a link that is lost; what came over it is missed since it last gave a sign of life.
    pub(super) fn lose_silent(&self, at: At) {
        let from = {
            let state = self.state();
            let feeds = state.lines.get(&at.line).into_iter().flat_map(|line| &line.feeds);
            feeds.into_iter().find(|feed| feed.id == at.feed).map_or_else(SystemTime::now, Feed::heard)
        };
        self.lose(at, from, GapReason::ConnectionLost);
    }

    /// Lets go of a link that another one has taken over from; what came over it is missed as far as the other one does
    /// not have it.
    pub(super) fn replace(&self, at: At, from: SystemTime) {
        self.let_go(at, Some((from, GapReason::Replaced)), |is_elsewhere| !is_elsewhere);
    }

    /// `is_missed` is told whether another link of the line has the topic.
    fn let_go(&self, at: At, lost: Option<(SystemTime, GapReason)>, is_missed: impl Fn(bool) -> bool) {
        let mut wakers = Vec::new();
        let mut state = self.state();
        let Some(line) = state.lines.get_mut(&at.line) else { return };
        let Some(place) = line.feeds.iter().position(|feed| feed.id == at.feed) else { return };
        if line.feeds[place].phase == Phase::Holding && lost.is_some() {
            // The consumers get what has come until now.
            line.feeds[place].phase = Phase::Live;
            state.catch_up(at, &mut wakers);
        }
        let Some(line) = state.lines.get_mut(&at.line) else { return };
        let feed = line.feeds.remove(place);
        // The line's task compares each of them with what is wanted.
        line.dirty.extend(line.wanted.topics().chain(feed.confirmed.topics()));
        line.bell.notify_one();
        if let Some((from, reason)) = lost {
            let is_elsewhere = |topic: &Topic| line.has(topic);
            let missed: Vec<_> = feed.confirmed.topics().filter(|topic| is_missed(is_elsewhere(topic))).collect();
            for topic in missed {
                state.lose(at.line, &topic, from, reason);
            }
        }
        drop(state);
        self.through(wakers);
    }

    /// What is to be subscribed to over a link, and what not any more; nothing is to be done twice.
    pub(super) fn take_dirty(&self, at: At) -> (Vec<Topic>, Vec<Topic>) {
        let mut state = self.state();
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        let Some(line) = state.lines.get_mut(&at.line) else {
            return (wanted, unwanted);
        };
        let Some(feed) = line.feeds.iter_mut().find(|feed| feed.id == at.feed) else {
            return (wanted, unwanted);
        };
        for topic in line.dirty.drain() {
            match (line.wanted.has(&topic), feed.confirmed.has(&topic)) {
                (true, false) => {
                    feed.asking.insert(topic.kind(), topic.name().to_vec(), ());
                    wanted.push(topic);
                }
                (false, true) => {
                    feed.leaving.insert(topic.kind(), topic.name().to_vec(), ());
                    unwanted.push(topic);
                }
                _ => {}
            }
        }
        (wanted, unwanted)
    }

    /// All that is to be subscribed to over a link that is to take the place of another one.
    pub(super) fn take_wanted(&self, at: At) -> Vec<Topic> {
        let mut state = self.state();
        let Some(line) = state.lines.get_mut(&at.line) else {
            return Vec::new();
        };
        let wanted: Vec<_> = line.wanted.topics().collect();
        if let Some(feed) = line.feeds.iter_mut().find(|feed| feed.id == at.feed) {
            for topic in &wanted {
                feed.asking.insert(topic.kind(), topic.name().to_vec(), ());
            }
        }
        wanted
    }

    /// All that has been asked for over a link is answered: its messages count from now on, unless another link of its
    /// line stands for them.
    pub(super) fn settle(&self, at: At) {
        self.settle_if(at, |phase| phase == Phase::Holding);
    }

    /// Has a link's messages count from now on, whatever became of the one before it.
    pub(super) fn go_live(&self, at: At) {
        self.settle_if(at, |_| true);
    }

    /// What is held back is told in the same moment: a message that comes after it must not overtake it.
    fn settle_if(&self, at: At, goes_live: impl Fn(Phase) -> bool) {
        let mut wakers = Vec::new();
        let mut state = self.state();
        if let Some(line) = state.lines.get_mut(&at.line)
            && let Some(feed) = line.feeds.iter_mut().find(|feed| feed.id == at.feed)
        {
            feed.asking.clear();
            feed.leaving.clear();
            if goes_live(feed.phase) {
                feed.phase = Phase::Live;
            }
            state.catch_up(at, &mut wakers);
        }
        drop(state);
        self.through(wakers);
    }

    /// Whether a link's messages count.
    pub(super) fn is_live(&self, at: At) -> bool {
        let state = self.state();
        let line = state.lines.get(&at.line);
        line.is_some_and(|line| line.feeds.iter().any(|feed| feed.id == at.feed && feed.phase == Phase::Live))
    }
}
