//! What has been missed, and when its consumers are told.

use super::{
    delivery::GapReason,
    feed::{At, Held, Phase},
    state::{Entry, Line, State},
    topic::Topic,
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    task::Waker,
    time::SystemTime,
};

/// Since when, why, and for whom something is missed.
#[derive(Clone, Debug)]
pub(super) struct Lost {
    pub(super) from: SystemTime,
    pub(super) reason: GapReason,
    pub(super) consumers: BTreeSet<u64>,
}

impl Lost {
    /// The reason is that of the earlier one, which led to the other.
    fn add(&mut self, more: Self) {
        self.from = self.from.min(more.from);
        self.consumers.extend(more.consumers);
    }
}

impl Entry {
    /// For whom something of it is missed that is missed now.
    fn lose(&self, from: SystemTime, reason: GapReason) -> Lost {
        Lost { from, reason, consumers: self.consumers.iter().map(|(id, _)| *id).collect() }
    }

    /// Notes what is missed at a line until that has told of it.
    fn note(&mut self, line: u64, lost: Lost) {
        match self.lost.iter_mut().find(|(other, _)| *other == line) {
            Some((_, before)) => before.add(lost),
            None => self.lost.push((line, lost)),
        }
    }

    fn take_lost(&mut self, line: u64) -> Option<Lost> {
        let at = self.lost.iter().position(|(other, _)| *other == line)?;
        Some(self.lost.swap_remove(at).1)
    }

    pub(super) fn is_lost_at(&self, line: u64) -> bool {
        self.lost.iter().any(|(other, _)| *other == line)
    }
}

impl Line {
    /// Since when, and why, what comes of a topic is missed if it is not heard here any more; none if it is not heard.
    fn moves(&self, topic: &Topic) -> Option<(SystemTime, GapReason)> {
        let feed = self.feeds.iter().find(|feed| feed.has(topic))?;
        // The cluster may have told before the line's task has looked.
        let reason = if feed.is_down() { GapReason::ConnectionLost } else { GapReason::Moved };
        // What is held back of it is not told any more.
        let held = self.held.iter().find(|held| held.is_of(topic)).map(|held| held.came);
        Some((held.into_iter().chain([feed.heard()]).min()?, reason))
    }
}

impl State {
    /// Puts a topic at these lines in place of those where it was. False if one of them has just ended.
    pub(super) fn place(&mut self, topic: &Topic, lines: &[u64], ordinary: Option<u64>) -> bool {
        let Some(entry) = self.entries.of_mut(topic) else {
            return true;
        };
        if !lines.iter().all(|line| self.lines.contains_key(line)) {
            return false;
        }
        let ordinary_before = std::mem::replace(&mut entry.ordinary, ordinary);
        let before = std::mem::replace(&mut entry.lines, lines.to_vec());
        entry.refused.retain(|(line, _)| lines.contains(line));
        let mut lost: Option<Lost> = None;
        for id in before.iter().filter(|id| !lines.contains(id)) {
            let mut losses: Vec<_> = entry.take_lost(*id).into_iter().collect();
            if let Some(line) = self.lines.get_mut(id) {
                losses.extend(line.moves(topic).map(|(from, reason)| entry.lose(from, reason)));
                losses.extend(line.let_go_of(topic));
            }
            for more in losses {
                match &mut lost {
                    Some(lost) => lost.add(more),
                    None => lost = Some(more),
                }
            }
        }
        let new: Vec<_> = lines.iter().copied().filter(|id| !before.contains(id)).collect();
        for id in &new {
            if let Some(line) = self.lines.get_mut(id) {
                line.wanted.insert(topic.kind(), topic.name().to_vec(), ());
                line.look_at(topic);
            }
        }
        if lost.is_none() && !before.is_empty() && before.iter().all(|line| lines.contains(line)) {
            // From a further node nothing has come before.
            lost = Some(entry.lose(SystemTime::now(), GapReason::Moved));
        }
        // Where it is told: at the lines that are new, which have to be waited for; if there are none, at any of those
        // that stay.
        let stays = || lines.iter().copied().filter(|id| before.contains(id));
        let told_by = if new.is_empty() && before.len() > lines.len() {
            let has = |id: &u64| self.lines.get(id).is_some_and(|line| line.serves(topic));
            stays().find(has).or_else(|| stays().next()).into_iter().collect()
        } else {
            new
        };
        for id in &told_by {
            if let Some(lost) = lost.clone() {
                self.note(*id, topic, lost);
            }
        }
        if let (Some(ordinary_before), Some(now)) = (ordinary_before, ordinary)
            && ordinary_before != now
            && before.contains(&now)
            && lines.contains(&now)
        {
            // What comes from all nodes counts as it comes from this one now, which may be behind or ahead.
            self.lose(now, topic, SystemTime::now(), GapReason::Moved);
        }
        true
    }

