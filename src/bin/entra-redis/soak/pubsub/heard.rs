//! What one subscription has heard of one channel, whose messages are numbered.

use std::{
    collections::BTreeMap,
    ops::Bound::Excluded,
    time::{Duration, SystemTime},
};

/// A gap begins with the last sign of life of its connection. What was sent before that may have been on its way still:
/// it comes in order, so that it is delayed by what lies in front of it at most.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// So many messages are remembered after they were heard.
const REMEMBERED: usize = 1_000;

/// What became of sending a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing is known, yet or for ever: it may come at any time, once, or never.
    Unknown,
    /// It was sent until then. `strictly`: nothing but a gap may keep it from being heard.
    Sent { until: SystemTime, strictly: bool },
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    from: SystemTime,
    fate: Fate,
}

/// A time of which the consumer was told that messages may be missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) from: SystemTime,
    pub(crate) until: SystemTime,
    /// Whether messages of it may as well come again, and later than others: they come from elsewhere behind it.
    pub(crate) may_repeat: bool,
}

impl Gap {
    fn covers(&self, from: SystemTime, until: SystemTime) -> bool {
        from <= self.until && until + ON_ITS_WAY >= self.from
    }
}

/// What is wrong with a message, or with those before it that have not come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// These were sent, are not there, and no gap tells of them.
    pub(crate) missing: Vec<u64>,
    /// So many were sent to another node than the subscriber's, and lost between the two.
    pub(crate) lost_between_nodes: u64,
    /// It has come before, and a gap explains that.
    pub(crate) is_again: bool,
    /// It has come before, or was never sent.
    pub(crate) is_twice: bool,
    /// It was passed over before: later ones have come first.
    pub(crate) is_out_of_order: bool,
}

/// The messages of one channel, as far as they matter yet.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Not heard.
    sent: BTreeMap<u64, Sending>,
    /// Heard lately.
    known: BTreeMap<u64, Sending>,
    /// Given up: later ones have been heard.
    passed_over: BTreeMap<u64, Sending>,
    /// The greatest number that was heard; 0 before the first.
    newest: u64,
    /// The last that was certainly not sent when it was first tried; 0 before the first.
    refused: u64,
    /// Those that may yet explain a hole.
    gaps: Vec<Gap>,
}

impl Heard {
    /// A message is about to be sent. Numbers begin with 1, and grow.
    pub(crate) fn sending(&mut self, number: u64, now: SystemTime) {
        self.sent.insert(number, Sending { from: now, fate: Fate::Unknown });
    }

    /// Redis has taken it.
    pub(crate) fn sent(&mut self, number: u64, now: SystemTime, strictly: bool) {
        for message in self.sent.get_mut(&number).into_iter().chain(self.known.get_mut(&number)) {
            message.fate = Fate::Sent { until: now, strictly };
        }
    }

    /// It was certainly not sent.
    pub(crate) fn not_sent(&mut self, number: u64) {
        self.sent.remove(&number);
        self.refused = number;
    }

    /// The consumer is told of a gap.
    pub(crate) fn gap(&mut self, gap: Gap) {
        self.gaps.push(gap);
    }

    /// Whether this one or a later one has been heard.
    pub(crate) fn has_heard(&self, number: u64) -> bool {
        self.newest >= number
    }

    /// The consumer gets a message. Those before it that are not there have been missed.
    pub(crate) fn message(&mut self, number: u64) -> Verdict {
        let Some(message) = self.sent.remove(&number) else {
            return self.again(number);
        };
        remember(&mut self.known, number, message);
        let mut verdict = Verdict::default();
        if number < self.newest {
            // What became of sending it was not known, so it may have come late.
            return verdict;
        }
        let before: Vec<_> =
            self.sent.range((Excluded(self.newest), Excluded(number))).map(|(n, m)| (*n, *m)).collect();
        for (number, missed) in before {
            let Fate::Sent { until, strictly } = missed.fate else {
                continue;
            };
            self.sent.remove(&number);
            remember(&mut self.passed_over, number, missed);
            if !self.gaps.iter().any(|gap| gap.covers(missed.from, until)) {
                if strictly {
                    verdict.missing.push(number);
                } else {
                    verdict.lost_between_nodes += 1;
                }
            }
        }
        self.newest = number;
        // All that come now were sent later than that. Repetitions may lag behind.
        self.gaps.retain(|gap| gap.until >= message.from || (gap.may_repeat && gap.until + ON_ITS_WAY >= message.from));
        verdict
    }

    /// A message that is not expected, or not any more.
    fn again(&mut self, number: u64) -> Verdict {
        let mut verdict = Verdict::default();
        let passed_over = self.passed_over.remove(&number);
        let Some(message) = passed_over.or_else(|| self.known.get(&number).copied()) else {
            verdict.is_twice = true;
            return verdict;
        };
        let (until, strictly) = match message.fate {
            Fate::Sent { until, strictly } => (until, strictly),
            Fate::Unknown => (message.from, true),
        };
        let is_explained = self.gaps.iter().any(|gap| gap.may_repeat && gap.covers(message.from, until));
        if passed_over.is_some() {
            verdict.is_out_of_order = strictly && !is_explained;
            remember(&mut self.known, number, message);
        } else {
            verdict.is_again = is_explained;
            verdict.is_twice = !is_explained;
        }
        verdict
    }

    /// The gaps that are remembered, and the greatest number, for whoever looks for the cause of a fault.
    pub(crate) fn history(&self) -> String {
        let gaps: Vec<_> = self.gaps.iter().map(|gap| (since(gap.from), since(gap.until), gap.may_repeat)).collect();
        let (now, newest, refused) = (since(SystemTime::now()), self.newest, self.refused);
        format!("the greatest is {newest}, the last that was refused {refused}, it is {now:?} and gaps were {gaps:?}")
    }
}

/// A time of this minute or so, in seconds.
fn since(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn remember(messages: &mut BTreeMap<u64, Sending>, number: u64, message: Sending) {
    messages.insert(number, message);
    if messages.len() > REMEMBERED {
        messages.pop_first();
    }
}
