//! `CLUSTER NODES`, read.

use std::{collections::BTreeMap, ops::RangeInclusive};

/// What a node knows of another one, or of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The port that clients without TLS are shown: a front's.
    pub(super) port: u16,
    /// The id of its primary, if it is a replica.
    pub(super) primary: Option<String>,
    pub(super) slots: Vec<RangeInclusive<u16>>,
    /// Whether the link to it is up, and nobody takes it for failed.
    pub(super) healthy: bool,
}

impl Member {
    pub(super) fn owns(&self, slot: u16) -> bool {
        self.slots.iter().any(|range| range.contains(&slot))
    }
}

/// All that a node knows, by their ids.
pub(super) type View = BTreeMap<String, Member>;

/// Reads the answer; a line that is none is left out.
pub(super) fn read(text: &str) -> View {
    text.lines().filter_map(member).collect()
}

fn member(line: &str) -> Option<(String, Member)> {
    let mut fields = line.split(' ');
    let mut next = || fields.next();
    let (id, address, flags, primary) = (next()?, next()?, next()?, next()?);
    let (_ping, _pong, _epoch, link) = (next()?, next()?, next()?, next()?);
    let (_, port) = address.split('@').next()?.rsplit_once(':')?;
    let flagged = |flag: &str| flags.split(',').any(|one| one == flag);
    let healthy = link == "connected" && !["fail", "fail?", "handshake", "noaddr"].into_iter().any(flagged);
    let member = Member {
        port: port.parse().ok()?,
        primary: (primary != "-").then(|| primary.to_owned()),
        // Those in brackets are on their way.
        slots: fields.filter(|field| !field.starts_with('[')).filter_map(range).collect(),
        healthy,
    };
    Some((id.to_owned(), member))
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests;