    /// Notes that messages of a topic do not come at a line any more.
    pub(super) fn lose(&mut self, line: u64, topic: &Topic, from: SystemTime, reason: GapReason) {
        if let Some(entry) = self.entries.of(topic) {
            let lost = entry.lose(from, reason);
            self.note(line, topic, lost);
        }
    }

    /// Has a line tell of what is missed, once it is subscribed to there.
    fn note(&mut self, id: u64, topic: &Topic, lost: Lost) {
        if let (Some(line), Some(entry)) = (self.lines.get_mut(&id), self.entries.of_mut(topic))
            && line.wanted.has(topic)
        {
            line.missing.insert(topic.clone());
            line.look_at(topic);
            entry.note(id, lost);
        }
    }

    /// Notes that there is no room to hold back a message. All that follow it until the next
    /// [`catch_up`](Self::catch_up) go the same way, so that the gap has one place among those that are held back:
    /// behind them.
    pub(super) fn spill(&mut self, id: u64, topic: &Topic) {
        let (Some(line), Some(entry)) = (self.lines.get_mut(&id), self.entries.of(topic)) else {
            return;
        };
        let reason = entry.lost.iter().find(|(line, _)| *line == id).map(|(_, lost)| lost.reason);
        let lost = entry.lose(SystemTime::now(), reason.unwrap_or(GapReason::ConnectionLost));
        match line.spilled.get_mut(topic) {
            Some(before) => before.add(lost),
            None => _ = line.spilled.insert(topic.clone(), lost),
        }
    }

    /// Tells the consumers of what has been missed at a line and is subscribed to again; gives them what was held back
    /// for that; and tells of what there was no room for behind it.
    pub(super) fn catch_up(&mut self, at: At, wakers: &mut Vec<Waker>) {
        let Some(line) = self.lines.get_mut(&at.line) else {
            return;
        };
        let Some(feed) = line.feeds.iter().find(|feed| feed.id == at.feed && feed.phase == Phase::Live) else {
            return;
        };
        let mut back = Vec::new();
        line.missing.retain(|topic| {
            let is_back = feed.has(topic);
            if is_back && let Some(lost) = self.entries.of_mut(topic).and_then(|entry| entry.take_lost(at.line)) {
                back.push((topic.clone(), lost));
            }
            !is_back
        });
        let missing = &line.missing;
        let comes_after_a_gap = |held: &Held| held.topic().is_some_and(|topic| missing.contains(&topic));
        let (held, now): (VecDeque<_>, VecDeque<_>) = line.held.drain(..).partition(comes_after_a_gap);
        line.held = held;
        self.tell(back, wakers);
        for message in now {
            self.message(at, message, wakers);
        }
        let Some(line) = self.lines.get_mut(&at.line) else { return };
        let missing = &line.missing;
        let spilled = line.spilled.extract_if(|topic, _| !missing.contains(topic)).collect();
        self.tell(spilled, wakers);
    }

    /// Tells consumers of what they have missed until now: of all that has one reason together.
    fn tell(&self, losses: Vec<(Topic, Lost)>, wakers: &mut Vec<Waker>) {
        let mut gaps: HashMap<(u64, GapReason), (Vec<Topic>, SystemTime)> = HashMap::new();
        for (topic, Lost { from, reason, consumers }) in losses {
            let has = |id: &u64| self.consumers.get(id).is_some_and(|consumer| consumer.topics.contains_key(&topic));
            for consumer in consumers.into_iter().filter(has) {
                let gap = gaps.entry((consumer, reason)).or_insert_with(|| (Vec::new(), from));
                gap.0.push(topic.clone());
                gap.1 = gap.1.min(from);
            }
        }
        let now = SystemTime::now();
        for ((consumer, reason), (topics, from)) in gaps {
            let mailbox = self.consumers.get(&consumer).map(|consumer| &consumer.mailbox);
            wakers.extend(mailbox.and_then(|mailbox| mailbox.gap(topics, (from, now), reason)));
        }
    }
}

#[cfg(test)]
mod tests;
